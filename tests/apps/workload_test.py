"""bench --requests and simulate: the same work gives the same tokens whatever the cache does, and the simulation counts what the engine does."""
import json
import os
import tempfile
import unittest

import program


class Workload(program.Case):
    work = ("--prompt", "40", "--shared-prefix", "32", "--generate", "6", "--batch", "4")

    def report(self, *arguments):
        return self.json_of("bench", self.model, "--threads", "1", *self.work, *arguments)

    def test_tokens_are_the_same_with_and_without_the_cache(self):
        plain = self.report("--requests", "12", "--no-prefix-cache")
        cached = self.report("--requests", "12")
        self.assertEqual(plain["tokens_hash"], cached["tokens_hash"])
        self.assertEqual(plain["prefix_cache"]["tokens_found"], 0)
        self.assertGreaterEqual(cached["prefix_cache"]["tokens_found"], 11 * 32)
        self.assertEqual(cached["requests"], 12)
        self.assertEqual(cached["failed"], 0)
        self.assertEqual(cached["generated_tokens"], 12 * 6)
        self.assertEqual(cached["prompt_tokens"], 12 * 40)
        self.assertLess(cached["kv"]["mean_wasted_positions"], 16)
        self.assertGreater(cached["predicted_seconds"], 0)

    def test_a_small_cache_gives_the_same_tokens(self):
        roomy = self.report("--requests", "12")
        tight = self.report("--requests", "12", "--kv-memory", "64KB")
        self.assertLess(tight["kv"]["blocks"], roomy["kv"]["blocks"])
        self.assertEqual(roomy["tokens_hash"], tight["tokens_hash"])

    def test_a_trace_file_says_when_and_what(self):
        with tempfile.TemporaryDirectory() as folder:
            trace = os.path.join(folder, "trace.jsonl")
            with open(trace, "w") as file:
                for i in range(5):
                    print(json.dumps({"arrival_seconds": 0.01 * i, "prompt_tokens": 10 + i, "output_tokens": 2 + i}), file=file)
            report = self.report("--requests", trace, "--shared-prefix", "0")
            self.assertEqual(report["requests"], 5)
            self.assertEqual(report["prompt_tokens"], sum(10 + i for i in range(5)))
            self.assertEqual(report["generated_tokens"], sum(2 + i for i in range(5)))
            with open(trace, "a") as file:
                print('{"arrival_seconds": 0}', file=file)
            self.expect_error("line 6: arrival_seconds", "bench", self.model, "--requests", trace)

    def test_wrong_work_is_refused(self):
        self.expect_error("--shared-prefix: expected fewer", "bench", self.model, "--requests", "3", "--prompt", "8", "--shared-prefix", "8")
        self.expect_error("--requests: expected at least 1", "bench", self.model, "--requests", "0")
        self.expect_error("cannot be read", "bench", self.model, "--requests", "no-such-file")
        self.expect_error("--rate", "bench", self.model, "--requests", "3", "--rate", "-1", status=2)
        self.expect_error("KV cache", "bench", self.model, *self.work, "--requests", "3", "--kv-memory", "1KB")

    def test_the_simulation_counts_what_the_engine_does(self):
        # A target that no step misses: else chunks follow what steps really take.
        real = self.report("--requests", "12", "--target-itl", "1e6")
        simulated = self.json_of("simulate", self.model, *self.work, "--requests", "12", "--target-itl", "1e6")
        for key in ("requests", "failed", "prompt_tokens", "generated_tokens", "preemptions"):
            self.assertEqual(real[key], simulated[key], key)
        self.assertEqual(real["prefix_cache"]["tokens_found"], simulated["prefix_cache"]["tokens_found"])
        self.assertEqual(real["steps"], simulated["steps"])

    def test_the_simulation_is_as_slow_as_the_steps_that_were_measured(self):
        seen = self.folder / "seen.json"
        plain = self.json_of("simulate", self.model, *self.work, "--requests", "12", "--target-itl", "1e6")
        self.assertAlmostEqual(plain["priced_seconds"], plain["forward_seconds"])
        n = plain["steps"]
        seen.write_text(json.dumps({**plain, "priced_seconds": 2.0, "forward_seconds": 6.0, "step_seconds": 6.0 + 0.25 * n}))
        slower = self.json_of("simulate", self.model, *self.work, "--requests", "12", "--target-itl", "1e6", "--measured", seen)
        self.assertEqual(slower["steps"], n)
        self.assertAlmostEqual(slower["priced_seconds"], plain["priced_seconds"])
        self.assertAlmostEqual(slower["forward_seconds"], 3 * plain["forward_seconds"])
        self.assertAlmostEqual(slower["step_seconds"], 3 * plain["forward_seconds"] + 0.25 * n)

        real = self.report("--requests", "12")
        self.assertGreater(real["priced_seconds"], 0)
        seen.write_text(json.dumps(real))
        self.json_of("simulate", self.model, *self.work, "--requests", "12", "--measured", seen)
        seen.write_text(json.dumps({**real, "priced_seconds": 0}))
        self.expect_error("priced_seconds", "simulate", self.model, *self.work, "--requests", "3", "--measured", seen)
        seen.write_text("{")
        self.expect_error("seen.json", "simulate", self.model, *self.work, "--requests", "3", "--measured", seen)
        elsewhere = self.rafter("simulate", "llama-3.1-8b", "--hardware", "h100-sxm", "--requests", "3", "--measured", seen, status=2)
        self.assertIn("--hardware this", elsewhere.stderr.decode())
        self.expect_error("--host-us", "simulate", self.model, "--requests", "3", "--measured", seen, "--host-us", "3", status=2)

    def test_simulates_machines_that_are_not_there(self):
        report = self.json_of("simulate", "llama-3.1-8b", "--hardware", "h100-sxm", "--requests", "300", "--rate", "20", "--batch", "64",
                              "--prompt", "600", "--generate", "50")
        self.assertEqual(report["generated_tokens"], 300 * 50)
        self.assertGreater(report["seconds"], 300 / 20 * 0.7)
        self.expect_error("h100", "simulate", "llama-3.1-8b", "--hardware", "h100-xyz", "--requests", "3")
        self.expect_error("fit", "simulate", "llama-3.1-405b", "--hardware", "l4", "--requests", "3")
        text = self.rafter("simulate", "llama-3.1-8b", "--hardware", "h100-sxm", "--requests", "20").stdout.decode()
        self.assertIn("between two tokens", text)


if __name__ == "__main__":
    unittest.main()
