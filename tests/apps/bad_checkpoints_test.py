"""Checkpoint folders that are wrong: each is refused in one line that names the file and the fault, and nothing crashes."""
import json
import os
import shutil
import struct

import program

GOOD = program.ROOT / "tests" / "golden" / "checkpoints" / "llama"
SHARDED = program.ROOT / "tests" / "golden" / "checkpoints" / "llama-sharded"
WEIGHTS = "model.safetensors"


def parts_of(path):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + n]), data[8 + n:]


def write_parts(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class BadCheckpoint(program.Case):
    def setUp(self):
        self.model_folder = self.copy_of(GOOD)

    def copy_of(self, folder):
        target = self.folder / "checkpoint"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        return target

    def refused(self, words, verb="info"):
        arguments = [verb, str(self.model_folder)] + (["--raw", "-p", "a", "-n", "1"] if verb == "run" else [])
        return self.expect_error(words, *arguments)

    def change_config(self, **changes):
        path = self.model_folder / "config.json"
        config = json.loads(path.read_text())
        for key, value in changes.items():
            config.pop(key, None)
            if value is not None:
                config[key] = value
        path.write_text(json.dumps(config))

    def change_header(self, change):
        path = self.model_folder / WEIGHTS
        header, data = parts_of(path)
        write_parts(path, change(header) or header, data)


class Headers(BadCheckpoint):
    def test_lengths_that_lie(self):
        path = self.model_folder / WEIGHTS
        good = path.read_bytes()
        for length in (0, 1, len(good), 1 << 40, (1 << 64) - 1):
            with self.subTest(length=length):
                path.write_bytes(struct.pack("<Q", length) + good[8:])
                self.refused(WEIGHTS)
        for n in (0, 7, 8, 100, len(good) - 1):
            with self.subTest(n=n):
                path.write_bytes(good[:n])
                self.refused(WEIGHTS)

    def test_offsets(self):
        name = "model.norm.weight"
        for offsets, words in (([10, 4], "offsets"), ([0, 1 << 62], "offsets"), ([0], "two data_offsets"), ("ab", "two data_offsets"), ([-1, 5], "whole number"), ([0, 1], "bytes of")):
            with self.subTest(offsets=offsets):
                self.setUp()
                self.change_header(lambda header: header[name].update(data_offsets=offsets))
                self.refused(words)
        self.setUp()
        first, second = None, None

        def overlap(header):
            same = [key for key in header if key.endswith("layernorm.weight")]
            header[same[1]]["data_offsets"] = header[same[0]]["data_offsets"]
        self.change_header(overlap)
        self.refused("expected data that begin at")

    def test_duplicate_keys(self):
        path = self.model_folder / WEIGHTS
        header, data = parts_of(path)
        entry = json.dumps(header["model.norm.weight"])
        write_parts(path, (json.dumps(header)[:-1] + f', "model.norm.weight": {entry}}}').encode(), data)
        self.refused("expected each key once")

    def test_types_and_shapes(self):
        for change, words in (({"dtype": "F99"}, "known dtype"), ({"shape": [1 << 40, 1 << 40]}, "elements"), ({"shape": [-1]}, "whole number"), ({"shape": "x"}, "shape"), ({"dtype": None}, "dtype")):
            with self.subTest(change=change):
                self.setUp()
                self.change_header(lambda header: header["model.norm.weight"].update(change))
                self.refused(words)

    def test_depth(self):
        path = self.model_folder / WEIGHTS
        write_parts(path, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"")
        self.refused("nested")

    def test_a_missing_tensor_and_a_wrong_shape(self):
        def without(header):
            header["other"] = header.pop("model.norm.weight")
        self.change_header(without)
        self.refused("model.norm.weight")
        self.setUp()
        self.change_config(hidden_size=64)
        self.refused("expected", verb="run")


class Indexes(BadCheckpoint):
    def setUp(self):
        self.model_folder = self.copy_of(SHARDED)
        self.index = self.model_folder / "model.safetensors.index.json"

    def change_map(self, file, tensor=None):
        index = json.loads(self.index.read_text())
        tensor = tensor or next(iter(index["weight_map"]))
        index["weight_map"][tensor] = file
        self.index.write_text(json.dumps(index))

    def test_the_good_one(self):
        self.rafter("info", str(self.model_folder))

    def test_a_missing_shard(self):
        next(self.model_folder.glob("model-00001*")).unlink()
        self.refused("expected this file beside the index, found none")

    def test_names_that_are_no_file_here(self):
        (self.folder / "outside.safetensors").write_bytes((GOOD / WEIGHTS).read_bytes())
        for name in ("../outside.safetensors", str(self.folder / "outside.safetensors"), "", "..", "a/b.safetensors", 5):
            with self.subTest(name=name):
                self.setUp()
                self.change_map(name)
                self.refused("expected the name of a file")

    def test_a_link_out_of_the_folder(self):
        (self.folder / "outside.safetensors").write_bytes((GOOD / WEIGHTS).read_bytes())
        os.symlink(self.folder / "outside.safetensors", self.model_folder / "link.safetensors")
        self.change_map("link.safetensors")
        self.refused("found a link out of it")

    def test_a_tensor_that_is_not_where_the_index_says(self):
        self.change_map(next(self.model_folder.glob("model-00001*")).name, "no.such.tensor")
        self.refused("as model.safetensors.index.json says, found no such tensor")

    def test_a_tensor_in_two_shards(self):
        shards = sorted(self.model_folder.glob("model-0*.safetensors"))
        shutil.copy(shards[0], self.model_folder / "twice.safetensors")
        self.index.unlink()
        self.refused("expected each tensor in one file, found it in two")

    def test_indexes_that_are_none(self):
        for text in ("", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}'):
            with self.subTest(text=text):
                self.index.write_text(text)
                self.refused("index.json")


class Configs(BadCheckpoint):
    def test_unknown_types_are_refused_by_name(self):
        for changes, words in (({"model_type": "mamba9"}, 'expected one of gemma3, llama'), ({"model_type": None}, "model_type"),
                               ({"quantization_config": {"quant_method": "awq"}}, '"awq"'),
                               ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]}}, "[128, 128]"),
                               ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}, "rope_parameters": None}, '"dynamic"'),
                               ({"hidden_act": "relu"}, '"relu"'), ({"mlp_bias": True}, "mlp_bias"), ({"num_attention_heads": 0}, "num_attention_heads"),
                               ({"num_hidden_layers": 10**6}, "num_hidden_layers"), ({"hidden_size": -1}, "hidden_size"), ({"num_hidden_layers": "two"}, "num_hidden_layers")):
            with self.subTest(changes=changes):
                self.setUp()
                self.change_config(**changes)
                self.refused(words)

    def test_files_that_are_no_json(self):
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            for text in ("", "{", '{"a": NaN}', "\xff"):
                with self.subTest(name=name, text=text):
                    self.setUp()
                    (self.model_folder / name).write_bytes(text.encode("latin-1"))
                    self.refused(name, verb="run")

    def test_a_folder_without_its_files(self):
        (self.model_folder / WEIGHTS).unlink()
        self.refused("config.json and .safetensors files")
        self.setUp()
        (self.model_folder / "tokenizer.json").unlink()
        self.refused("tokenizer", verb="run")


class Names(BadCheckpoint):
    def test_a_checkpoint_in_the_models_folder_has_a_name(self):
        models = self.folder / "cache" / "rafter" / "models"
        shutil.rmtree(models, ignore_errors=True)
        models.mkdir(parents=True)
        shutil.copytree(GOOD, models / "Tiny-0.5B")
        self.assertIn("Tiny-0.5B", self.rafter("models").stdout.decode())
        self.assertIn("llama", self.rafter("info", "tiny-0.5b").stdout.decode())
        self.expect_error("no such file or folder", "info", "tiny-0")
        removed = self.rafter("models", "rm", "Tiny-0.5B", "--yes").stdout.decode()
        self.assertIn("removed", removed)
        self.assertFalse((models / "Tiny-0.5B").exists())
        self.assertTrue(GOOD.exists())


if __name__ == "__main__":
    program.main()
