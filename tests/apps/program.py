"""What the command-line tests share: the program under test, tiny models for it, and how the tests end. Standard library only."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD_DIR = Path(os.environ.get("RAFTER_BUILD_DIR", ROOT / "build" / "release"))
BINARY = os.environ.get("RAFTER_BINARY", str(BUILD_DIR / "rafter"))
SANITIZED = bool(os.environ.get("RAFTER_SANITIZE"))  # many times slower
SKIP = 77  # ctest's SKIP_RETURN_CODE


def enough_of(cases):
    """All of them; under sanitizers, where each start of the program takes some tenths of a second, every sixth: what the program says is
    looked at in the other builds, and memory errors of the same code show in few cases."""
    return list(cases)[::6 if SANITIZED else 1]


class Case(unittest.TestCase):
    """A test with a folder of its own, which is also the program's cache folder, and a tiny model in it."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        cls.model = make_tiny_model(cls.folder / "tiny.gguf")
        cls.environment = {**os.environ, "XDG_CACHE_HOME": str(cls.folder / "cache"), "XDG_DATA_HOME": str(cls.folder / "data"),
                           "NO_COLOR": "1"}
        cls.environment.pop("RAFTER_MODELS_DIR", None)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def rafter(self, *arguments, status=0, **options):
        """Runs the program to its end; bytes in, bytes out."""
        options.setdefault("env", self.environment)
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run([BINARY, *arguments], stderr=subprocess.PIPE, timeout=120, **options)
        self.assertEqual(done.returncode, status, done.stderr.decode(errors="replace"))
        return done

    def json_of(self, *arguments, **options):
        return json.loads(self.rafter(*arguments, "--json", **options).stdout)

    def generate(self, *arguments):
        """One answer as JSON, cold and plain unless the arguments say otherwise."""
        return self.json_of("run", self.model, "--raw", "-n", "12", *arguments)

    def expect_error(self, words, *arguments, status=1, **options):
        """The program fails with one line that has these words, and prints nothing else."""
        done = self.rafter(*arguments, status=status, **options)
        message = done.stderr.decode(errors="replace")
        self.assertIn(words, message)
        self.assertEqual(message.count("\n"), 1 if status == 1 else 2, message)
        self.assertEqual(done.stdout or b"", b"")
        return message


def make_tiny_model(path, name="llama", dtype="Q8_0"):
    subprocess.run([BUILD_DIR / "tests" / "tools" / "make_tiny_model", name, dtype, "1", path], check=True)
    return str(path)


def with_bos(model, path):
    """A copy of a model whose tokenizer wants BOS before a prompt."""
    data = bytearray(Path(model).read_bytes())
    key = b"tokenizer.ggml.add_bos_token"
    value = data.index(key) + len(key) + 4  # the type, a uint32, stands between
    data[value] = 1
    Path(path).write_bytes(data)
    return str(path)


def small_model(name="SmolLM2-135M-Instruct"):
    """A small real model, if this machine has it."""
    folders = [os.environ.get("RAFTER_MODELS_DIR"), Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rafter" / "models"]
    for folder in filter(None, folders):
        for path in sorted(Path(folder).glob(f"{name}*.gguf")):
            return str(path)
    return None


def main():
    unittest.main(module="__main__", verbosity=1)
