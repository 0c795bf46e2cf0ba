"""rafter probe, explain and --profile on a tiny model: schemas, sums, and everything that can be wrong with a profile's file."""
import json
import os
import subprocess
import time
import unittest
import xml.etree.ElementTree as xml

import program


class WithProfile(program.Case):
    """A quick profile of one thread, measured once for all these tests and in the cache folder of each."""

    shared = None  # (what was printed, what was saved, what went to the cache: its path there and its text)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.saved = cls.folder / "saved.json"
        cache = cls.folder / "cache"
        if WithProfile.shared is None:
            printed = subprocess.run([program.BINARY, "probe", "--quick", "--threads", "1", "--json", "--force", "--save", cls.saved],
                                     env=cls.environment, stdout=subprocess.PIPE, check=True, timeout=120).stdout
            kept = [(path.relative_to(cache), path.read_text()) for path in cache.rglob("*.json")]
            WithProfile.shared = printed, cls.saved.read_text(), kept
        printed, saved, kept = WithProfile.shared
        cls.profile = json.loads(printed)
        cls.saved.write_text(saved)
        for path, text in kept:
            (cache / path).parent.mkdir(parents=True, exist_ok=True)
            (cache / path).write_text(text)

    def profile_files(self):
        return sorted((self.folder / "cache" / "rafter" / "profiles").glob("*.json"))


class Probe(WithProfile):
    def test_json_has_all_keys_in_base_units(self):
        self.assertEqual(list(self.profile), ["rafter_profile", "cpu", "n_threads", "isa", "version", "time", "quick", "trusted", "doubt", "noise",
                                              "memory_bytes", "peaks", "fixed", "caches", "bandwidth", "matrices", "tiles", "rows", "attention"])
        self.assertEqual((self.profile["n_threads"], self.profile["quick"]), (1, True))
        self.assertGreater(self.profile["peaks"]["float_flop_per_s"], 1e8)
        self.assertGreater(self.profile["peaks"]["int8_flop_per_s"], 1e8)
        self.assertIn(self.profile["peaks"]["int8_unit"], ("VNNI int8", "AVX2 int8", "scalar int8", "AMX int8 (K = 32)"))
        self.assertEqual(self.profile["isa"] == "amx", self.profile["tiles"] != [])
        for reading in self.profile["bandwidth"]:
            self.assertEqual(reading["n_threads"], 1)
            self.assertGreaterEqual(reading["best_bytes_per_s"], reading["bytes_per_s"])
            self.assertTrue(1e7 < reading["bytes_per_s"] < 1e13, reading)
        self.assertGreaterEqual(max(r["working_set_bytes"] for r in self.profile["bandwidth"]), 1 << 27)
        self.assertLess({"Q4_0", "Q4_K", "Q8_0", "F16"}, {r["weights"] for r in self.profile["matrices"]})
        for reading in self.profile["matrices"]:
            self.assertTrue(1e-15 < reading["seconds_per_weight"] < 1e-4, reading)

    def test_saved_files_hold_what_was_printed(self):
        self.assertEqual(json.loads(self.saved.read_text()), self.profile)
        self.assertEqual(len(self.profile_files()), 1)

    def test_the_report_names_levels_and_the_picture_is_xml(self):
        svg = self.folder / "stairs.svg"
        text = self.rafter("probe", "--quick", "--threads", "1", "--svg", str(svg)).stdout.decode()
        for words in ["working set", "L1 cache", "memory", "float multiply-add", "Q4_K", "ridge"]:
            self.assertIn(words, text)
        self.assertNotIn("\x1b", text, "no colour in a pipe")
        self.assertTrue(xml.parse(svg).getroot().tag.endswith("svg"))
        self.assertRegex(text, r"Repeated measurements differ by \d+%: quiet|Not to be trusted: (repeated|synchronizing) ")

    def test_a_profile_of_a_busy_machine_is_saved_with_force_only(self):
        # Two threads on one CPU wait for each other at every barrier.
        svg, saved = self.folder / "busy.svg", self.folder / "busy.json"
        shared = {"preexec_fn": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})}
        before = self.profile_files()
        command = ["probe", "--quick", "--threads", "2", "--save", str(saved), "--svg", str(svg)]
        done = self.rafter(*command, status=1, **shared)
        doubt = r"(repeated measurements differ by \d+%|synchronizing threads took \d+ µs); other programs were using the CPUs"
        self.assertRegex(done.stderr.decode(), f"rafter probe: the profile is not saved: {doubt}; measure again when the machine is idle, or ")
        self.assertRegex(done.stdout.decode(), f"Not to be trusted: {doubt}")
        self.assertFalse(saved.exists())
        self.assertEqual(self.profile_files(), before)
        self.assertRegex(svg.read_text(), f"not to be trusted(?s:.*){doubt}")
        self.rafter(*command, "--force", **shared)
        self.assertFalse(json.loads(saved.read_text())["trusted"])
        (kept,) = set(self.profile_files()) - set(before)
        kept.unlink()

    @unittest.skipIf(program.SANITIZED, "20 s, for kernels that have tests of their own")
    def test_scalar_kernels_can_be_probed(self):
        self.assertEqual(self.json_of("probe", "--quick", "--threads", "1", "--isa", "scalar")["isa"], "scalar")

    def test_a_cache_folder_that_cannot_be_written_costs_only_a_warning(self):
        blocked = self.folder / "blocked"
        blocked.write_text("a file where a folder should be")
        done = self.rafter("probe", "--quick", "--threads", "1", "--force", env={**self.environment, "XDG_CACHE_HOME": str(blocked)})
        self.assertIn("the profile is not kept", done.stderr.decode())

    def test_a_file_that_cannot_be_saved_is_an_error(self):
        blocked = self.folder / "a_file"
        blocked.write_text("")
        start = time.monotonic()
        for option in "--save", "--svg":
            self.expect_error("a_file", "probe", "--threads", "1", option, str(blocked / "x"))
        self.assertLess(time.monotonic() - start, 5, "said before the measuring, not after it")


class Explain(WithProfile):
    def explain(self, *arguments):
        return self.json_of("explain", self.model, "--threads", "1", "--context", "40", *arguments)

    def test_losses_add_up_to_the_time_above_the_roof(self):
        result = self.explain("--table")
        above = result["step_seconds"] - result["roof_seconds"]
        self.assertAlmostEqual(sum(loss["seconds"] for loss in result["losses"]), above, delta=1e-9 + 1e-6 * abs(above))
        self.assertEqual(result["roof_fraction"], result["roof_seconds"] / result["step_seconds"])
        self.assertLessEqual(len(result["changes"]), 3)
        gains = [change["gain"] for change in result["changes"]]
        self.assertEqual(gains, sorted(gains, reverse=True))

    def test_ops_add_up_to_the_model_s_time(self):
        profile = self.explain("--table")["profile"]
        self.assertLessEqual(profile["ops_seconds"], profile["forward_seconds"])
        self.assertGreater(profile["ops_seconds"], 0.5 * profile["forward_seconds"])
        self.assertAlmostEqual(sum(op["measured_seconds"] for op in profile["ops"]), profile["ops_seconds"])
        self.assertAlmostEqual(sum(op["measured_seconds"] for op in profile["by_name"]), profile["ops_seconds"])
        self.assertTrue(profile["complete"])

    def test_text_says_which_roof_and_what_would_help(self):
        for arguments in [[], ["--batch", "3"], ["--prompt", "24"]]:
            text = self.rafter("explain", self.model, "--threads", "1", "--context", "40", *arguments).stdout.decode()
            self.assertRegex(text, r"Bound by (reading|arithmetic)")
            self.assertIn("What would help most", text)
            self.assertRegex(text, r"Reached: \d+% of the .+ roof|measuring error")

    def test_more_than_the_roof_is_called_a_measuring_error(self):
        slow = json.loads(self.saved.read_text())
        for reading in slow["bandwidth"]:
            reading["bytes_per_s"] = reading["best_bytes_per_s"] = 1e3
        path = self.folder / "slow.json"
        path.write_text(json.dumps(slow))
        result = self.explain("--machine", str(path))
        self.assertGreater(result["roof_fraction"], 1)
        self.assertIn("measuring error", result["measuring_errors"][0])
        text = self.rafter("explain", self.model, "--threads", "1", "--context", "40", "--machine", str(path)).stdout.decode()
        self.assertIn("measuring error", text)
        self.assertNotIn("Reached", text)

    def test_the_grid_has_a_prediction_for_each_measurement(self):
        for row in self.json_of("explain", self.model, "--threads", "1", "--grid")["grid"]:
            self.assertAlmostEqual(row["error"], row["predicted_seconds"] / row["measured_seconds"] - 1)

    def test_spoilt_profiles_are_one_clear_line(self):
        path = self.folder / "bad.json"
        for text, words in [("", "not a profile"), ("[1]", "not a profile"), ('{"rafter_profile": 99}', "format 99"),
                            (self.saved.read_text().replace('"cpu"', '"gpu"'), "cpu: expected")]:
            path.write_text(text)
            self.expect_error(words, "explain", self.model, "--threads", "1", "--context", "40", "--machine", str(path))
        self.expect_error("cannot be read", "explain", self.model, "--threads", "1", "--context", "40", "--machine", str(self.folder / "none.json"))

    def test_a_spoilt_or_foreign_profile_in_the_cache_is_measured_anew(self):
        path = self.profile_files()[0]
        good = path.read_text()
        for text in ["{"] * (not program.SANITIZED) + [good.replace(f'"version": "{self.profile["version"]}"', '"version": "0.0.0"')]:
            path.write_text(text)
            done = self.rafter("explain", self.model, "--threads", "1", "--context", "40")
            self.assertIn("measuring it now", done.stderr.decode())
            self.assertEqual(json.loads(path.read_text())["version"], self.profile["version"])
            self.assertNotIn("measuring it now", self.rafter("explain", self.model, "--threads", "1", "--context", "40").stderr.decode())

    def test_a_context_beyond_the_model_s_is_one_line(self):
        self.expect_error("expected at most", "explain", self.model, "--threads", "1", "--context", "1000000")


class PlanOfThisMachine(WithProfile):
    def test_uses_the_profile_and_says_when_it_is_in_doubt(self):
        plan = ["plan", self.model, "--hardware", "this", "--format", "json"]
        before = set(self.profile_files())
        first = self.rafter(*plan)
        self.assertIn("measuring it now", first.stderr.decode())
        (path,) = set(self.profile_files()) - before
        profile = json.loads(path.read_text())
        again = self.rafter(*plan)
        self.assertEqual(json.loads(again.stdout), json.loads(first.stdout))
        answer = json.loads(again.stdout)
        self.assertEqual(answer["hardware"]["memory_bytes"], profile["memory_bytes"])
        self.assertLess(answer["decode"]["mbu"], 1)

        path.write_text(json.dumps({**profile, "trusted": False, "doubt": "a neighbour was loud"}))
        self.assertIn("in doubt (a neighbour was loud)", self.rafter(*plan).stderr.decode())
        for reading in profile["bandwidth"]:
            reading["bytes_per_s"] /= 2
            reading["best_bytes_per_s"] /= 2
        path.write_text(json.dumps({**profile, "trusted": True, "doubt": ""}))
        slower = json.loads(self.rafter(*plan).stdout)
        self.assertAlmostEqual(slower["decode"]["weights_seconds"], 2 * answer["decode"]["weights_seconds"], delta=1e-3 * answer["decode"]["weights_seconds"])


class Profile(WithProfile):
    def test_run_says_of_each_op_what_it_should_take_and_took(self):
        result = self.generate("-p", "hello", "--threads", "1", "--profile", "json", "--speculate", "off")
        phases = {phase["phase"]: phase for phase in result["profile"]["phases"]}
        self.assertEqual(list(phases), ["prefill", "decode"])
        decode = phases["decode"]
        self.assertEqual(decode["n_steps"], 11)
        self.assertEqual(decode["n_tokens"], 11)
        self.assertLessEqual(decode["ops_seconds"], decode["forward_seconds"])
        self.assertLessEqual(decode["forward_seconds"] + decode["sample_seconds"], decode["step_seconds"])
        for op in decode["ops"]:
            self.assertAlmostEqual(op["residual_seconds"], op["measured_seconds"] - op["predicted_seconds"])
            self.assertIn(op["bound"], ["memory", "compute", "overhead"])

    def test_a_table_goes_to_standard_error_and_changes_no_text(self):
        plain = self.rafter("run", self.model, "--raw", "-p", "hello", "-n", "12", "--threads", "1")
        profiled = self.rafter("run", self.model, "--raw", "-p", "hello", "-n", "12", "--threads", "1", "--profile")
        self.assertEqual(plain.stdout, profiled.stdout)
        self.assertIn("predicted", profiled.stderr.decode())

    def test_a_trace_is_one_that_chrome_reads(self):
        path = self.folder / "trace.json"
        self.rafter("run", self.model, "--raw", "-p", "hello", "-n", "4", "--threads", "1", "--profile", "trace", "--profile-file", str(path),
                    "--speculate", "off")
        events = json.loads(path.read_text())["traceEvents"]
        steps = [e for e in events if e["ph"] == "X" and e["tid"] == 1]
        self.assertEqual([e["name"] for e in steps], ["prefill", "decode", "decode", "decode"])
        for event in events:
            if event["ph"] == "X":
                self.assertGreaterEqual(event["ts"], 0)
                self.assertGreaterEqual(event["dur"], 0)
        for before, after in zip(steps, steps[1:]):
            self.assertLessEqual(before["ts"] + before["dur"], after["ts"] + 1)

    def test_eval_has_a_profile_too(self):
        text = self.folder / "text.txt"
        text.write_text("hello world " * 40)
        result = self.json_of("eval", self.model, "--text", str(text), "--context", "16", "--windows", "2", "--threads", "1", "--profile", "json")
        self.assertEqual([phase["phase"] for phase in result["profile"]["phases"]], ["prefill"])

    def test_wrong_options(self):
        self.expect_error("--profile", "run", self.model, "-p", "x", "--profile", "xml", status=2)
        self.rafter("run", self.model, "--raw", "-p", "x", "--profile-file", "x.json", status=2)
        blocked = self.folder / "no_folder"
        blocked.write_text("")
        for verb in (["run", self.model, "--raw", "-p", "x"], ["eval", self.model, "--text", str(blocked)]):
            self.expect_error("no_folder", *verb, "--threads", "1", "--profile", "--profile-file", str(blocked / "x.json"))


if __name__ == "__main__":
    program.main()
