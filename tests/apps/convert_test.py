"""rafter convert against the PyPI package gguf: copies are equal to the bit, other types are what the package makes of the same floats, a
Hugging Face folder gives the same logits and tokens as its file,
joining undoes splitting, and a run that is killed or finds no room is continued to the same bytes."""
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

import program

try:
    import gguf
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}; install tests/requirements.txt")
    sys.exit(program.SKIP)


def tensors_of(path):
    """Name -> (type, shape, bytes)."""
    return {t.name: (t.tensor_type, tuple(t.shape), t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}


def metadata_of(path):
    """Key -> (types, value's bytes), without what a reader adds and what splitting adds."""
    fields = gguf.GGUFReader(path).fields.values()
    return {f.name: (tuple(f.types), b"".join(f.parts[i].tobytes() for i in f.data)) for f in fields if not f.name.startswith(("GGUF.", "split."))}


def write_gguf(path, tensors, keys=()):
    writer = gguf.GGUFWriter(path, "llama")
    for add in keys:
        add(writer)
    for name, array, dtype in tensors:
        if dtype is None:
            writer.add_tensor(name, array)
        else:
            writer.add_tensor(name, gguf.quants.quantize(array, dtype), raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


class ConvertCase(program.Case):
    def setUp(self):
        self.out = self.folder / f"{self._testMethodName}.gguf"

    def convert(self, source, *arguments, out=None, **options):
        return self.rafter("convert", str(source), str(out or self.out), *arguments, **options)

    def left_behind(self, out=None):
        return sorted(path.name for path in self.folder.glob(f"{Path(out or self.out).stem}*"))


class Copies(ConvertCase):
    def test_a_copy_has_the_same_metadata_and_tensors(self):
        kinds = [lambda w: w.add_uint8("k.u8", 200), lambda w: w.add_int8("k.i8", -3), lambda w: w.add_uint16("k.u16", 60000),
                 lambda w: w.add_int16("k.i16", -300), lambda w: w.add_uint32("k.u32", 7), lambda w: w.add_int32("k.i32", -7),
                 lambda w: w.add_uint64("k.u64", 1 << 63), lambda w: w.add_int64("k.i64", -(1 << 62)), lambda w: w.add_float32("k.f32", 0.1),
                 lambda w: w.add_float64("k.f64", 0.1), lambda w: w.add_bool("k.bool", True), lambda w: w.add_string("k.text", "\u00e9\n"),
                 lambda w: w.add_array("k.ints", [1, -2]), lambda w: w.add_array("k.floats", [0.5, 1.5]),
                 lambda w: w.add_array("k.texts", ["a", ""]), lambda w: w.add_array("k.bools", [True, False]),
                 lambda w: w.add_array("k.bytes", b"\x00\xff")]
        rng = np.random.default_rng(1)
        tensors = [("a.weight", rng.standard_normal((5, 64), dtype=np.float32), None), ("a.bias", np.ones(5, np.float32), None),
                   ("b.weight", rng.standard_normal((3, 2, 64), dtype=np.float32).astype(np.float16), None),
                   ("c.weight", rng.standard_normal((7, 256), dtype=np.float32), gguf.GGMLQuantizationType.Q8_0),
                   ("ids", np.arange(3, dtype=np.int32), None)]
        source = write_gguf(self.folder / "kinds-source.gguf", tensors, kinds)
        printed = self.convert(source).stdout.decode()
        self.assertIn("5 tensors", printed)
        self.assertEqual(metadata_of(self.out), metadata_of(source))
        self.assertEqual(tensors_of(self.out), tensors_of(source))
        self.assertEqual(self.left_behind(), [self.out.name])

    def test_a_model_that_this_program_wrote_is_copied_to_the_byte(self):
        self.convert(self.model)
        self.assertEqual(tensors_of(self.out), tensors_of(self.model))
        self.assertEqual(metadata_of(self.out), metadata_of(self.model))
        self.assertEqual(self.out.read_bytes(), Path(self.model).read_bytes())

    def test_an_alignment_is_kept(self):
        source = write_gguf(self.folder / "aligned-source.gguf", [("a.weight", np.ones((3, 5), np.float32), None),
                                                                  ("b.weight", np.ones((2, 5), np.float32), None)],
                            [lambda w: w.add_custom_alignment(128)])
        self.convert(source)
        self.assertEqual({t.data_offset % 128 for t in gguf.GGUFReader(self.out).tensors}, {0})
        self.assertEqual(tensors_of(self.out), tensors_of(source))


class Types(ConvertCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = program.make_tiny_model(cls.folder / "floats.gguf", dtype="F32")
        cls.floats = {t.name: (tuple(t.shape), t.data) for t in gguf.GGUFReader(cls.source).tensors}

    def test_matrices_are_what_the_gguf_package_makes_of_them(self):
        for name, file_type in (("F32", 0), ("F16", 1), ("BF16", 32), ("Q8_0", 7)):
            dtype = gguf.GGMLQuantizationType[name]
            with self.subTest(name):
                self.convert(self.source, "--type", name.lower(), "--force")
                n_converted = 0
                for tensor in gguf.GGUFReader(self.out).tensors:
                    shape, floats = self.floats[tensor.name]
                    self.assertEqual(tuple(tensor.shape), shape)
                    keeps = len(shape) < 2 or tensor.name.endswith("_norm.weight")
                    expected = floats if keeps or dtype == gguf.GGMLQuantizationType.F32 else gguf.quants.quantize(floats, dtype)
                    self.assertEqual(tensor.data.tobytes(), expected.tobytes(), tensor.name)
                    n_converted += not keeps
                self.assertGreater(n_converted, 5)
                fields = gguf.GGUFReader(self.out).fields
                self.assertEqual(fields["general.file_type"].contents(), file_type)
                self.assertEqual(fields["general.quantization_version"].contents(), 2)

    def test_blocks_that_do_not_divide_a_row_have_a_substitute_that_is_named(self):
        source = write_gguf(self.folder / "odd-source.gguf", [("a.weight", np.ones((3, 96), np.float32), None),
                                                              ("b.weight", np.ones((3, 5), np.float32), None)])
        done = self.convert(source, "--type", "Q4_K")
        self.assertIn("blocks of Q4_K do not divide: 1 F16, 1 Q5_0 instead", done.stderr.decode())
        self.assertEqual([t.tensor_type.name for t in gguf.GGUFReader(self.out).tensors], ["Q5_0", "F16"])

    def test_routers_and_tables_of_positions_stay(self):
        ones = np.ones((4, 64), np.float32)
        names = ["blk.0.ffn_gate_inp.weight", "blk.0.attn_q_norm.weight", "position_embd.weight", "blk.0.ffn_gate_exps.bias", "x.weight"]
        source = write_gguf(self.folder / "kept-source.gguf", [(name, ones, None) for name in names])
        self.convert(source, "--type", "Q8_0")
        self.assertEqual([t.tensor_type.name for t in gguf.GGUFReader(self.out).tensors], ["F32"] * 4 + ["Q8_0"])


class Checkpoints(ConvertCase):
    """Hugging Face folders of every architecture: the file that a folder becomes is the folder, to the bit and to the token."""
    FOLDERS = sorted((program.ROOT / "tests" / "golden" / "checkpoints").iterdir())
    TEXT = "Hello, w\u00f6rld!  It's 2024;\n\tcaf\u00e9 \u4f60\u597d \U0001f600 x_y == 17.5"

    def logits(self, model, tokens):
        tool = program.BUILD_DIR / "tests" / "tools" / "print_logits"
        return subprocess.run([tool, model, *tokens], stdout=subprocess.PIPE, check=True).stdout

    def tokens(self, model):
        return self.rafter("tokenize", str(model), input=self.TEXT.encode(), stdin=None).stdout

    def test_logits_and_tokens_are_those_of_the_folder(self):
        self.assertGreaterEqual(len(self.FOLDERS), 20)
        for folder in self.FOLDERS:
            with self.subTest(folder.name):
                self.convert(folder, "--force")
                self.assertEqual(self.logits(self.out, ["1", "5", "3", "9"]), self.logits(folder, ["1", "5", "3", "9"]))
                self.assertGreater(len(self.tokens(folder).split()), 10)
                self.assertEqual(self.tokens(self.out), self.tokens(folder))

    def test_a_type_that_weights_are_held_in_makes_of_the_folder_what_it_makes_of_the_file(self):
        text = self.folder / "text.txt"
        text.write_text(self.TEXT * 4)
        for i, name in enumerate(("llama", "gemma3", "qwen3-moe", "gpt-oss-mxfp4", "llama-fp8-block", "phi3-longrope")):
            folder = program.ROOT / "tests" / "golden" / "checkpoints" / name
            self.convert(folder, "--force")
            for held in ((), ("--weights", ("Q8_0", "Q4_K", "F16")[i % 3])):
                with self.subTest(name, held=held):
                    scores = [self.json_of("eval", str(model), "--text", str(text), "-c", "64", *held) for model in (folder, self.out)]
                    self.assertGreater(scores[0]["n_scored"], 20)
                    self.assertEqual(scores[0]["mean_logprob"], scores[1]["mean_logprob"])

    def test_what_the_readme_says_of_the_model_is_in_the_file_as_llama_cpps_converter_writes_it(self):
        cards = [
            "---\nlicense: apache-2.0\nlanguage:\n- en\n- no\n- 'fr'\nlibrary_name: x\nbase_model: some-org/qwen2.5-7b-instruct  # this one\n"
            "pipeline_tag: text-generation\ntags: [chat, \"a b\"]\n---\n# license: none\n",
            "---\nlanguages: en\nlicense:\n  - mit\n  - other\nlicense_name: \"the: name\"\nlicense_link: https://example.org/LICENSE#1\n"
            "widget:\n- text: hello\n  license: wrong\nmodel-index:\n- name: x\n  results:\n  - task: y\nbase_model:\n- a/B-v1.5\n- c/d\n---\n",
            "no front matter\n---\nlicense: wrong\n---\n",
        ]
        for card in cards:
            folder = self.folder / "with-card"
            shutil.copytree(program.ROOT / "tests" / "golden" / "checkpoints" / "llama", folder, dirs_exist_ok=True)
            (folder / "README.md").write_text(card)
            self.convert(folder, "--force")
            found = {name: field.contents() for name, field in gguf.GGUFReader(self.out).fields.items()}
            card = gguf.Metadata.load(None, folder)
            licence = ",".join(card.license) if isinstance(card.license, list) else card.license
            expected = {"general.license": licence, "general.license.name": card.license_name, "general.license.link": card.license_link,
                        "general.tags": card.tags, "general.languages": card.languages,
                        "general.base_model.count": len(card.base_models) if card.base_models else None}
            for i, model in enumerate(card.base_models or []):
                expected.update({f"general.base_model.{i}.{key}": model[key] for key in ("name", "organization", "repo_url")})
            found = {name: value for name, value in found.items() if name.startswith(("general.l", "general.tags", "general.base_model"))}
            self.assertEqual(found, {name: value for name, value in expected.items() if value is not None})
        self.assertIn("licence", self.rafter("info", str(self.out)).stdout.decode())

    def test_the_size_is_that_of_the_weights(self):
        for name in ("llama", "mixtral"):
            self.convert(program.ROOT / "tests" / "golden" / "checkpoints" / name, "--force")
            reader = gguf.GGUFReader(self.out)
            sizes = {t.name: int(t.n_elements) for t in reader.tensors}
            in_experts = sum(n for key, n in sizes.items() if "_exps." in key)
            n_experts = reader.fields["llama.expert_count"].contents() if in_experts else 0
            expected = gguf.size_label(sum(sizes.values()), sum(sizes.values()) - in_experts, in_experts // max(1, n_experts), n_experts)
            self.assertEqual(reader.fields["general.size_label"].contents(), expected)

    def test_the_name_is_taken_apart_as_llama_cpps_converter_does(self):
        names = ("Llama-3.2-1B-Instruct Phi-3-mini-4k-instruct gemma-3-270m Mixtral-8x7B-Instruct-v0.1 Qwen3-30B-A3B bloom-7b1 SmolLM2-135M-Instruct "
                 "model v2 GPT-x-xl-chat-v1.0-q4_0 a-1.5_7b x-iter3-fp16 large-large-2T -odd--name- name-1k-50k-chat-lora").split()
        for name in (*names, "A human name"):
            folder = self.folder / "named" / name
            shutil.copytree(program.ROOT / "tests" / "golden" / "checkpoints" / "llama", folder)
            self.convert(folder, "--force")
            fields = gguf.GGUFReader(self.out).fields
            n_weights = sum(int(t.n_elements) for t in gguf.GGUFReader(self.out).tensors)
            expected = dict(zip(("basename", "finetune", "version", "size_label"), gguf.Metadata.get_model_id_components(name, n_weights)[2:]))
            expected["size_label"] = expected["size_label"] or gguf.size_label(n_weights, n_weights, 0, 0)
            found = {key: fields[f"general.{key}"].contents() if f"general.{key}" in fields else None for key in expected}
            self.assertEqual(found, expected, name)
        self.assertEqual(fields["general.name"].contents(), "A human name")

    def test_the_file_has_the_keys_and_types_that_llama_cpp_reads(self):
        self.convert(program.ROOT / "tests" / "golden" / "checkpoints" / "llama")
        reader = gguf.GGUFReader(self.out)
        kinds = {name: [t.name for t in field.types] for name, field in reader.fields.items()}
        self.assertEqual({name: kinds[name] for name in ("llama.block_count", "llama.attention.layer_norm_rms_epsilon", "general.file_type",
                                                         "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
                                                         "tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token")},
                         {"llama.block_count": ["UINT32"], "llama.attention.layer_norm_rms_epsilon": ["FLOAT32"],
                          "general.file_type": ["UINT32"], "tokenizer.ggml.tokens": ["ARRAY", "STRING"],
                          "tokenizer.ggml.token_type": ["ARRAY", "INT32"], "tokenizer.ggml.merges": ["ARRAY", "STRING"],
                          "tokenizer.ggml.bos_token_id": ["UINT32"], "tokenizer.ggml.add_bos_token": ["BOOL"]})
        self.assertEqual([name for name in kinds if "huggingface" in name], [])
        self.assertEqual(reader.fields["general.file_type"].contents(), 32)  # BF16
        self.assertEqual({t.tensor_type.name for t in reader.tensors if len(t.shape) == 1}, {"F32"})

    def test_a_folder_becomes_another_type(self):
        folder = program.ROOT / "tests" / "golden" / "checkpoints" / "llama-f32"
        self.convert(folder, "--type", "F32")
        floats = {t.name: t.data for t in gguf.GGUFReader(self.out).tensors if len(t.shape) == 2}
        self.convert(folder, "--type", "F16", "--force")
        for tensor in gguf.GGUFReader(self.out).tensors:
            if len(tensor.shape) == 2:
                self.assertEqual(tensor.data.tobytes(), floats[tensor.name].astype(np.float16).tobytes(), tensor.name)

    def test_files_of_the_folder_are_never_the_output(self):
        folder = self.folder / "checkpoint"
        shutil.copytree(program.ROOT / "tests" / "golden" / "checkpoints" / "llama", folder)
        done = self.convert(folder, "--force", out=folder / "model.safetensors", status=2)
        self.assertIn("found the same file", done.stderr.decode())
        self.convert(folder, out=folder / "model.gguf")
        self.assertEqual(gguf.GGUFReader(folder / "model.gguf").fields["general.architecture"].contents(), "llama")


class Splits(ConvertCase):
    def test_joining_undoes_splitting(self):
        size = Path(self.model).stat().st_size
        self.convert(self.model, "--split", str(size // 3))
        parts = sorted(self.folder.glob(f"{self.out.stem}-*-of-*.gguf"))
        self.assertGreaterEqual(len(parts), 3)
        self.assertEqual(parts[1].name, f"{self.out.stem}-00002-of-{len(parts):05}.gguf")
        n_tensors = len(tensors_of(self.model))
        for number, part in enumerate(parts):
            fields = gguf.GGUFReader(part).fields
            self.assertEqual(fields["split.no"].contents(), number)
            self.assertEqual(fields["split.count"].contents(), len(parts))
            self.assertEqual(fields["split.tensors.count"].contents(), n_tensors)
            self.assertEqual("general.architecture" in fields, number == 0)
        self.assertEqual({name: tensor for part in parts for name, tensor in tensors_of(part).items()}, tensors_of(self.model))
        for part in parts:
            self.convert(part, "--force", out=self.folder / "joined.gguf")
            self.assertEqual((self.folder / "joined.gguf").read_bytes(), Path(self.model).read_bytes())
        self.assertEqual(self.left_behind(), [part.name for part in parts])

    def test_parts_are_no_larger_than_asked_for(self):
        source = write_gguf(self.folder / "even-source.gguf", [(f"t{i}.weight", np.ones((16, 64), np.float32), None) for i in range(20)])
        self.convert(source, "--split", "20kB")
        parts = sorted(self.folder.glob(f"{self.out.stem}-*-of-*.gguf"))
        self.assertEqual(len(parts), 5)
        self.assertLessEqual(max(part.stat().st_size for part in parts), 20000)


def f32_source(path, n_tensors, n_bytes):
    rng = np.random.default_rng(7)
    rows = n_bytes // 4 // 1024
    return write_gguf(path, [(f"blk.{i}.ffn_up.weight", rng.standard_normal((rows, 1024), dtype=np.float32), None) for i in range(n_tensors)])


class Interrupted(ConvertCase):
    TYPE = ("--type", "Q4_K", "-t", "2")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.large = f32_source(cls.folder / "large-source.gguf", 12, 2 << 20)
        cls.whole = cls.folder / "whole.gguf"
        subprocess.run([program.BINARY, "convert", cls.large, cls.whole, "-q", *cls.TYPE], check=True, env=cls.environment)

    def journal(self):
        return self.out.with_name(self.out.name + ".partial-journal")

    def killed(self, *arguments):
        """Starts a conversion and kills it once it has noted some of its work."""
        for n_units in (3, 2, 1):
            child = subprocess.Popen([program.BINARY, "convert", self.large, self.out, "-q", *arguments], env=self.environment)
            deadline = time.monotonic() + 60
            while child.poll() is None and time.monotonic() < deadline:
                if self.journal().exists() and self.journal().read_text().count("unit ") >= n_units:
                    break
                time.sleep(0.0005)
            child.send_signal(signal.SIGKILL)
            if child.wait() == -signal.SIGKILL and self.journal().exists():
                return
            self.out.unlink(missing_ok=True)  # it was faster than the kill
        self.fail("the program could not be killed half-way")

    def test_a_killed_run_is_continued_to_the_same_bytes(self):
        self.killed(*self.TYPE)
        self.assertFalse(self.out.exists())
        done = self.rafter("convert", self.large, str(self.out), *self.TYPE)
        self.assertIn("were written before", done.stdout.decode())
        self.assertEqual(self.out.read_bytes(), self.whole.read_bytes())
        self.assertEqual(self.left_behind(), [self.out.name])

    def test_what_was_damaged_meanwhile_is_written_again(self):
        self.killed(*self.TYPE)
        partial = self.out.with_name(self.out.name + ".partial")
        data = bytearray(partial.read_bytes())
        data[4096:] = bytes(len(data) - 4096)
        partial.write_bytes(data)
        with open(self.journal(), "ab") as journal:
            journal.write(b"unit 5 12")  # as a kill within a line leaves it
        self.convert(self.large, *self.TYPE)
        self.assertEqual(self.out.read_bytes(), self.whole.read_bytes())

    def test_other_options_start_over_and_say_so(self):
        self.killed(*self.TYPE)
        done = self.convert(self.large, "--type", "F16")
        self.assertIn("starting over", done.stderr.decode())
        self.assertEqual({t.tensor_type.name for t in gguf.GGUFReader(self.out).tensors}, {"F16"})
        self.assertEqual(self.left_behind(), [self.out.name])

    def test_a_changed_source_starts_over_and_says_so(self):
        self.killed(*self.TYPE)
        os.utime(self.large)
        done = self.convert(self.large, *self.TYPE)
        self.assertIn("starting over", done.stderr.decode())
        self.assertEqual(self.out.read_bytes(), self.whole.read_bytes())

    def test_a_second_run_at_the_same_time_is_refused(self):
        child = subprocess.Popen([program.BINARY, "convert", self.large, self.out, "-q", *self.TYPE], env=self.environment)
        try:
            while child.poll() is None and not (self.journal().exists() and "unit " in self.journal().read_text()):
                time.sleep(0.0005)
            child.send_signal(signal.SIGSTOP)
            self.assertIsNone(child.poll(), "it was faster than the stop")
            self.expect_error("another process is writing to this file", "convert", self.large, str(self.out), *self.TYPE)
        finally:
            child.send_signal(signal.SIGCONT)
        self.assertEqual(child.wait(), 0)
        self.assertEqual(self.out.read_bytes(), self.whole.read_bytes())

    def test_a_disk_that_fills_up_leaves_nothing_under_the_name_and_is_continued(self):
        size = self.whole.stat().st_size
        for limit in (size // 3, size - 1):
            # Python ignores SIGXFSZ, and its children do when the signals are not restored: then a write stops short and the next one fails.
            done = self.convert(self.large, *self.TYPE, status=1, restore_signals=False,
                                preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            message = done.stderr.decode()
            self.assertRegex(message, r"cannot be written: File too large; \d+ bytes in all are needed, \d+ are free; the same command continues")
            self.assertEqual(message.count("\n"), 1)
            self.assertFalse(self.out.exists())
        self.convert(self.large, *self.TYPE)
        self.assertEqual(self.out.read_bytes(), self.whole.read_bytes())

    def test_a_disk_without_room_at_all_keeps_nothing(self):
        done = self.convert(self.large, *self.TYPE, status=1, restore_signals=False,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
        self.assertIn("cannot be written: File too large", done.stderr.decode())
        self.assertEqual(self.left_behind(), [])

    def test_a_killed_split_is_continued_to_the_same_bytes(self):
        arguments = (*self.TYPE, "--split", "1MB")
        self.convert(self.large, *arguments, out=self.folder / "parts.gguf")
        expected = {p.name.removeprefix("parts"): p.read_bytes() for p in self.folder.glob("parts-*-of-*.gguf")}
        self.assertGreater(len(expected), 2)
        self.killed(*arguments)
        self.convert(self.large, *arguments)
        stem = self.out.stem
        self.assertEqual({p.name.removeprefix(stem): p.read_bytes() for p in self.folder.glob(f"{stem}-*")}, expected)

    def test_a_run_that_was_killed_between_two_names_only_names(self):
        arguments = (*self.TYPE, "--split", "1MB")
        self.killed(*arguments)
        journal = self.journal().read_text()
        self.convert(self.large, *arguments)
        parts = sorted(self.folder.glob(f"{self.out.stem}-*.gguf"))
        expected = [part.read_bytes() for part in parts]
        self.journal().write_text(journal + "complete\n")
        for part in parts[1:]:
            part.rename(f"{part}.partial")
        self.convert(self.large, *arguments)
        self.assertEqual([part.read_bytes() for part in parts], expected)
        self.assertEqual(self.left_behind(), [part.name for part in parts])


class Refused(ConvertCase):
    def test_nan_and_infinity_are_named(self):
        for name, value in (("F32", np.nan), ("F16", np.inf), ("BF16", -np.inf), ("Q8_0", np.inf)):
            array = np.ones((40, 64), np.float32)
            dtype = gguf.GGMLQuantizationType[name]
            if name == "Q8_0":
                data = gguf.quants.quantize(array, dtype)
                data[20, 34:36] = np.frombuffer(np.float16(np.inf).tobytes(), np.uint8)  # the scale of a row's second block
                index = 20 * 64 + 32
            else:
                array[31, 7] = value
                array[39, 7] = value
                data = array.astype(np.float16) if name == "F16" else array if name == "F32" else gguf.quants.quantize(array, dtype)
                index = 31 * 64 + 7
            path = self.folder / f"nan-{name}.gguf"
            writer = gguf.GGUFWriter(path, "llama")
            writer.add_tensor("fine.weight", np.ones((4, 64), np.float32))
            writer.add_tensor("bad.weight", data, raw_dtype=dtype if name in ("BF16", "Q8_0") else None)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            for kind in ("auto", "F32"):
                with self.subTest(name, type=kind):
                    self.expect_error(f"tensor bad.weight: element {index}: expected finite numbers, found NaN or infinity", "convert",
                                      str(path), str(self.out), "--type", kind)
                    self.assertEqual(self.left_behind(), [])
            self.convert(path, "--allow-nan", "--force")
            self.assertEqual(tensors_of(self.out), tensors_of(path))
            self.out.unlink()

    def test_numbers_too_large_for_a_type_are_named(self):
        array = np.ones((4, 64), np.float32)
        array[2, 3] = 1e6
        source = write_gguf(self.folder / "big-source.gguf", [("big.weight", array, None)])
        self.expect_error("tensor big.weight: element 131: expected a number that F16 can hold", "convert", source, str(self.out), "--type", "F16")
        self.convert(source, "--type", "BF16")

    def test_the_source_is_never_the_output(self):
        before = Path(self.model).read_bytes()
        symbolic, hard = self.folder / "symbolic.gguf", self.folder / "hard.gguf"
        symbolic.symlink_to(self.model)
        os.link(self.model, hard)
        for out in (self.model, symbolic, hard, f"{self.folder}/./tiny.gguf"):
            for force in ((), ("--force",)):
                done = self.convert(self.model, *force, out=out, status=2)
                self.assertIn("found the same file", done.stderr.decode())
        self.assertEqual(Path(self.model).read_bytes(), before)
        symbolic.unlink()
        hard.unlink()

    def test_a_part_of_the_source_is_never_the_output(self):
        self.convert(self.model, "--split", "20kB")
        parts = sorted(self.folder.glob(f"{self.out.stem}-*"))
        done = self.convert(parts[0], "--force", out=parts[1], status=2)
        self.assertIn("found the same file", done.stderr.decode())

    def test_an_output_that_exists_needs_force(self):
        self.out.write_text("precious")
        self.expect_error("expected no such file, found one; --force replaces it", "convert", self.model, str(self.out))
        self.assertEqual(self.out.read_text(), "precious")
        self.assertEqual(self.left_behind(), [self.out.name])
        self.convert(self.model, "--force")
        self.assertEqual(tensors_of(self.out), tensors_of(self.model))

    def test_places_that_cannot_be_written(self):
        self.expect_error("expected an existing folder", "convert", self.model, str(self.folder / "nowhere" / "out.gguf"))
        self.expect_error("found a folder", "convert", self.model, str(self.folder))
        self.expect_error("found something else", "convert", self.model, "/dev/null")
        if os.geteuid() != 0:
            closed = self.folder / "closed"
            closed.mkdir(mode=0o500)
            self.expect_error("Permission denied", "convert", self.model, str(closed / "out.gguf"))

    def test_a_journal_that_is_somebodys_file_is_left_alone(self):
        journal = self.out.with_name(self.out.name + ".partial-journal")
        journal.write_text("dear diary\n")
        self.expect_error("expected the journal of a conversion", "convert", self.model, str(self.out))
        self.assertEqual(journal.read_text(), "dear diary\n")

    def test_wrong_usage(self):
        for arguments in ((), (self.model,), (self.model, str(self.out), "--type", "Q9"), (self.model, str(self.out), "--split", "0"),
                          (self.model, str(self.out), "--split", "much")):
            self.rafter("convert", *arguments, status=2)
        self.expect_error("no such file", "convert", "nowhere.gguf", str(self.out))
        self.assertEqual(self.left_behind(), [])


if __name__ == "__main__":
    program.main()
