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

    def test_unknown_keys_of_a_trace_are_named(self):
        trace = self.folder / "unknown.jsonl"
        trace.write_text('{"arrival_seconds":0,"prompt_tokens":20,"output_tokens":4,"prio":3}\n' * 3)
        for verb in (["bench", self.model], ["simulate", "llama-3.1-8b", "--hardware", "h100-sxm"]):
            done = self.rafter(*verb, "--requests", trace, "--json")
            said = [line for line in done.stderr.decode().splitlines() if '"prio"' in line]
            self.assertEqual(len(said), 1, done.stderr)
            self.assertIn("line 1", said[0])

    def test_mooncakes_traces_share_the_blocks_that_they_name(self):
        trace = self.folder / "mooncake.jsonl"
        lines = [(0, 1100, [1, 2, 3]), (50_000, 1300, [1, 2, 4]), (100_000, 700, [1, 9]), (150_000, 1024, [7, 8])]
        trace.write_text("".join(json.dumps({"timestamp": 5_000 + ms, "input_length": n, "output_length": 3, "hash_ids": ids}) + "\n"
                                 for ms, n, ids in lines))
        report = self.json_of("simulate", "llama-3.1-8b", "--hardware", "h100-sxm", "--requests", trace)
        self.assertEqual(report["requests"], 4)
        self.assertEqual(report["prompt_tokens"], 1100 + 1300 + 700 + 1024)
        self.assertEqual(report["prefix_cache"]["tokens_found"], 1024 + 512)
        self.assertGreater(report["seconds"], 150)
        self.assertLess(report["seconds"], 151)
        trace.write_text('{"timestamp": 0, "input_length": 100, "output_length": 3, "hash_ids": [1, 2]}\n')
        self.expect_error("line 1: hash_ids: expected at most 1", "simulate", "llama-3.1-8b", "--hardware", "h100-sxm", "--requests", trace)

    def test_users_of_a_closed_loop_have_one_request_each(self):
        real = self.report("--requests", "12", "--users", "2", "--think", "0.01")
        self.assertEqual(real["requests"], 12)
        self.assertLessEqual(real["most_in_flight"], 2)
        self.assertGreaterEqual(real["seconds"], 5 * 0.01)
        simulated = self.json_of("simulate", "llama-3.1-8b", "--hardware", "h100-sxm", "--requests", "1600", "--users", "16", "--think", "2")
        self.assertLessEqual(simulated["most_in_flight"], 16)
        self.assertEqual((simulated["users"], simulated["think_seconds"]), (16, 2))
        expected = 16 / (2 + simulated["request_seconds"]["mean"])
        self.assertAlmostEqual(simulated["requests_per_second"], expected, delta=0.05 * expected)
        for wrong in (["--think", "2"], ["--users", "2", "--rate", "3"], ["--users", "0"], ["--users", "2", "--think", "-1"]):
            self.rafter("simulate", "llama-3.1-8b", "--hardware", "h100-sxm", "--requests", "3", *wrong, status=2)

    def test_several_devices_share_the_model(self):
        base = ["llama-3.1-70b", "--hardware", "h100-sxm", "--requests", "200", "--batch", "64"]
        self.expect_error("fit", "simulate", *base)
        four = self.json_of("simulate", *base, "--devices", "4")
        eight = self.json_of("simulate", *base, "--devices", "8")
        staged = self.json_of("simulate", *base, "--parallel", "tp=4,pp=2")
        self.assertEqual(four["parallel"], {"tp": 4, "pp": 1, "ep": 1, "cp": 1})
        self.assertEqual((eight["devices"], staged["devices"]), (8, 8))
        self.assertEqual(four["assumed"], [])
        self.assertLess(eight["seconds"], four["seconds"])
        self.assertLess(staged["seconds"], four["seconds"])
        self.assertGreater(eight["kv"]["blocks"], 2 * four["kv"]["blocks"])
        less = self.json_of("simulate", *base, "--devices", "8", "--memory-fraction", "0.9")
        self.assertLess(less["kv"]["blocks"], eight["kv"]["blocks"])
        self.assertEqual(less["engine"], "ideal")
        served = self.json_of("simulate", *base, "--devices", "8", "--memory-fraction", "0.9", "--engine", "vllm")
        self.assertEqual(served["engine"], "vllm")
        self.assertLess(served["kv"]["blocks"], less["kv"]["blocks"])
        self.expect_error("--engine: expected one of", "simulate", *base, "--devices", "8", "--engine", "vlm", status=2)
        narrow = self.json_of("simulate", *base, "--devices", "8", "--weights", "fp8", "--activations", "fp8")
        self.assertLess(narrow["seconds"], eight["seconds"])
        experts = self.json_of("simulate", "deepseek-v3", "--hardware", "h200", "--parallel", "tp=8,ep=2", "--requests", "100", "--batch", "64")
        self.assertEqual(experts["parallel"]["ep"], 2)
        self.assertIn("16 x H200, tp=8,ep=2", self.rafter("simulate", "deepseek-v3", "--hardware", "h200", "--parallel", "tp=8,ep=2",
                                                          "--requests", "3").stdout.decode())
        self.expect_error("--parallel", "simulate", *base, "--devices", "4", "--parallel", "tp=8")
        self.expect_error("--activations", "simulate", *base, "--devices", "8", "--activations", "fp17")
        for option in (["--devices", "2"], ["--parallel", "tp=2"], ["--memory-fraction", "0.5"], ["--activations", "fp8"], ["--weights", "int8"],
                       ["--engine", "vllm"]):
            refused = self.rafter("simulate", self.model, "--requests", "3", *option, status=2)
            self.assertIn("--hardware NAME", refused.stderr.decode())

    def test_a_device_in_wrong_units_is_doubted_first(self):
        device = self.folder / "device.json"
        device.write_text('{"name": "x", "flop_per_s": {"bf16": 989e12}, "memory_bytes": 80e9, "memory_bandwidth_bytes_per_s": 3350e6}')
        first = self.rafter("simulate", "llama-3.1-8b", "--hardware", device, "--requests", "2").stdout.decode().splitlines()[0]
        self.assertIn("Not certain", first)
        self.assertIn("wrong unit", first)
        self.assertEqual(len(self.json_of("simulate", "llama-3.1-8b", "--hardware", device, "--requests", "2")["assumed"]), 1)

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
