"""rafter eval against its own token log-probabilities, its windows against the text's tokens, and its failures."""
import json
import math
import os
import subprocess
from pathlib import Path

import program


class Eval(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(" ".join(f"word{i * i % 97}" for i in range(120)))

    def tokens(self):
        done = subprocess.run([program.BINARY, "tokenize", self.model], input=self.text.read_bytes(), capture_output=True, check=True)
        return [int(i) for i in done.stdout.split()]

    def evaluate(self, *arguments, model=None):
        out = self.folder / "logprobs.jsonl"
        result = self.json_of("eval", model or self.model, "--text", str(self.text), "--context", "32", "--token-logprobs", str(out), *arguments)
        return result, [json.loads(line) for line in out.read_text().splitlines()]

    def test_scores_the_second_half_of_each_window(self):
        tokens = self.tokens()
        result, lines = self.evaluate()
        n_windows = len(tokens) // 32
        self.assertGreater(n_windows, 3)
        self.assertEqual([(line["window"], line["position"]) for line in lines], [(w, p) for w in range(n_windows) for p in range(17, 32)])
        for line in lines:
            self.assertEqual(line["token"], tokens[32 * line["window"] + line["position"]])
        self.assertEqual((result["n_windows"], result["n_scored"], result["n_tokens"]), (n_windows, 15 * n_windows, len(tokens)))

    def test_perplexity_and_its_error_are_those_of_the_tokens(self):
        result, lines = self.evaluate()
        losses = [-line["logprob"] for line in lines]
        mean = sum(losses) / len(losses)
        variance = sum((loss - mean) ** 2 for loss in losses) / len(losses)
        self.assertAlmostEqual(result["perplexity"], math.exp(mean), delta=1e-6 * math.exp(mean))
        expected = math.exp(mean) * math.sqrt(variance / (len(losses) - 1))
        self.assertAlmostEqual(result["perplexity_error"], expected, delta=1e-5 * expected)

    def test_each_score_is_the_one_that_generation_gives(self):
        """The first window's logprobs again, by forcing its tokens one by one through `run`."""
        tokens = self.tokens()
        _, lines = self.evaluate("--windows", "1")
        prompt = subprocess.run([program.BINARY, "tokenize", self.model, "--decode"], input=" ".join(map(str, tokens[:17])).encode(),
                                capture_output=True, check=True).stdout
        result = self.json_of("run", self.model, "--raw", "-p", prompt, "-n", "1", "--logprobs", "1000")
        self.assertEqual(result["prompt_tokens"], tokens[:17])
        self.assertAlmostEqual(dict(result["logprobs"][0]["top"])[tokens[17]], lines[0]["logprob"], delta=1e-8)

    def test_threads_and_step_sizes_change_no_bit(self):
        self.assertEqual(self.evaluate("--threads", "1")[1], self.evaluate("--threads", "3")[1])

    def test_bos_stands_first_in_every_window(self):
        model = program.with_bos(self.model, self.folder / "bos.gguf")
        tokens = self.tokens()
        result, lines = self.evaluate(model=model)
        self.assertEqual(result["n_tokens"], len(tokens) + 1)
        shifted = [None, *tokens]  # BOS is put before the text, and then in place of each window's first token
        for line in lines:
            self.assertEqual(line["token"], shifted[32 * line["window"] + line["position"]])

    def test_the_built_in_text_is_that_of_the_source_tree(self):
        built_in = self.json_of("eval", self.model, "--windows", "3")
        from_file = self.json_of("eval", self.model, "--windows", "3", "--text", str(program.ROOT / "share" / "judging" / "text.txt"))
        for key in ("perplexity", "n_tokens", "n_scored"):
            self.assertEqual(built_in[key], from_file[key])
        self.assertEqual(built_in["text"], "the built-in text")
        self.assertIn("of the built-in text", self.rafter("eval", self.model, "--windows", "1").stderr.decode())

    def test_text_on_a_terminal_line(self):
        done = self.rafter("eval", self.model, "--text", str(self.text), "--context", "32")
        self.assertRegex(done.stdout.decode(), r"^perplexity [\d.]+ ± [\d.]+\n$")
        self.assertRegex(done.stderr.decode(), r"^\d+ tokens scored in \d+ windows of 32, .* tok/s\n$")

    def test_one_window_is_told_as_one(self):
        done = self.rafter("eval", self.model, "--text", str(self.text), "--context", "32", "--windows", "1")
        self.assertRegex(done.stderr.decode(), r"^15 tokens scored in 1 window of 32, ")

    def test_results_are_utf8_whatever_the_names_of_files(self):
        named = os.fsencode(self.folder) + b"/t\xff.txt"
        Path(os.fsdecode(named)).write_bytes(self.text.read_bytes())
        shown = str(self.folder / "t\ufffd.txt")
        for against in ((), ("--against", self.model)):
            self.assertEqual(self.json_of("eval", self.model, "--text", named, "--context", "32", "--windows", "1", *against)["text"], shown)
        model = os.fsencode(self.folder) + b"/m\xff.gguf"
        Path(os.fsdecode(model)).write_bytes(Path(self.model).read_bytes())
        self.assertIn("m\ufffd.gguf", json.dumps(self.json_of("info", model), ensure_ascii=False))

    def test_failures(self):
        text = str(self.text)
        self.expect_error("cannot be read", "eval", self.model, "--text", str(self.folder / "nowhere"))
        self.expect_error("cannot be read", "eval", self.model, "--text", str(self.folder))
        endless = self.folder / "endless.txt"
        with open(endless, "wb") as file:
            file.truncate(2 ** 40)  # a hole: it takes no space
        for arguments in (("eval", self.model, "--text"), ("eval", self.model, "--tasks"), ("imatrix", self.model, "--out", str(self.folder / "none"), "--text"),
                          ("quantize", self.model, str(self.folder / "none"), "--type", "Q4_0", "--text")):
            self.expect_error("expected at most 1073741824 bytes of text, found more", *arguments, str(endless))
        short = self.folder / "short.txt"
        short.write_text("too short")
        self.expect_error("expected at least 32 tokens", "eval", self.model, "--text", str(short), "--context", "32")
        self.expect_error("expected at most 512", "eval", self.model, "--text", text, "--context", "513")
        self.expect_error("/dev/full: cannot be written: No space left on device", "eval", self.model, "--text", text, "--context", "32",
                          "--token-logprobs", "/dev/full")
        self.expect_error("--token-logprobs: ", "eval", self.model, "--text", text, "--context", "32", "--token-logprobs",
                          str(self.folder / "nowhere" / "out"))
        with open("/dev/full", "wb") as full:
            self.rafter("eval", self.model, "--text", text, "--context", "32", status=1, stdout=full)


if __name__ == "__main__":
    program.main()
