"""rafter eval --against: held against logits that the slow float64 model computes, against itself, and its failures."""
import json
import math
import os
import subprocess
from pathlib import Path

import program

PRINT_LOGITS = program.BUILD_DIR / "tests" / "tools" / "print_logits"
CONTEXT = 32


def softmax_logs(logits):
    largest = max(logits)
    total = math.log(sum(math.exp(x - largest) for x in logits)) + largest
    return [x - total for x in logits]


def percentile(values, part):
    values = sorted(values)
    at = part * (len(values) - 1)
    below = math.floor(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (at - below) * (values[above] - values[below])


def spread(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((x - mean) ** 2 for x in values) / (len(values) - 1) / len(values))


class EvalAgainst(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(" ".join(f"word{i * i % 97}" for i in range(120)))
        cls.small = program.make_tiny_model(cls.folder / "small.gguf", dtype="Q4_0")
        cls.other = str(program.ROOT / "tests" / "golden" / "checkpoints" / "llama")

    def arguments(self, model, reference, *more):
        return ["eval", model, "--against", reference, "--text", str(self.text), "--context", str(CONTEXT), *more]

    def compare(self, model, reference, *more):
        out = self.folder / "tokens.jsonl"
        result = self.json_of(*self.arguments(model, reference, "--token-logprobs", str(out), *more))
        return result, [json.loads(line) for line in out.read_text().splitlines()]

    def window_logs(self, model, tokens):
        done = subprocess.run([PRINT_LOGITS, model, *map(str, tokens)], stdout=subprocess.PIPE, check=True)
        return [softmax_logs(json.loads(line)) for line in done.stdout.splitlines()]

    def test_numbers_are_those_of_logits_computed_in_float64(self):
        tokens = [int(i) for i in subprocess.run([program.BINARY, "tokenize", self.small], input=self.text.read_bytes(),
                                                 capture_output=True, check=True).stdout.split()]
        result, lines = self.compare(self.small, self.model, "--activations", "f32", "--kv-type", "f32", "--windows", "2")
        kls, same, losses, reference_losses = [], [], [], []
        for start in (0, CONTEXT):
            window = tokens[start:start + CONTEXT]
            reference, model = self.window_logs(self.model, window), self.window_logs(self.small, window)
            for position in range(CONTEXT // 2, CONTEXT - 1):
                p, q = reference[position], model[position]
                kls.append(sum(math.exp(a) * (a - b) for a, b in zip(p, q)))
                same.append(p.index(max(p)) == q.index(max(q)))
                losses.append(-q[window[position + 1]])
                reference_losses.append(-p[window[position + 1]])
        self.assertEqual([line["same_top"] for line in lines], same)
        for line, kl, loss, reference_loss in zip(lines, kls, losses, reference_losses, strict=True):
            self.assertAlmostEqual(line["kl"], kl, delta=1e-5 + 1e-4 * kl)
            self.assertAlmostEqual(line["logprob"], -loss, delta=1e-4)
            self.assertAlmostEqual(line["reference_logprob"], -reference_loss, delta=1e-4)
        # The summary is that of the lines.
        kls = [line["kl"] for line in lines]
        mean, error = spread(kls)
        self.assertAlmostEqual(result["kl"], mean, delta=1e-6 * mean)
        self.assertAlmostEqual(result["kl_error"], error, delta=1e-6 * error)
        for key, part in (("kl_99", 0.99), ("kl_999", 0.999), ("kl_max", 1.0)):
            self.assertAlmostEqual(result[key], percentile(kls, part), delta=1e-6 * max(kls))
        share = sum(same) / len(same)
        self.assertAlmostEqual(result["same_top"], share, delta=1e-12)
        self.assertAlmostEqual(result["same_top_error"], math.sqrt(share * (1 - share) / (len(same) - 1)), delta=1e-9)
        for prefix, key in (("", "logprob"), ("reference_", "reference_logprob")):
            mean, error = spread([-line[key] for line in lines])
            self.assertAlmostEqual(result[prefix + "perplexity"], math.exp(mean), delta=1e-6 * math.exp(mean))
            self.assertAlmostEqual(result[prefix + "perplexity_error"], math.exp(mean) * error, delta=1e-5 * math.exp(mean) * error)
        mean, error = spread([line["reference_logprob"] - line["logprob"] for line in lines])
        self.assertAlmostEqual(result["perplexity_ratio"], math.exp(mean), delta=1e-6)
        self.assertAlmostEqual(result["perplexity_ratio_error"], math.exp(mean) * error, delta=1e-6)

    def test_a_model_against_itself_in_the_same_mode_differs_in_nothing(self):
        for more in (["--reference-mode", "same"], ["--activations", "f32", "--kv-type", "f32"],
                     ["--reference-mode", "same", "--kv-type", "q8,q4", "--activations", "q16"]):
            result, _ = self.compare(self.model, self.model, *more)
            self.assertEqual((result["kl"], result["kl_error"], result["kl_max"], result["same_top"]), (0, 0, 0, 1), more)
            self.assertEqual((result["perplexity_ratio"], result["perplexity_ratio_error"]), (1, 0))
            self.assertEqual((result["perplexity"], result["perplexity_error"]), (result["reference_perplexity"], result["reference_perplexity_error"]))
            self.assertTrue(result["complete"])

    def test_an_exact_reference_counts_what_activations_and_cache_lose(self):
        result, _ = self.compare(self.model, self.model)
        self.assertGreater(result["kl"], 0)
        self.assertLess(result["kl"], 0.1)

    def test_perplexity_is_that_of_eval_alone(self):
        result, _ = self.compare(self.small, self.model)
        alone = self.json_of("eval", self.small, "--text", str(self.text), "--context", str(CONTEXT))
        for key in ("perplexity", "perplexity_error"):
            self.assertAlmostEqual(result[key], alone[key], delta=1e-6 * alone[key])
        for key in ("n_scored", "n_windows", "n_tokens", "context"):
            self.assertEqual(result[key], alone[key])

    def test_threads_change_no_bit(self):
        first, second = (self.compare(self.small, self.model, "--threads", n) for n in ("1", "3"))
        self.assertEqual(first[1], second[1])
        self.assertEqual(first[0]["kl"], second[0]["kl"])

    def test_weights_of_another_type_are_told(self):
        result, _ = self.compare(self.model, self.model, "--weights", "Q4_0")
        self.assertEqual(result["weights"], "Q4_0")
        self.assertGreater(result["kl"], 0)

    def test_text_begins_with_the_answer(self):
        done = self.rafter(*self.arguments(self.small, self.model))
        lines = done.stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^KL divergence \d\.\d{6} ± \d\.\d{6} nats a token$")
        for words in ("99% of", "99.9%", "largest", "same likeliest token", "perplexity", "reference", "ratio"):
            self.assertTrue(any(words in line for line in lines[1:]), words)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertRegex(done.stderr.decode(), r"against .*tiny.gguf \(float32 activations and cache\)")

    def test_failures(self):
        message = self.expect_error("the vocabulary differs from that of", *self.arguments(self.small, self.other))
        self.assertRegex(message, r"small.gguf: the vocabulary differs from that of .*checkpoints/llama.*: expected 320 tokens, found 265$")
        self.expect_error("nowhere.gguf", *self.arguments(self.small, str(self.folder / "nowhere.gguf")))
        self.expect_error("--profile: cannot be combined with --against", *self.arguments(self.small, self.model, "--profile"), status=2)
        self.expect_error("--reference-mode", "eval", self.small, "--text", str(self.text), "--reference-mode", "same", status=2)
        self.expect_error("/dev/full: cannot be written", *self.arguments(self.small, self.model, "--token-logprobs", "/dev/full"))
        with open("/dev/full", "wb") as full:
            self.rafter(*self.arguments(self.small, self.model), status=1, stdout=full)

    def test_no_file_that_is_read_is_written(self):
        model, reference, text, link = (self.folder / name for name in ("judged.gguf", "judge.gguf", "read.txt", "link.gguf"))
        for path, source in ((model, self.small), (reference, self.model), (text, self.text)):
            path.write_bytes(Path(source).read_bytes())
        link.unlink(missing_ok=True)
        os.link(model, link)
        before = [path.read_bytes() for path in (model, reference, text)]
        for other in (model, link, reference, text):
            self.expect_error("--token-logprobs: expected another file than ", "eval", str(model), "--against", str(reference), "--text", str(text),
                              "--token-logprobs", str(other), status=2)
        for other in (model, link, text):
            self.expect_error("--profile-file: expected another file than ", "eval", str(model), "--text", str(text), "--profile", "--profile-file",
                              str(other), status=2)
        self.assertEqual([path.read_bytes() for path in (model, reference, text)], before)

    def test_one_token_that_differs_is_named(self):
        changed = self.folder / "changed.gguf"
        changed.write_bytes(Path(self.small).read_bytes().replace(b"<|im_start|>", b"<|xm_start|>"))
        message = self.expect_error("the vocabulary differs", *self.arguments(str(changed), self.model))
        self.assertRegex(message, r'expected token \d+ to be "<\|im_start\|>", found "<\|xm_start\|>"')


if __name__ == "__main__":
    program.main()
