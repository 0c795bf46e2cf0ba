"""rafter bench on a tiny model: its JSON, what does not depend on timing, and what it refuses."""
import os
import re
import sys
import unittest

import program


class Bench(program.Case):
    def bench(self, *arguments):
        return self.json_of("bench", self.model, "--threads", "1", "--prompt", "9", "--generate", "5", "--repeat", "2", *arguments)

    def test_json_has_a_row_for_each_count_of_sequences(self):
        result = self.bench("--batch", "1,3")
        self.assertEqual((result["prompt"], result["generate"], result["repeat"], result["threads"]), (9, 5, 2, 1))
        self.assertEqual([row["batch"] for row in result["rows"]], [1, 3])
        for row in result["rows"]:
            for phase in "prefill", "decode":
                rate = row[f"{phase}_tokens_per_second"]
                self.assertTrue(0 < rate["least"] <= rate["median"] <= rate["most"], rate)
            self.assertLessEqual(row["step_seconds"]["median"], row["step_seconds"]["p99"])
        self.assertNotEqual(result["rows"][0]["tokens_hash"], result["rows"][1]["tokens_hash"])

    def test_the_same_work_gives_the_same_tokens(self):
        first = self.bench("--batch", "3")["rows"][0]["tokens_hash"]
        self.assertEqual(self.bench("--batch", "1,3", "--threads", "2")["rows"][1]["tokens_hash"], first)
        self.assertNotEqual(self.bench("--batch", "3", "--seed", "7")["rows"][0]["tokens_hash"], first)

    def test_tokens_can_be_drawn_and_the_share_of_that_is_said(self):
        greedy = self.bench("--batch", "3")["rows"][0]
        drawn = self.bench("--batch", "3", "--temperature", "1.5", "--top-p", "0.9")["rows"][0]
        self.assertNotEqual(drawn["tokens_hash"], greedy["tokens_hash"])
        self.assertEqual(self.bench("--batch", "3", "--temperature", "1.5", "--top-p", "0.9", "--threads", "2")["rows"][0]["tokens_hash"],
                         drawn["tokens_hash"])
        for row in greedy, drawn:
            self.assertTrue(0 < row["sampling_share"] < 1, row)
        self.expect_error("--top-p", "bench", self.model, "--top-p", "1.5", status=2)

    def test_all_columns_are_of_one_run(self):
        for row in self.bench("--batch", "1,3", "--generate", "1", "--repeat", "5")["rows"]:
            run = row["shown_run"]
            self.assertTrue(1 <= run["number"] <= 5)
            self.assertEqual(run["decode_tokens_per_second"], row["decode_tokens_per_second"]["median"])
            # With one step a run, its rate is that step's.
            self.assertAlmostEqual(run["decode_tokens_per_second"] * row["step_seconds"]["median"] / row["batch"], 1)
            prefill = row["prefill_tokens_per_second"]
            self.assertTrue(prefill["least"] <= run["prefill_tokens_per_second"] <= prefill["most"])
            self.assertGreaterEqual(row["disturbance"], prefill["most"] / prefill["median"] - prefill["least"] / prefill["median"] - 1e-9)
            self.assertEqual(row["busy"], row["disturbance"] > 0.25)

    def test_a_busy_machine_is_said(self):
        # Two threads on one CPU wait for each other, now shorter and now longer; in a single bench by chance always alike.
        shared = {"preexec_fn": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})}
        for _ in range(20):
            bench = self.rafter("bench", self.model, "--threads", "2", "--prompt", "8", "--generate", "4", "--repeat", "6", **shared)
            text = bench.stdout.decode()
            if re.search(r"\nThe machine was busy: measurements of batch 1 differ by \d+%\. Measure again when no other program uses the CPUs\.\n$", text):
                return
        self.fail("20 benches of threads that wait for each other were all called undisturbed; the last one:\n" + text)

    def test_every_fusion_can_be_left_out_and_all_but_attention_change_no_token(self):
        sys.path.insert(0, str(program.ROOT / "bench"))
        import fusions
        expected = self.bench("--batch", "2")["rows"][0]["tokens_hash"]
        exact = [fusion for fusion in fusions.FUSIONS if fusion != "attention"]
        for fusion in exact + [",".join(exact)]:
            self.assertEqual(self.bench("--batch", "2", "--no-fuse", fusion)["rows"][0]["tokens_hash"], expected, fusion)
        everything = ",".join(sorted(fusions.FUSIONS))
        unfused = self.bench("--batch", "2", "--no-fuse", "attention")["rows"][0]["tokens_hash"]
        self.assertEqual(self.bench("--batch", "2", "--no-fuse", everything)["rows"][0]["tokens_hash"], unfused)
        listed = self.rafter("completions", "words", "--", "bench", "--no-fuse", "").stdout.decode().split()
        self.assertEqual(",".join(sorted(listed)), everything)
        self.expect_error("--no-fuse", "bench", self.model, "--no-fuse", "rows,no_such", status=2)

    def test_prompts_alone_and_prompts_longer_than_a_step(self):
        row = self.bench("--generate", "0")["rows"][0]
        self.assertEqual(list(row), ["batch", "prefill_tokens_per_second"])
        self.bench("--prompt", "30", "--batch", "20")

    def test_the_table_has_a_line_for_each_count(self):
        text = self.rafter("bench", self.model, "--threads", "1", "--prompt", "8", "--generate", "3", "--batch", "1", "--batch", "2").stdout.decode()
        self.assertIn("prompts of 8, then 3 tokens each; 3 runs", text)
        self.assertIn("decode tok/s", text)
        self.assertNotIn("\x1b", text)

    def test_one_run_is_told_as_one(self):
        words = [self.model, "--threads", "1", "--prompt", "8", "--generate", "3", "--repeat", "1"]
        self.assertIn("3 tokens each; 1 run\n", self.rafter("bench", *words).stdout.decode())
        self.assertIn("3 tokens each; 1 run in turn\n", self.rafter("bench", *words, "--speculate", "compare").stdout.decode())

    def test_what_cannot_be_measured_is_refused(self):
        self.expect_error("context: expected at most", "bench", self.model, "--prompt", "100000")
        self.expect_error("--batch", "bench", self.model, "--batch", "0", status=2)


if __name__ == "__main__":
    unittest.main()
