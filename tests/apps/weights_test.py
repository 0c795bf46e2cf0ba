"""--weights on tiny models: answers are those of a quantised file, every verb takes it and says so, and nothing that was computed with
weights of one type is taken for another's."""
import json
import subprocess

import program

ANSWER = ("tokens", "text", "logprobs", "prompt_tokens")


class Weights(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.floats = program.make_tiny_model(cls.folder / "floats.gguf", dtype="F32")
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(" ".join(f"word{i * i % 97}" for i in range(120)))
        cls.quantized = str(cls.folder / "quantized.gguf")
        subprocess.run([program.BINARY, "quantize", cls.floats, cls.quantized, "--type", "Q4_0", "--quiet"], check=True)

    def answer(self, *arguments, model=None, **options):
        result = self.json_of("run", model or self.floats, "--raw", "-p", "hello", "-n", "8", "--temperature", "0", "--logprobs", "3",
                              *arguments, **options)
        return {key: result[key] for key in ANSWER}, result.get("weights")

    def test_an_answer_says_its_type_where_that_is_not_the_files(self):
        plain, said = self.answer()
        self.assertIsNone(said)
        same, said = self.answer("--weights", "F32")
        self.assertEqual(same, plain)
        self.assertIsNone(said)
        coarse, said = self.answer("--weights", "Q4_0")
        self.assertNotEqual(coarse, plain)
        self.assertEqual(said, "Q4_0")
        self.assertEqual(self.answer("--weights", "q4_0"), (coarse, "Q4_0"))
        self.assertEqual(self.answer(model=self.quantized), (coarse, None))
        text = self.rafter("run", self.floats, "--raw", "-p", "hello", "-n", "3", "--weights", "Q8_0").stderr.decode()
        self.assertIn(" · weights as Q8_0", text)
        self.assertNotIn("weights as", self.rafter("run", self.floats, "--raw", "-p", "hello", "-n", "3").stderr.decode())

    def test_what_another_type_stands_in_for_is_said(self):
        done = self.rafter("run", self.floats, "--raw", "-p", "hello", "-n", "3", "--weights", "Q6_K").stderr.decode()
        self.assertIn("rafter: --weights: blocks of Q6_K do not divide the rows of 23 tensors, which are held as Q8_0\n", done)
        self.assertEqual(self.answer("--weights", "Q6_K")[0], self.answer("--weights", "Q8_0")[0])
        self.assertNotIn("--weights", self.rafter("run", self.floats, "--raw", "-p", "hello", "-n", "3", "--weights", "Q6_K", "--quiet").stderr.decode())

    def test_unknown_types_are_refused(self):
        for verb in (["run", self.floats, "-p", "x"], ["eval", self.floats, "--text", str(self.text)], ["bench", self.floats],
                     ["explain", self.floats], ["serve", self.floats], ["batch", self.floats, "--in", "x", "--out", "y"]):
            for wrong in ("Q9_K", "I32", "4.5", "q4_k_m"):
                message = self.expect_error("--weights: expected one of F32, F16, BF16, Q4_0", *verb, "--weights", wrong, status=2)
                self.assertIn(f'found "{wrong}"', message)

    def test_a_variable_or_a_file_may_name_the_type(self):
        expected = self.answer("--weights", "Q8_0")
        self.assertEqual(self.answer(env={**self.environment, "RAFTER_WEIGHTS": "q8_0"}), expected)
        config = self.folder / "rafter.toml"
        config.write_text('[machine]\nweights = "Q8_0"\n')
        self.assertEqual(self.answer("--config", str(config)), expected)
        self.expect_error("RAFTER_WEIGHTS: expected one of F32", "run", self.floats, "-p", "x", status=2,
                          env={**self.environment, "RAFTER_WEIGHTS": "int4"})
        # `plan` asks about types that nothing here computes with: its option has a variable of its own.
        plan = ("plan", "Llama-3.1-8B", "--hardware", "H100-SXM", "--format", "json")
        whole = self.rafter(*plan).stdout
        self.assertEqual(self.rafter(*plan, env={**self.environment, "RAFTER_WEIGHTS": "Q8_0"}).stdout, whole)
        self.assertEqual(self.rafter(*plan, env={**self.environment, "RAFTER_PLAN_WEIGHTS": "int4"}).stdout,
                         self.rafter(*plan, "--weights", "int4").stdout)

    def test_perplexity_is_that_of_the_type(self):
        def perplexity(*arguments):
            result = self.json_of("eval", self.floats, "--text", str(self.text), "--context", "32", *arguments)
            return result["perplexity"], result.get("weights")
        plain, said = perplexity()
        self.assertIsNone(said)
        fine, said = perplexity("--weights", "Q8_0", "--activations", "f32")
        self.assertEqual(said, "Q8_0")
        coarse, _ = perplexity("--weights", "Q2_K", "--activations", "f32")  # IQ4_NL
        self.assertNotEqual(fine, plain)
        self.assertLess(abs(fine / plain - 1), abs(coarse / plain - 1))
        text = self.rafter("eval", self.floats, "--text", str(self.text), "--context", "32", "--weights", "F16").stderr.decode()
        self.assertIn("tok/s, weights as F16", text)

    def test_bench_and_explain_say_the_type(self):
        bench = ("bench", self.floats, "--prompt-tokens", "8", "--generate", "4", "--repeat", "1")
        self.assertEqual(self.json_of(*bench, "--weights", "Q8_0")["weights"], "Q8_0")
        self.assertNotIn("weights", self.json_of(*bench))
        self.assertIn(", weights as Q8_0", self.rafter(*bench, "--weights", "Q8_0").stdout.decode())
        requests = (*bench, "--requests", "2", "--shared-prefix", "0")
        self.assertEqual(self.json_of(*requests, "--weights", "Q8_0")["weights"], "Q8_0")
        explain = ("explain", self.floats, "--threads", "1", "--context", "40")
        held = self.json_of(*explain, "--weights", "Q8_0")
        self.assertEqual(held["weights"], "Q8_0")
        self.assertLess(held["read_bytes"] * 2, self.json_of(*explain)["read_bytes"])  # 8.5 bits instead of 32
        self.assertIn(", weights as Q8_0", self.rafter(*explain, "--weights", "Q8_0").stdout.decode())

    def test_a_cache_on_disk_is_of_one_type(self):
        file = self.folder / "kv"
        prompt = ("--kv-disk", str(file), "-p", "the same beginning " * 20)
        for weights in ("Q8_0", "Q4_0", "F16"):
            expected = self.answer("--weights", weights, *prompt[2:])
            said = self.rafter("run", self.floats, "--raw", "-n", "1", "--weights", weights, *prompt).stderr.decode()
            if weights != "Q8_0":
                self.assertIn("starting over", said)
            result = self.json_of("run", self.floats, "--raw", *prompt, "-n", "8", "--temperature", "0", "--logprobs", "3", "--weights", weights)
            self.assertGreater(result["kv_disk"]["blocks_restored"], 5)
            self.assertEqual({key: result[key] for key in ANSWER}, expected[0])

    def test_batch_asks_again_what_another_type_answered(self):
        requests, results = self.folder / "requests.jsonl", self.folder / "results.jsonl"
        requests.write_text("".join(json.dumps({"custom_id": f"{i}", "method": "POST", "url": "/v1/completions",
                                                "body": {"prompt": f"say {i}", "max_tokens": 4}}) + "\n" for i in range(3)))
        batch = ("batch", self.floats, "--in", str(requests), "--out", str(results))
        self.rafter(*batch, "--weights", "Q8_0")
        first = results.read_bytes()
        self.rafter(*batch, "--weights", "q8_0", "--resume", "strict")
        self.assertEqual(results.read_bytes(), first)
        self.expect_error("found 3 results of another model", *batch, "--resume", "strict", status=1)
        self.expect_error("found 3 results of another model", *batch, "--weights", "Q4_0", "--resume", "strict", status=1)
        self.assertIn("3 results of another model", self.rafter(*batch, "--weights", "Q4_0").stderr.decode())

    def test_experts_change_and_their_router_does_not(self):
        for name in ("mixtral", "gpt-oss"):
            model = program.make_tiny_model(self.folder / f"{name}.gguf", name, "F32")
            plain, _ = self.answer(model=model)
            self.assertNotEqual(self.answer("--weights", "Q4_0", model=model)[0], plain)
            self.assertEqual(self.answer("--weights", "F32", model=model)[0], plain)


if __name__ == "__main__":
    program.main()
