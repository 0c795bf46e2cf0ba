"""rafter compare: its numbers beside those of eval and info, the Pareto front, its files, and its failures."""
import json
import math
import os
import re
from xml.etree import ElementTree

import program

CONTEXT = "32"


class Compare(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(" ".join(f"word{i * i % 97}" for i in range(60)))
        cls.small = program.make_tiny_model(cls.folder / "small.gguf", dtype="Q4_0")
        cls.wide = program.make_tiny_model(cls.folder / "wide.gguf", dtype="F32")
        cls.out = cls.folder / "out"
        cls.out.mkdir()
        cls.arguments = ["compare", cls.wide, cls.model, cls.small, "--text", str(cls.text), "--context", CONTEXT]
        case = cls("test_each_number_is_that_of_eval_and_of_the_file")
        case.environment = cls.environment
        cls.done = case.rafter(*cls.arguments, "--json", str(cls.out / "c.json"), "--html", str(cls.out / "c.html"), "--svg",
                               str(cls.out / "c.svg"))
        cls.result = json.loads((cls.out / "c.json").read_text())

    def test_each_number_is_that_of_eval_and_of_the_file(self):
        self.assertEqual([m["file"] for m in self.result["models"]], ["wide.gguf", "tiny.gguf", "small.gguf"])
        for path, got in zip((self.wide, self.model, self.small), self.result["models"]):
            alone = self.json_of("eval", path, "--against", self.wide, "--text", str(self.text), "--context", CONTEXT)
            for key in ("kl", "kl_error", "kl_99", "kl_999", "kl_max", "same_top", "perplexity", "perplexity_ratio", "n_scored"):
                self.assertEqual(got[key], alone[key], key)
            self.assertEqual(got["size_bytes"], os.path.getsize(path))
            for key in ("prefill_tokens_per_second", "decode_tokens_per_second"):
                self.assertGreater(got[key]["measured"], 0)
                self.assertGreater(got[key]["predicted"], 0)
        bits = [m["bits_per_weight"] for m in self.result["models"]]
        self.assertTrue(bits[0] > bits[1] > bits[2] > 4, bits)
        self.assertLess(self.result["models"][1]["kl"], self.result["models"][2]["kl"])
        self.assertEqual((self.result["reference"], self.result["reference_mode"]), ("wide.gguf", "exact"))

    def test_the_front_has_those_that_no_other_beats(self):
        models = self.result["models"]
        for m in models:
            speed = m["decode_tokens_per_second"]["measured"]
            beaten = any(o["decode_tokens_per_second"]["measured"] >= speed and o["kl"] <= m["kl"] and
                         (o["decode_tokens_per_second"]["measured"], o["kl"]) != (speed, m["kl"]) for o in models)
            self.assertEqual(m["on_front"], not beaten)

    def test_text_begins_with_the_answer_and_fits_80_columns(self):
        lines = self.done.stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^Pareto front, from the fastest: \d \([\d.,]+ tok/s, KL [<\d.⁻⁷]+\)")
        self.assertLessEqual(max(map(len, lines)), 80, max(lines, key=len))
        for m in self.result["models"]:
            self.assertTrue(any(m["file"] in line for line in lines))
        self.assertTrue(any("│" in line and re.search(r"[123]", line) for line in lines))

    def test_picture_and_page_are_whole_and_show_every_model(self):
        svg = (self.out / "c.svg").read_text()
        ElementTree.fromstring(svg)
        page = (self.out / "c.html").read_text()
        self.assertNotRegex(page, r'(?:src|href)="http')
        for m in self.result["models"]:
            self.assertIn(m["file"], svg)
            self.assertIn(m["file"], page)
        self.assertNotIn(str(self.folder), svg + page + json.dumps(self.result))
        for number in re.findall(r'(?<!\w)(?:cx|cy|x|y|x1|y1|x2|y2|r)="([^"]*)"', svg):
            self.assertTrue(math.isfinite(float(number)))

    def test_another_reference_may_be_named_and_computed_as_the_models_are(self):
        path = self.out / "same.json"
        self.rafter("compare", self.small, self.small, "--against", self.small, "--reference-mode", "same", "--text", str(self.text), "--context",
                    CONTEXT, "--windows", "2", "--json", str(path))
        result = json.loads(path.read_text())
        for m in result["models"]:
            self.assertEqual((m["kl"], m["same_top"]), (0, 1))
        self.assertEqual(result["n_windows"], 2)
        self.assertEqual(result["command"], "rafter compare small.gguf small.gguf --against small.gguf --reference-mode same --text text.txt "
                                            "--windows 2 --context 32")

    def test_failures(self):
        self.expect_error("expected 2 to 64 models, found 1", "compare", self.model, status=2)
        self.expect_error("nowhere", "compare", self.model, str(self.folder / "nowhere.gguf"))
        other = str(program.ROOT / "tests" / "golden" / "checkpoints" / "llama")
        self.expect_error("the vocabulary differs from that of", "compare", self.model, other)
        self.expect_error("the vocabulary differs from that of", *self.arguments, "--against", other)
        self.expect_error("--html: expected another file than a model", *self.arguments, "--html", self.small, status=2)
        text = self.folder / "read.txt"
        text.write_text("read")
        self.expect_error("--json: expected another file than the text", *self.arguments, "--text", str(text), "--json", str(text), status=2)
        reference = program.make_tiny_model(self.folder / "reference.gguf")
        self.expect_error("--json: expected another file than a model", *self.arguments, "--against", reference, "--json", reference, status=2)
        # A model may be named: by its name in the folder of models too.
        models = self.folder / "named"
        models.mkdir(exist_ok=True)
        named = program.make_tiny_model(models / "tiny-named.gguf")
        self.expect_error("--html: expected another file than a model", "compare", "tiny-named", self.small, "--html", named, status=2,
                          env={**self.environment, "RAFTER_MODELS_DIR": str(models)})
        self.expect_error("--svg: expected another file than --html", *self.arguments, "--html", str(self.out / "x"), "--svg",
                          str(self.out / "x"), status=2)
        self.expect_error("--json: expected a file, found the folder", *self.arguments, "--json", str(self.out))
        self.expect_error("--svg: ", *self.arguments, "--svg", str(self.folder / "no" / "x.svg"))
        self.expect_error("expected at least 4", *self.arguments, "--context", "3", status=2)


if __name__ == "__main__":
    program.main()
