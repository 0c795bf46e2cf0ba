"""/metrics, /explain, /roofline and the request log of a running server: promtool has nothing to say, numbers are those of the requests, and
nothing that a client sends stands in the log as it came."""
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import serving  # noqa: E402

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SECRET = "zebra umbrella"


def samples(page):
    """{name and labels: value}"""
    found = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def total(page, name):
    return sum(value for sample, value in samples(page).items() if sample.split("{")[0] == name)


class Observability(serving.Case):
    arguments = ("--log-format", "json")

    def ask(self, **more):
        status, headers, answer = self.server.post("/v1/completions", prompt=f"{SECRET} one two three four five", max_tokens=8, temperature=0, **more)
        self.assertEqual(status, 200, answer)
        return headers, answer

    def page(self):
        status, headers, page = self.server.get("/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        return page.decode()

    def log_lines(self):
        return [json.loads(line) for line in self.server.log.splitlines() if line.startswith("{")]

    def line_of(self, request_id):
        for _ in range(serving.PATIENCE * 10):
            for line in self.log_lines():
                if line["id"] == request_id:
                    return line
            time.sleep(0.1)
        self.fail(f"no line of {request_id} in the log: {self.server.log}")

    def test_promtool_has_nothing_to_say(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed")
        self.ask()
        done = subprocess.run(["promtool", "check", "metrics"], input=self.page(), capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_counts_are_those_of_the_requests(self):
        before = self.page()
        n_prompt = n_answer = 0
        for _ in range(3):
            _, answer = self.ask()
            n_prompt += answer["usage"]["prompt_tokens"]
            n_answer += answer["usage"]["completion_tokens"]
        self.assertEqual(self.server.get("/no/such/path")[0], 404)
        after = self.page()

        def grown(name):
            return total(after, name) - total(before, name)

        self.assertEqual(grown("rafter_prompt_tokens_total"), n_prompt)
        self.assertEqual(grown("rafter_generation_tokens_total"), n_answer)
        for histogram in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds", "request_prompt_tokens"):
            self.assertEqual(grown(f"rafter_{histogram}_count"), 3, histogram)
        self.assertEqual(grown("rafter_request_success_total"), 3)
        self.assertGreaterEqual(grown("rafter_http_responses_total"), 4)
        self.assertGreater(grown("rafter_prefix_cache_hits_total"), 0)  # the second and third begin as the first did
        self.assertGreater(grown("rafter_steps_total"), 0)
        self.assertEqual(grown("rafter_step_measured_seconds_count"), grown("rafter_steps_total"))

    def test_explain_answers_in_its_first_line(self):
        self.ask()
        status, headers, text = self.server.get("/explain")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain"))
        first, *rest = text.decode().splitlines()
        self.assertIn("tok/s of answers", first)
        self.assertIn("Not known", rest)
        status, _, explained = self.server.get("/explain", Accept="application/json")
        self.assertEqual(status, 200)
        self.assertTrue(explained["lines"])
        self.assertGreater(explained["steps"]["n"], 0)
        self.assertLessEqual(len(explained["suggestions"]), 3)

    def test_roofline_says_of_roofs_what_the_machine_profile_says(self):
        self.ask()
        status, _, view = self.server.get("/roofline")
        self.assertEqual(status, 200)
        self.assertTrue(view["steps"])
        step = view["steps"][-1]
        self.assertEqual(set(step), {"id", "seconds_ago", "kind", "n_tokens", "n_sequences", "flops_per_byte", "flop_per_s", "bytes_per_s", "predicted_seconds",
                                     "measured_seconds", "bound"})
        self.assertGreater(step["measured_seconds"], 0)
        self.assertIsNotNone(view["verdict"])
        if view["machine"] is None:  # it could not be measured
            self.assertEqual([step[key] for key in ("flops_per_byte", "flop_per_s", "bytes_per_s", "predicted_seconds", "bound")], [None] * 5)
            return
        self.assertGreater(view["machine"]["memory_bytes_per_s"], 1e8)
        self.assertGreater(view["machine"]["flop_per_s"], 1e8)
        self.assertIn(step["bound"], ("memory", "compute", "overhead"))
        for key in ("flops_per_byte", "flop_per_s", "bytes_per_s", "predicted_seconds"):
            self.assertGreater(step[key], 0, key)
        self.assertAlmostEqual(step["flop_per_s"] / step["bytes_per_s"], step["flops_per_byte"], delta=1e-6 * step["flops_per_byte"])
        page = self.page()
        for name in ("roof_seconds_total", "time_to_first_token_prediction_error_ratio_count", "prediction_error_ratio_count"):
            self.assertGreater(total(page, f"rafter_{name}"), 0, name)

    def test_the_log_has_a_line_a_request_and_no_prompt(self):
        headers, answer = self.ask(no_such_parameter="x\r\nstatus=200 \x1b[2J")
        line = self.line_of(headers["x-request-id"])
        self.assertEqual((line["method"], line["path"], line["status"]), ("POST", "/v1/completions", 200))
        self.assertEqual(line["prompt_tokens"], answer["usage"]["prompt_tokens"])
        self.assertEqual(line["completion_tokens"], answer["usage"]["completion_tokens"])
        self.assertEqual(line["ignored_keys"], ["no_such_parameter"])
        self.assertGreater(line["first_token_seconds"], 0)
        self.assertNotIn(SECRET, self.server.log)
        self.assertTrue(all(c == "\n" or " " <= c < "\x7f" for c in self.server.log if c not in "·’“”…"), self.server.log)

    def test_traceparent_is_passed_on(self):
        status, headers, _ = self.server.ask("POST", "/v1/completions", {"prompt": "a", "max_tokens": 1}, {"traceparent": PARENT})
        self.assertEqual(status, 200)
        version, trace, span, flags = headers["traceparent"].split("-")
        self.assertEqual((version, trace, flags), ("00", TRACE, "01"))
        self.assertNotEqual(span, PARENT.split("-")[2])
        line = self.line_of(headers["x-request-id"])
        self.assertEqual((line["trace_id"], line["parent_span_id"], line["span_id"]), (TRACE, PARENT.split("-")[2], span))
        _, headers, _ = self.server.ask("GET", "/health", None, {"traceparent": PARENT.upper()})
        self.assertIsNone(headers["traceparent"])


class VllmNames(serving.Case):
    arguments = ("--metrics-prefix", "vllm:")

    def test_dashboards_for_vllm_find_their_metrics(self):
        status, _, _ = self.server.post("/v1/completions", prompt="one two three", max_tokens=4)
        self.assertEqual(status, 200)
        page = self.server.get("/metrics")[2].decode()
        names = {sample.split("{")[0] for sample in samples(page)}
        for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prompt_tokens_total", "generation_tokens_total", "prefix_cache_queries_total",
                     "prefix_cache_hits_total", "num_preemptions_total", "request_success_total", "spec_decode_num_drafts_total", "spec_decode_num_draft_tokens_total",
                     "spec_decode_num_accepted_tokens_total", "time_to_first_token_seconds_bucket", "inter_token_latency_seconds_bucket", "e2e_request_latency_seconds_bucket",
                     "request_queue_time_seconds_bucket", "request_prefill_time_seconds_bucket", "request_decode_time_seconds_bucket", "request_prompt_tokens_bucket",
                     "request_generation_tokens_bucket", "iteration_tokens_total_bucket"):
            self.assertIn(f"vllm:{name}", names)
        self.assertFalse([name for name in names if name.startswith("rafter")])


if __name__ == "__main__":
    serving.main()
