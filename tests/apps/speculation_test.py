"""Speculation from the command line: whoever drafts and however many, the text is the same; what was drafted is counted."""
import json
import unittest

import program


class Speculation(program.Case):
    prompt = ("-p", "one two three one two three one two three one two")

    def answer(self, *arguments):
        return self.generate(*self.prompt, "-n", "40", *arguments)

    def test_text_is_the_same_whoever_guesses(self):
        other = program.make_tiny_model(self.folder / "other.gguf", dtype="F16")
        for sampling in ((), ("--temperature", "0.9", "--seed", "7", "--repeat-penalty", "1.2"),
                         ("--temperature", "0.3", "--seed", "3", "--top-p", "0.8", "--min-tokens", "20")):
            plain = self.answer("--speculate", "off", *sampling)
            self.assertNotIn("speculation", plain)
            for k in ("1", "3", "8"):
                for drafter in (("ngram",), ("draft", "--draft", self.model), ("draft", "--draft", other)):
                    drafted = self.answer("--speculate", *drafter, "--draft-fixed", k, *sampling)
                    self.assertEqual(drafted["tokens"], plain["tokens"])
                    self.assertEqual(drafted["text"], plain["text"])

    def test_a_draft_model_like_the_model_is_always_right(self):
        for sampling in ((), ("--temperature", "1.0", "--seed", "5")):
            counted = self.answer("--speculate", "draft", "--draft", self.model, "--draft-fixed", "4", *sampling)["speculation"]
            self.assertGreater(counted["spec_decode_num_draft_tokens"], 20)
            self.assertEqual(counted["spec_decode_num_accepted_tokens"], counted["spec_decode_num_draft_tokens"])
            self.assertEqual(counted["spec_decode_num_draft_tokens"], sum(counted["spec_decode_num_draft_tokens_per_pos"]))

    def test_bench_compares_and_the_work_stays_the_same(self):
        text = self.folder / "text.txt"
        text.write_text("The quick brown fox jumps over the lazy dog. " * 30)
        bench = ("bench", self.model, "--prompt", "40", "--generate", "30", "--batch", "1,3", "--repeat", "2")
        report = self.json_of(*bench, "--replay", str(text), "--speculate", "compare", "--draft", self.model, "--draft-accept", "0.8")
        self.assertEqual([(row["batch"], row.get("drafter", "off")) for row in report["rows"]],
                         [(1, "off"), (1, "ngram"), (1, "draft"), (3, "off"), (3, "ngram"), (3, "draft")])
        for row in report["rows"]:
            self.assertEqual(row["tokens_hash"], next(r for r in report["rows"] if r["batch"] == row["batch"])["tokens_hash"])
        shown = self.rafter(*bench, "--replay", str(text), "--speculate", "compare").stdout.decode()
        self.assertIn("times plain", shown)

    def test_a_period_is_guessed_from_the_text_alone(self):
        text = self.folder / "period.txt"
        text.write_text("abc abd abe " * 100)
        report = self.json_of("bench", self.model, "--prompt", "60", "--generate", "100", "--repeat", "1", "--replay", str(text),
                              "--speculate", "ngram", "--draft-fixed", "6")
        row = report["rows"][0]
        self.assertGreater(row["spec_decode_num_accepted_tokens"], 0.9 * row["spec_decode_num_draft_tokens"])
        self.assertGreater(row["tokens_per_step"], 5)

    def test_the_log_says_why(self):
        log = self.folder / "log.jsonl"
        self.answer("--speculate", "ngram", "--draft-log", str(log), "--draft-fixed", "2")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertGreater(len(lines), 5)
        for line in lines:
            self.assertEqual(len(line["sequences"]), 1)
            self.assertLessEqual(line["sequences"][0]["draft_tokens"], line["sequences"][0]["offered"])
        self.assertTrue(any(line["sequences"][0]["draft_tokens"] == 2 for line in lines))
        self.expect_error("none", "run", self.model, "-p", "x", "--draft-log", str(self.folder / "none" / "log"))

    def test_wrong_usage_is_refused(self):
        for words, arguments in (("needs --draft, which names the smaller model", ("--speculate", "draft")),
                                 ("is not used with --speculate ngram", ("--speculate", "ngram", "--draft", self.model)),
                                 ("--draft-fixed: expected at most the 4", ("--draft-max", "4", "--draft-fixed", "5"))):
            done = self.rafter("run", self.model, "-p", "x", *arguments, status=2)
            self.assertIn(words, done.stderr.decode())
        self.expect_error("no-such-model", "run", self.model, "-p", "x", "--draft", "no-such-model")
        empty = self.folder / "empty.txt"
        empty.write_text("")
        self.expect_error("expected a text to replay", "bench", self.model, "--replay", str(empty))


if __name__ == "__main__":
    unittest.main()
