"""rafter quantize: files that the gguf package reads, whose matrices are nearer to the source than plain rounding, with the types that were
asked for; importances count; a run that is killed is continued to the same bytes; what cannot be done is refused in a line."""
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import unittest
from pathlib import Path

import program

try:
    import gguf
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}; install tests/requirements.txt")
    sys.exit(program.SKIP)

TYPES = gguf.GGMLQuantizationType


def tensors_of(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def floats_of(tensor):
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(-1, tensor.shape[0])


def field(path, key):
    return gguf.GGUFReader(path).fields[key].contents()


def write_gguf(path, tensors, keys=()):
    writer = gguf.GGUFWriter(path, "llama")
    for add in keys:
        add(writer)
    for name, array in tensors:
        writer.add_tensor(name, np.ascontiguousarray(array, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


def write_imatrix(path, entries):
    """name -> (sums of squares [n_matrices, n_cols], counts)."""
    tensors = []
    for name, (sums, counts) in entries.items():
        tensors += [(f"{name}.in_sum2", np.atleast_2d(sums)), (f"{name}.counts", np.reshape(counts, (-1, 1)))]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["a text"])
    writer.add_uint32("imatrix.chunk_count", 3)
    writer.add_uint32("imatrix.chunk_size", 512)
    for name, array in tensors:
        writer.add_tensor(name, np.ascontiguousarray(array, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


class QuantizeCase(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(3)
        cls.matrix = (rng.standard_normal((24, 512)) * np.exp(0.5 * rng.standard_normal(512))).astype(np.float32)
        cls.source = write_gguf(cls.folder / "source.gguf", [("blk.0.attn_v.weight", cls.matrix), ("blk.0.attn_norm.weight", np.ones(512)),
                                                             ("blk.0.ffn_down.weight", 3 * cls.matrix), ("output.weight", cls.matrix)])

    def setUp(self):
        self.out = self.folder / f"{self._testMethodName}.gguf"

    def quantize(self, source, *arguments, out=None, **options):
        return self.rafter("quantize", str(source), str(out or self.out), *arguments, **options)

    def refused(self, words, source, *arguments, status=1):
        message = self.expect_error(words, "quantize", str(source), str(self.out), *arguments, status=status)
        self.assertFalse(self.out.exists())
        return message


class Types(QuantizeCase):
    def test_every_type_is_nearer_than_plain_rounding(self):
        for name, file_type in (("Q4_0", 2), ("Q4_1", 3), ("Q5_0", 8), ("Q5_1", 9), ("Q8_0", 7), ("Q2_K", 10), ("Q3_K", 11), ("Q4_K", 14),
                                ("Q5_K", 16), ("Q6_K", 18), ("IQ4_NL", 25), ("IQ4_XS", 30)):
            with self.subTest(name):
                self.quantize(self.source, "--type", name.lower(), "--force")
                tensors = tensors_of(self.out)
                self.assertEqual({t.tensor_type for n, t in tensors.items() if "norm" not in n}, {TYPES[name]})
                self.assertEqual(tensors["blk.0.attn_norm.weight"].tensor_type, TYPES.F32)
                self.assertEqual(field(self.out, "general.file_type"), file_type)
                self.rafter("convert", self.source, str(self.folder / "plain.gguf"), "--type", name, "--force")
                plain = tensors_of(self.folder / "plain.gguf")
                for tensor in ("blk.0.attn_v.weight", "output.weight"):
                    error = float(((floats_of(tensors[tensor]) - self.matrix) ** 2).sum())
                    self.assertLess(error, 0.98 * float(((floats_of(plain[tensor]) - self.matrix) ** 2).sum()))

    def test_mixes_have_more_bits_where_errors_cost_more(self):
        ones = self.matrix[:, :256]
        names = ["token_embd.weight", "output.weight"]
        names += [f"blk.{i}.{part}.weight" for i in range(16) for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down")]
        source = write_gguf(self.folder / "layers.gguf", [(name, ones) for name in names])
        more = {0, 1, 4, 7, 10, 13, 14, 15}  # first and last eighth, every third between
        self.quantize(source, "--type", "q4_k_m")
        for name, tensor in tensors_of(self.out).items():
            layer = re.match(r"blk\.(\d+)\.(attn_v|ffn_down)", name)
            wanted = "Q6_K" if name == "output.weight" or (layer and int(layer[1]) in more) else "Q4_K"
            self.assertEqual(tensor.tensor_type.name, wanted, name)
        self.assertEqual(field(self.out, "general.file_type"), 15)
        self.quantize(source, "--type", "Q5_K_S", "--force")
        self.assertEqual({n for n, t in tensors_of(self.out).items() if t.tensor_type == TYPES.Q6_K}, {"output.weight"})
        self.assertEqual(field(self.out, "general.file_type"), 16)
        # Without an output matrix the table is the head.
        tied = write_gguf(self.folder / "tied.gguf", [("token_embd.weight", ones), ("blk.0.attn_q.weight", ones)])
        self.quantize(tied, "--type", "Q3_K_M", "--force")
        self.assertEqual({n: t.tensor_type.name for n, t in tensors_of(self.out).items()},
                         {"token_embd.weight": "Q6_K", "blk.0.attn_q.weight": "Q3_K"})

    def test_patterns_set_types_and_the_last_one_holds(self):
        self.quantize(self.source, "--type", "Q4_0", "--tensor", "attn_v=Q8_0", "--tensor", "blk.?.*=q5_1", "--tensor", "output.*=F16")
        self.assertEqual({n: t.tensor_type.name for n, t in tensors_of(self.out).items()},
                         {"blk.0.attn_v.weight": "Q5_1", "blk.0.attn_norm.weight": "F32", "blk.0.ffn_down.weight": "Q5_1", "output.weight": "F16"})
        self.out.unlink()
        self.refused('--tensor: expected a pattern that names a matrix of', self.source, "--type", "Q4_0", "--tensor", "attn_x=Q8_0")
        self.refused('--tensor: expected a pattern that names a matrix of', self.source, "--type", "Q4_0", "--tensor", "attn_norm=Q8_0")
        for wrong in ("attn_v", "attn_v=Q9", "=Q8_0", "attn_v=I32"):
            self.refused(f'expected PATTERN=TYPE, such as attn_v=Q8_0, found "{wrong}"', self.source, "--type", "Q4_0", "--tensor", wrong, status=2)

    def test_a_dry_run_says_what_would_be_written(self):
        said = self.quantize(self.source, "--type", "Q4_K", "--dry-run").stdout.decode()
        self.assertFalse(self.out.exists())
        self.quantize(self.source, "--type", "Q4_K")
        self.assertIn("bits a weight: 1 F32, 3 Q4_K", said.splitlines()[0])
        self.assertRegex(said, r"blk\.0\.attn_v\.weight +F32 +Q4_K")

    def test_substitutes_are_named(self):
        source = write_gguf(self.folder / "odd.gguf", [("a.weight", self.matrix[:, :96]), ("b.weight", self.matrix[:, :5])])
        done = self.quantize(source, "--type", "Q4_K")
        self.assertIn("rows that blocks of the wanted type do not divide: 1 F16, 1 Q5_0 instead", done.stderr.decode())

    def test_weights_that_are_quantised_already_are_said_to_be(self):
        once = self.folder / "once.gguf"
        self.quantize(self.source, "--type", "Q8_0", out=once)
        done = self.quantize(once, "--type", "Q4_0")
        self.assertIn("3 tensors of the source are quantised already: what that lost stays lost", done.stderr.decode())
        # The same type again changes nothing.
        self.quantize(once, "--type", "Q8_0", "--force")
        self.assertEqual(self.out.read_bytes(), once.read_bytes())


class Importance(QuantizeCase):
    def weighted(self, path, name, scale, importance):
        off = floats_of(tensors_of(path)[name]) - scale * self.matrix
        return float((off ** 2 * importance).sum())

    def test_columns_that_count_more_are_nearer(self):
        rng = np.random.default_rng(5)
        importance = np.exp(1.5 * rng.standard_normal(512)).astype(np.float32)
        entries = {name: (7 * importance, [7]) for name in ("blk.0.attn_v.weight", "output.weight")}
        imatrix = write_imatrix(self.folder / "a.imatrix", entries)
        for name in ("Q4_0", "Q8_0", "Q4_K", "Q6_K", "IQ4_XS"):
            with self.subTest(name):
                self.quantize(self.source, "--type", name, out=self.folder / "without.gguf").stdout
                done = self.quantize(self.source, "--type", name, "--imatrix", imatrix, "--force")
                self.assertIn("expected importances of 3 tensors, found those of 2; in the others all columns count the same", done.stderr.decode())
                without = self.weighted(self.folder / "without.gguf", "output.weight", 1, importance)
                self.assertLess(self.weighted(self.out, "output.weight", 1, importance), 0.95 * without)
                same = tensors_of(self.out)["blk.0.ffn_down.weight"].data.tobytes()
                self.assertEqual(same, tensors_of(self.folder / "without.gguf")["blk.0.ffn_down.weight"].data.tobytes())
                (self.folder / "without.gguf").unlink()

    def test_each_expert_has_its_own(self):
        stacked = np.stack([self.matrix[:8], self.matrix[8:16], self.matrix[16:]])
        source = write_gguf(self.folder / "experts.gguf", [("blk.0.ffn_up_exps.weight", stacked)])
        rng = np.random.default_rng(6)
        sums = np.exp(1.5 * rng.standard_normal((3, 512))).astype(np.float32)
        imatrix = write_imatrix(self.folder / "experts.imatrix", {"blk.0.ffn_up_exps.weight": (sums, [4, 9, 1])})
        self.quantize(source, "--type", "Q4_0", "--imatrix", imatrix)
        found = tensors_of(self.out)["blk.0.ffn_up_exps.weight"].data.reshape(24, -1)
        for e in range(3):
            alone = write_gguf(self.folder / "alone.gguf", [("blk.0.ffn_up.weight", stacked[e])])
            single = write_imatrix(self.folder / "single.imatrix", {"blk.0.ffn_up.weight": (sums[e], [2])})
            out = self.folder / "alone-out.gguf"
            self.quantize(alone, "--type", "Q4_0", "--imatrix", single, "--force", out=out)
            self.assertEqual(found[8 * e:8 * e + 8].tobytes(), tensors_of(out)["blk.0.ffn_up.weight"].data.tobytes())

    def test_those_of_another_model_are_refused(self):
        other = write_imatrix(self.folder / "other.imatrix", {"blk.9.attn_x.weight": (np.ones(512), [1])})
        self.refused("other.imatrix: expected importances of this model's tensors, such as blk.0.attn_v.weight, found none of them", self.source,
                     "--type", "Q4_0", "--imatrix", other)
        narrow = write_imatrix(self.folder / "narrow.imatrix", {"output.weight": (np.ones(256), [1])})
        self.refused("narrow.imatrix: importance of output.weight: expected", self.source, "--type", "Q4_0", "--imatrix", narrow)
        self.refused("no-such: ", self.source, "--type", "Q4_0", "--imatrix", str(self.folder / "no-such"))
        self.refused("source.gguf: ", self.source, "--type", "Q4_0", "--imatrix", self.source)


class OnTinyModel(program.Case):
    """A tiny model in floats, and a text to calibrate on."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = program.make_tiny_model(cls.folder / "floats.gguf", dtype="F32")
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(" ".join(f"word{i * i % 97}" for i in range(60 if program.SANITIZED else 200)))

    def setUp(self):
        self.out = self.folder / f"{self._testMethodName}.gguf"


class Targets(OnTinyModel):
    """On a tiny model: the target is met, from below, and measured losses are near the predicted ones."""
    def reach(self, target, *arguments, **options):
        return self.rafter("quantize", self.source, str(self.out), "--target", target, "--text", str(self.text), "--force", *arguments, **options)

    def refuse(self, words, target, *arguments, status=1):
        self.expect_error(words, "quantize", self.source, str(self.out), "--target", target, *arguments, status=status)
        self.assertFalse(self.out.exists())

    def test_a_size_is_met_and_nearly_filled(self):
        self.reach("size=1GB")
        largest = self.out.stat().st_size
        for part in (0.6, 0.8):
            wanted = int(largest * part)
            said = self.reach(f"size={wanted}").stdout.decode()
            size = self.out.stat().st_size
            self.assertLessEqual(size, wanted)
            self.assertGreater(size, 0.93 * wanted)
            self.assertRegex(said.splitlines()[0], r"^chosen: size=.*KL \d\.\d+ predicted, \d\.\d+ \u00b1 \d\.\d+ measured on text\.txt$")
            predicted, measured = (float(x) for x in re.search(r"KL (\S+) predicted, (\S+) ", said).groups())
            self.assertLess(abs(predicted - measured), 0.5 * measured + 1e-4)
            # The repair keeps what is better on the text, and nothing else.
            first, last = (float(x) for x in re.search(r"Repair: \d+ other choices of the same cost measured, \d+ kept, KL (\S+) -> (\S+)\.", said).groups())
            self.assertLessEqual(last, first)
            self.assertAlmostEqual(last, measured, delta=1e-5)
            self.assertGreater(len({t.tensor_type for t in gguf.GGUFReader(self.out).tensors}), 2)

    def test_bits_a_weight_are_met(self):
        self.reach("bpw=7")
        tensors = gguf.GGUFReader(self.out).tensors
        bits = 8 * sum(t.n_bytes for t in tensors) / sum(t.n_elements for t in tensors)
        self.assertLessEqual(bits, 7)
        self.assertGreater(bits, 6.5)

    def test_a_dry_run_writes_nothing(self):
        said = self.reach("bpw=7", "--dry-run").stdout.decode()
        self.assertFalse(self.out.exists())
        self.assertRegex(said, r"(?m)^> +\S+ \S+ +[67]\.\d\d ")

    def test_what_cannot_be_reached_is_refused_with_the_nearest(self):
        self.refuse("expected one that this model can reach: the nearest is size=", "size=1kB", "--text", str(self.text))
        self.refuse("expected one that this model can reach: the nearest is bpw=", "bpw=0.5", "--text", str(self.text))
        short = self.folder / "short.txt"
        short.write_text("hello")
        self.refuse("short.txt: expected at least", "bpw=5", "--text", str(short))
        for wrong in ("5", "bpw=", "bpw=-1", "bpw=x", "size=0", "size=lots", "tok/s=0", "tok/s=nan", "kl=3"):
            self.refuse("--target: expected bpw=BITS, size=BYTES or tok/s=RATE", wrong, "--text", str(self.text), status=2)
        self.refuse("instead, found neither or both", "bpw=5", "--type", "Q4_0", status=2)
        # As it was asked for, however far from anything.
        for asked in ("tok/s=1e300", "size=700", "bpw=1e-300"):
            self.refuse(f"--target {asked}: expected one that this model can reach", asked, "--hardware", "RTX-4090", "--text", str(self.text))

    def test_the_nearest_target_can_be_reached(self):
        for asked in ("size=1kB", "bpw=0.5", "tok/s=1e9"):
            with self.subTest(asked):
                command = ["quantize", self.source, str(self.out), "--text", str(self.text), "--hardware", "RTX-4090", "--dry-run", "--threads", "1"]
                nearest = self.rafter(*command, "--target", asked, status=1).stderr.decode().split("nearest is ")[1].split()[0]
                self.rafter(*command, "--target", nearest)

    def test_what_is_known_before_is_refused_before_anything_is_measured(self):
        imatrix = write_imatrix(self.folder / "other.imatrix", {"blk.77.attn_v.weight": (np.ones(64), [1])})
        small = write_imatrix(self.folder / "small.imatrix", {"blk.0.attn_v.weight": (np.ones(32), [1])})
        there = self.folder / "there.gguf"
        there.write_text("mine")
        kinds = (("--target", "bpw=6"), ("--target", "tok/s=10", "--hardware", "RTX-4090"), ("--type", "Q4_0", "--refine"))
        for kind in kinds:
            for words, out, arguments in (("there.gguf: expected no such file, found one; --force replaces it", there, ()),
                                          ("expected an existing folder, found no ", self.folder / "none" / "out.gguf", ()),
                                          ("other.imatrix: expected importances of this model's tensors", self.out, ("--imatrix", imatrix)),
                                          ("small.imatrix: importance of blk.0.attn_v.weight: expected", self.out, ("--imatrix", small))):
                with self.subTest(kind=kind, words=words):
                    # The one line, without the note that says what is measured on.
                    self.expect_error(words, "quantize", self.source, str(out), *kind, "--text", str(self.text), *arguments)
        self.assertEqual(there.read_text(), "mine")
        self.assertFalse(self.out.exists())
        # The output's place is not blamed on the importances.
        message = self.expect_error("expected an existing folder", "quantize", self.source, str(self.folder / "none" / "out.gguf"), "--type", "Q4_0",
                                    "--imatrix", small)
        self.assertNotIn("small.imatrix", message)

    def test_no_file_that_is_read_is_written(self):
        imatrix = self.folder / "own.imatrix"
        self.rafter("imatrix", self.source, "--text", str(self.text), "--context", "64", "--out", str(imatrix), "--force")
        link, split = self.folder / "link.txt", self.folder / "part.gguf"
        link.unlink(missing_ok=True)
        os.link(self.text, link)
        self.rafter("quantize", self.source, str(split), "--type", "F16", "--split", "100kB", "--force")
        parts = sorted(str(path) for path in self.folder.glob("part-*.gguf"))
        self.assertGreater(len(parts), 2)
        read = [Path(path) for path in (self.text, link, imatrix, self.source, *parts)]
        before = [path.read_bytes() for path in read]
        inputs = ("--text", str(self.text), "--imatrix", str(imatrix))
        for other in (self.text, link, imatrix):
            self.expect_error("expected another output than the ", "quantize", self.source, str(other), "--target", "bpw=6", *inputs, "--force", status=2)
            self.expect_error("expected another output than the ", "quantize", self.source, str(other), "--type", "Q4_0", "--refine", *inputs, "--force",
                              status=2)
        self.expect_error("expected another output than the text", "quantize", self.source, str(self.text), "--type", "Q4_0", "--text", str(self.text),
                          "--force", status=2)
        for option in ("--html", "--svg"):
            for other in (self.text, link, imatrix, parts[0], parts[2]):
                self.expect_error(f"{option}: expected another file than the ", "quantize", parts[1], str(self.out), "--target", "bpw=6", *inputs, option,
                                  str(other), status=2)
        self.assertEqual([path.read_bytes() for path in read], before)

    def test_a_text_that_nothing_would_read_is_refused(self):
        imatrix = write_imatrix(self.folder / "ones.imatrix", {"blk.0.attn_v.weight": (np.ones(64), [1])})
        self.expect_error("--text: expected --refine or --target beside it", "quantize", self.source, str(self.out), "--type", "Q4_0", "--text",
                          str(self.text), "--imatrix", imatrix, status=2)

    def test_named_matrices_keep_their_type_and_the_target_is_met_by_the_others(self):
        self.reach("bpw=6")
        free = {t.name: t.tensor_type.name for t in gguf.GGUFReader(self.out).tensors}
        self.reach("bpw=6", "--tensor", "attn_v=Q8_0", "--tensor", "blk.0.ffn_down.weight=Q4_K")
        tensors = gguf.GGUFReader(self.out).tensors
        types = {t.name: t.tensor_type.name for t in tensors}
        values = [name for name in types if "attn_v.weight" in name]
        self.assertTrue(values)
        self.assertEqual({types[name] for name in values}, {"Q8_0"})
        self.assertNotEqual({free[name] for name in values}, {"Q8_0"})
        n_cols = next(int(t.shape[0]) for t in tensors if t.name == "blk.0.ffn_down.weight")
        self.assertEqual(types["blk.0.ffn_down.weight"], "Q4_K" if n_cols % 256 == 0 else "Q5_0")
        bits = 8 * sum(t.n_bytes for t in tensors) / sum(t.n_elements for t in tensors)
        self.assertLessEqual(bits, 6)
        self.assertGreater(bits, 5.5)
        self.out.unlink()
        self.refuse("the nearest is bpw=", "bpw=4", "--text", str(self.text), "--tensor", "*=Q8_0")
        self.refuse("--tensor: expected a pattern that names a matrix of", "bpw=6", "--text", str(self.text), "--tensor", "attn_x=Q8_0")

    @unittest.skipIf(program.SANITIZED, "over a minute, for what the other targets and `imatrix --self` reach too")
    def test_without_a_text_the_model_writes_one_and_the_first_lines_say_so(self):
        done = self.rafter("quantize", self.source, str(self.out), "--target", "bpw=6")
        self.assertIn("rafter quantize: measuring on text that the model wrote itself: ", done.stderr.decode())
        self.assertRegex(done.stdout.decode().splitlines()[0], "^chosen: bpw=.* measured on text that the model wrote itself$")
        first = self.out.read_bytes()
        self.rafter("quantize", self.source, str(self.out), "--target", "bpw=6", "--force")
        self.assertEqual(self.out.read_bytes(), first)  # the same text, so that an interrupted run is continued

    def test_the_front_is_drawn(self):
        page, picture = self.folder / "front.html", self.folder / "front.svg"
        said = self.reach("bpw=6", "--html", str(page), "--svg", str(picture), "--dry-run", "--tensor", "output=Q8_0").stdout.decode()
        html, svg = page.read_text(), picture.read_text()
        chosen = re.search(r"(?m)^> +(\S+ \S+) ", said)[1]
        for text in (html, svg):
            self.assertIn(f"chosen: {chosen}, ", text)
        self.assertEqual(html.count("<svg"), 2)  # for wide windows and for phones
        self.assertIn("--target bpw=6 --text text.txt --tensor output=Q8_0", html)
        self.assertNotIn(str(self.folder), html)
        self.refuse("--svg: expected another file than --html", "bpw=6", "--html", str(page), "--svg", str(page), status=2)
        self.expect_error("--html: expected --target", "quantize", self.source, str(self.out), "--type", "Q4_0", "--html", str(page), status=2)


    def test_reports_and_metadata_are_utf8_whatever_the_names_of_files(self):
        named = os.fsencode(self.folder) + b"/t\xff.txt"
        Path(os.fsdecode(named)).write_bytes(self.text.read_bytes())
        page, picture, imatrix = (self.folder / name for name in ("utf8.html", "utf8.svg", "utf8.imatrix"))
        self.rafter("quantize", self.source, str(self.out), "--target", "bpw=6", "--refine", "--text", named, "--html", str(page), "--svg", str(picture))
        for path in (page, picture):
            self.assertIn("t\ufffd.txt", path.read_text(encoding="utf-8"))
        self.assertEqual(field(self.out, "quantize.refine.dataset"), "t\ufffd.txt")
        self.rafter("imatrix", self.source, "--text", named, "--context", "64", "--out", str(imatrix))
        self.assertEqual(field(imatrix, "imatrix.datasets"), [str(self.folder / "t\ufffd.txt")])


class Speeds(OnTinyModel):
    """Tokens a second, of a device and of this machine, whose profile is measured quickly once."""
    def reach(self, rate, *arguments, status=0):
        return self.rafter("quantize", self.source, str(self.out), "--target", f"tok/s={rate}", "--text", str(self.text), "--force", "--threads", "1",
                           *arguments, status=status)

    def nearest(self, *arguments):
        message = self.reach(1e12, *arguments, status=1).stderr.decode()
        self.assertFalse(self.out.exists())
        self.assertEqual(message.count("expected one that this model can reach: the nearest is tok/s="), 1)
        return float(message.split("nearest is tok/s=")[1])

    def test_a_device_of_the_catalog_is_priced_as_a_plan_prices_it(self):
        fastest = self.nearest("--hardware", "RTX-4090")
        said = self.reach(0.9 * fastest, "--hardware", "rtx 4090").stdout.decode()
        self.assertRegex(said.splitlines()[0], r"^chosen: tok/s=\S+ predicted for RTX-4090, KL ")
        self.assertIn("RTX-4090 was not measured", said.splitlines()[1])
        rate = float(re.search(r"tok/s=(\S+) predicted", said)[1])
        self.assertGreaterEqual(rate, 0.9 * fastest * 0.9999)
        context = str(min(512, field(self.out, "llama.context_length")))
        plan = self.json_plan(self.out, "--hardware", "RTX-4090", "--efficiency", "calibrated", "--engine", "ideal", "--context", context)
        self.assertAlmostEqual(plan, rate, delta=0.01 * rate)

    def json_plan(self, *arguments):
        answer = json.loads(self.rafter("plan", *map(str, arguments), "--format", "json").stdout)
        return answer["decode"]["tokens_per_second"]

    def test_unknown_devices_are_refused_with_the_nearest_names(self):
        message = self.expect_error("--hardware: no device", "quantize", self.source, str(self.out), "--target", "tok/s=30", "--hardware", "RTX-4091")
        self.assertIn("nearest: RTX-4090", message)
        self.assertFalse(self.out.exists())
        self.expect_error("--hardware: expected --target beside it", "quantize", self.source, str(self.out), "--type", "Q4_0", "--hardware", "RTX-4090",
                          status=2)

    def test_a_speed_on_this_machine_is_met_by_the_profile(self):
        self.rafter("probe", "--quick", "--threads", "1", "--force")
        fastest = self.nearest()
        said = self.reach(0.95 * fastest).stdout.decode()
        self.assertRegex(said.splitlines()[0], r"^chosen: tok/s=\S+ predicted for this machine, KL ")
        rate = float(re.search(r"tok/s=(\S+) predicted", said)[1])
        self.assertGreaterEqual(rate, 0.9499 * fastest)
        self.assertLessEqual(rate, fastest * 1.0001)
        self.assertRegex(said, r"(?m)^ +size +bits +tok/s +KL +matrices$")


class Refined(OnTinyModel):
    """--refine: outputs are nearer to the source's, on a text that nothing was measured on; the file says so; any number of threads and a
    killed run give the same bytes."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text.write_text(" ".join(f"word{i * i % 97} the {i % 13}and" for i in range(80 if program.SANITIZED else 300)))
        cls.judge = cls.folder / "judge.txt"
        cls.judge.write_text(" ".join(f"the word{i * 7 % 89} {i % 11}or and" for i in range(150)))

    def refine(self, *arguments, out=None, **options):
        return self.rafter("quantize", self.source, str(out or self.out), "--refine", "--text", str(self.text), *arguments, **options)

    def loss(self, path):
        return self.json_of("eval", str(path), "--against", self.source, "--text", str(self.judge), "--context", "64", "--activations", "f32")["kl"]

    def test_outputs_are_nearer_to_the_source_on_another_text(self):
        plain = self.folder / "plain.gguf"
        for name in ("Q4_0", "Q4_1", "IQ4_NL"):
            with self.subTest(name):
                said = self.refine("--type", name, "--force").stdout.decode()
                self.rafter("quantize", self.source, str(plain), "--type", name, "--text", str(self.text), "--force")
                self.assertEqual(self.out.stat().st_size // 4096, plain.stat().st_size // 4096)
                lower = float(re.search(r"errors fed back in \d+ tensors: their expected output error is (\S+)% lower on average", said)[1])
                self.assertGreater(lower, 10)
                self.assertLess(self.loss(self.out), 0.9 * self.loss(plain))

    def test_a_mix_and_named_types_are_refined_too(self):
        done = self.refine("--type", "Q5_K_M", "--tensor", "attn_v=F16", "--tensor", "attn_q=Q8_0")
        types = {t.name: t.tensor_type.name for t in gguf.GGUFReader(self.out).tensors}
        self.assertEqual({t for n, t in types.items() if "attn_v.weight" in n}, {"F16"})
        self.assertEqual({t for n, t in types.items() if "attn_q.weight" in n}, {"Q8_0"})
        self.assertRegex(done.stderr.decode(), r"errors of \d+ of \d+ tensors will be fed back; [\d,]+ tokens are read in 1 part\n")

    def test_the_file_says_so_until_it_is_quantised_without(self):
        self.refine("--type", "Q8_0")
        self.assertEqual(field(self.out, "quantize.refine.dataset"), "text.txt")
        self.assertGreater(field(self.out, "quantize.refine.tokens_count"), 500)
        copy, again = self.folder / "copy.gguf", self.folder / "again.gguf"
        self.rafter("convert", str(self.out), str(copy))
        self.assertEqual(field(copy, "quantize.refine.dataset"), "text.txt")
        self.rafter("quantize", str(self.out), str(again), "--type", "Q4_0")
        self.assertFalse([key for key in gguf.GGUFReader(again).fields if "refine" in key])

    def test_any_number_of_threads_gives_the_same_bytes(self):
        other = self.folder / "other.gguf"
        self.refine("--type", "Q4_0", "--threads", "1")
        self.refine("--type", "Q4_0", "--threads", "2", out=other)
        self.assertEqual(self.out.read_bytes(), other.read_bytes())

    def test_importances_from_a_file_choose_the_scales(self):
        imatrix = self.folder / "some.imatrix"
        self.rafter("imatrix", self.source, "--text", str(self.text), "--context", "64", "--out", str(imatrix))
        self.refine("--type", "Q4_0", "--imatrix", str(imatrix))
        self.assertLess(self.loss(self.out), 1.0)

    def test_a_target_is_met_with_it(self):
        self.refine("--target", "bpw=6")
        tensors = gguf.GGUFReader(self.out).tensors
        self.assertLessEqual(8 * sum(t.n_bytes for t in tensors) / sum(t.n_elements for t in tensors), 6)
        self.assertEqual(field(self.out, "quantize.refine.dataset"), "text.txt")

    def test_a_dry_run_says_what_would_be_fed_back_and_writes_nothing(self):
        done = self.refine("--type", "Q4_0", "--dry-run")
        self.assertFalse(self.out.exists())
        self.assertIn("will be fed back", done.stderr.decode())
        self.assertIn("bits a weight", done.stdout.decode())

    def test_a_run_that_is_killed_is_continued_to_the_same_bytes(self):
        expected = self.folder / "expected.gguf"
        self.refine("--type", "Q4_0", out=expected)
        command = [program.BINARY, "quantize", self.source, str(self.out), "--refine", "--text", str(self.text), "--type", "Q4_0", "--threads", "1"]
        journal = Path(f"{self.out}.partial-journal")
        run = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while run.poll() is None and not (journal.exists() and journal.read_text().count("unit ") > 2):
            pass
        run.send_signal(signal.SIGKILL)
        run.wait()
        # Another text is another conversion; it leaves nothing of this one.
        self.rafter(*command[1:])
        self.assertEqual(self.out.read_bytes(), expected.read_bytes())

    @unittest.skipIf(program.SANITIZED, "`imatrix --self` writes a text too")
    def test_without_a_text_the_model_writes_one(self):
        done = self.rafter("quantize", self.source, str(self.out), "--type", "Q4_0", "--refine")
        self.assertIn("measuring on text that the model wrote itself", done.stderr.decode())
        self.assertEqual(field(self.out, "quantize.refine.dataset"), "text that the model wrote itself")

    def test_what_cannot_be_refined_is_refused(self):
        short = self.folder / "short.txt"
        short.write_text("hello")
        for words, arguments in (("short.txt: expected at least", ("--type", "Q4_0", "--text", str(short))),
                                 ("no-such.txt", ("--type", "Q4_0", "--text", str(self.folder / "no-such.txt"))),
                                 ("--refine: expected matrices that become blocks of another type", ("--type", "F16", "--text", str(self.text)))):
            done = self.rafter("quantize", self.source, str(self.out), "--refine", "--quiet", *arguments, status=1)
            self.assertIn(words, done.stderr.decode())
            self.assertEqual(done.stderr.decode().count("\n"), 1)
            self.assertFalse(self.out.exists())

    def test_weights_that_are_no_numbers_are_named(self):
        damaged = self.folder / "damaged.gguf"
        data = bytearray(Path(self.source).read_bytes())
        tensor = tensors_of(self.source)["blk.0.attn_output.weight"]
        data[tensor.data_offset:tensor.data_offset + 4] = np.float32(np.nan).tobytes()
        damaged.write_bytes(data)
        for arguments in (("--type", "Q4_0"), ("--type", "Q4_0", "--refine"), ("--target", "bpw=6")):
            # Before anything is measured: the inputs that such a weight spoils are those of other matrices.
            self.expect_error("tensor blk.0.attn_output.weight: element 0: expected finite numbers, found NaN or infinity", "quantize",
                              str(damaged), str(self.out), *arguments, "--text", str(self.text))
            self.assertFalse(self.out.exists())
        message = self.rafter("quantize", str(damaged), str(self.out), "--type", "Q4_0", "--refine", "--allow-nan", "--text", str(self.text),
                              "--quiet", status=1).stderr.decode()
        self.assertIn("expected finite inputs", message)
        self.assertFalse(self.out.exists())


class BadInput(QuantizeCase):
    def test_what_is_no_number_is_named(self):
        bad = self.matrix.copy()
        bad[3, 7] = np.nan
        source = write_gguf(self.folder / "nan.gguf", [("output.weight", bad)])
        self.refused("tensor output.weight: element 1543: expected finite numbers, found NaN or infinity", source, "--type", "Q4_K")
        self.quantize(source, "--type", "Q4_K", "--allow-nan")
        large = write_gguf(self.folder / "large.gguf", [("output.weight", 1e30 * self.matrix)])
        self.out.unlink()
        self.refused("tensor output.weight: element 0: expected a number that Q4_0 can hold, found a larger one", large, "--type", "Q4_0")

    def test_another_source_of_the_same_name_size_and_time_is_begun_anew(self):
        folders = [self.folder / name for name in ("one", "other")]
        n_tensors = 40
        for folder, sign in zip(folders, (1, -1)):
            folder.mkdir()
            write_gguf(folder / "same.gguf", [(f"blk.{i}.ffn_up.weight", sign * np.tile(self.matrix, (20, 1))) for i in range(n_tensors)])
            os.utime(folder / "same.gguf", ns=(10 ** 18, 10 ** 18))
        expected = self.folder / "fresh.gguf"
        self.quantize(folders[1] / "same.gguf", "--type", "Q2_K", out=expected)
        # A run that ends half-way: no file may become as large as the whole.
        half = expected.stat().st_size // 2
        run = subprocess.run([program.BINARY, "quantize", str(folders[0] / "same.gguf"), str(self.out), "--type", "Q2_K", "--threads", "1"],
                             env=self.environment, capture_output=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (half, half)))
        self.assertNotEqual(run.returncode, 0)
        self.assertGreater(Path(f"{self.out}.partial-journal").read_bytes().count(b"\nunit "), 1)
        done = self.quantize(folders[1] / "same.gguf", "--type", "Q2_K")
        self.assertIn("an unfinished conversion of another source or with other options was there; starting over", done.stderr.decode())
        self.assertEqual(self.out.read_bytes(), expected.read_bytes())

    def test_types_are_listed(self):
        message = self.refused("--type: expected one of F32, F16, BF16, Q4_0", self.source, "--type", "Q9", status=2)
        self.assertIn("Q4_K_M", message)
        self.refused("or --target instead, found neither or both", self.source, status=2)

    def test_the_source_is_not_overwritten(self):
        before = Path(self.source).read_bytes()
        self.expect_error("found the same file", "quantize", self.source, self.source, "--type", "Q4_0", "--force", status=2)
        self.assertEqual(Path(self.source).read_bytes(), before)

    def test_a_run_that_is_killed_is_continued(self):
        big = write_gguf(self.folder / "big.gguf", [(f"blk.{i}.ffn_up.weight", np.tile(self.matrix, (20 if program.SANITIZED else 120, 1))) for i in range(8)])
        expected = self.folder / "expected.gguf"
        self.quantize(big, "--type", "Q2_K", out=expected)
        command = [program.BINARY, "quantize", big, str(self.out), "--type", "Q2_K", "--threads", "1"]
        wait_s = 0.1
        for _ in range(30):
            run = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(timeout=wait_s)
            wait_s *= 1.6 if program.SANITIZED else 1.2  # until a tensor is written in that time, on any machine
            run.send_signal(signal.SIGKILL)
            run.wait()
            self.assertFalse(self.out.exists() and run.returncode < 0 and os.path.getsize(self.out) != os.path.getsize(expected))
            if run.returncode == 0:
                break
        if not self.out.exists():
            self.assertIn("were written before", self.quantize(big, "--type", "Q2_K").stdout.decode())
        self.assertEqual(self.out.read_bytes(), expected.read_bytes())


if __name__ == "__main__":
    program.main()
