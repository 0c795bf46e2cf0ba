"""Our GGUF reader against the PyPI package gguf's, on real models, on vocabularies, and on files that the package wrote."""
import glob
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import gguf
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}; install tests/requirements.txt")
    sys.exit(77)

TOOL = os.path.join(os.environ["RAFTER_BUILD_DIR"], "tests", "tools", "dump_gguf")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def models():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folders = [os.environ.get("RAFTER_MODELS_DIR"), os.path.join(cache, "rafter", "models")]
    return sorted(path for folder in folders if folder for path in glob.glob(os.path.join(folder, "*.gguf")))


def vocabularies():
    shared = os.environ.get("RAFTER_SHARED", os.path.join(ROOT, "..", "shared"))
    return sorted(glob.glob(os.path.join(shared, "tokenizers", "*.gguf")))


def dump(path):
    return json.loads(subprocess.run([TOOL, path], stdout=subprocess.PIPE, check=True).stdout)


def value_of(field):
    """A field's value in the form that dump_gguf prints."""
    def one(part, kind):
        if kind == gguf.GGUFValueType.STRING:
            return bytes(part).hex()
        if kind == gguf.GGUFValueType.BOOL:
            return bool(part[0])
        return part[0].item()
    if field.types[0] == gguf.GGUFValueType.ARRAY:
        return [one(field.parts[i], field.types[-1]) for i in field.data]
    return one(field.parts[field.data[0]], field.types[0])


class ReaderAgreesWithGguf(unittest.TestCase):
    maxDiff = 2000

    def compare(self, path):
        ours = dump(path)
        reader = gguf.GGUFReader(path)
        theirs = {key: value_of(field) for key, field in reader.fields.items() if not key.startswith("GGUF.")}
        self.assertEqual(list(ours["metadata"]), list(theirs))
        for key, value in theirs.items():
            if isinstance(value, float) and not math.isfinite(value):
                self.assertIsNone(ours["metadata"][key], key)  # JSON has no infinity
            else:
                self.assertEqual(ours["metadata"][key], value, key)
        tensors = [{
            "name": t.name.encode().hex(),
            "dtype": t.tensor_type.name,
            "shape": [int(n) for n in reversed(t.shape)],
            "n_bytes": int(t.n_bytes),
            "sum": int(t.data.reshape(-1).view(np.uint8).sum(dtype=np.uint64)),
            "head": t.data.reshape(-1).view(np.uint8)[:16].tobytes().hex(),
        } for t in reader.tensors]
        self.assertEqual(ours["tensors"], tensors)
        return len(theirs), len(tensors)

    def test_real_models_and_vocabularies(self):
        paths = models() + ([] if os.environ.get("RAFTER_SANITIZE") else vocabularies())
        for path in paths:
            with self.subTest(os.path.basename(path)):
                n_entries, n_tensors = self.compare(path)
                print(f"{os.path.basename(path)}: {n_entries} metadata entries and {n_tensors} tensors agree")
        if not models():
            self.skipTest("no models in RAFTER_MODELS_DIR or the cache folder: run scripts/quickstart")

    def write(self, folder, **options):
        rng = np.random.default_rng(1)
        path = os.path.join(folder, "written.gguf")
        writer = gguf.GGUFWriter(path, "llama", **options)
        writer.add_uint8("n.uint8", 255)
        writer.add_int8("n.int8", -128)
        writer.add_uint16("n.uint16", 65535)
        writer.add_int16("n.int16", -32768)
        writer.add_uint64("n.uint64", (1 << 64) - 1)
        writer.add_int64("n.int64", -(1 << 63))
        writer.add_float64("n.float64", 0.1)
        writer.add_float32("n.infinite", float("-inf"))
        writer.add_bool("n.bool", False)
        writer.add_array("n.floats", [0.5, -1.25])
        writer.add_array("n.strings", ["", "\0", "\u00e9\U0001f600"])
        writer.add_array("n.ints", [-1, 2])
        writer.add_array("n.bools", [True, False])
        for i, name in enumerate(("Q4_0", "Q8_0", "Q5_1", "BF16", "MXFP4")):
            kind = gguf.GGMLQuantizationType[name]
            values = rng.standard_normal((3 + i, 64)).astype(np.float32)
            writer.add_tensor(f"blk.{i}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
        writer.add_tensor("ids", np.arange(5, dtype=np.int32))
        writer.add_tensor("cube", rng.standard_normal((2, 3, 4)).astype(np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def test_a_file_with_values_of_every_type(self):
        with tempfile.TemporaryDirectory() as folder:
            self.compare(self.write(folder))

    def test_a_split_file_that_the_package_wrote(self):
        with tempfile.TemporaryDirectory() as folder:
            self.write(folder, split_max_tensors=2)
            parts = sorted(glob.glob(os.path.join(folder, "*.gguf")))
            self.assertEqual(len(parts), 4)
            whole = dump(parts[0])
            names = [t.name for part in parts for t in gguf.GGUFReader(part).tensors]
            self.assertEqual([bytes.fromhex(t["name"]).decode() for t in whole["tensors"]], names)
            self.assertEqual(len(names), 7)
            for part in parts[1:]:
                self.assertEqual(dump(part), whole)


if __name__ == "__main__":
    unittest.main()
