"""The tokenize verb: what goes in and comes out, and how it fails. Skipped where the package gguf is missing."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SKIP = 77  # ctest's SKIP_RETURN_CODE
RAFTER = os.environ.get("RAFTER_BINARY", "build/release/rafter")

try:
    import gguf
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(SKIP)

LETTERS = "abcdefgh"
BOS, END, SPACE = 8, 9, 10


def write_vocabulary(path, bos=True):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*LETTERS, "<s>", "<|im_end|>", "Ġ", "Ċ", "ab"])
    writer.add_token_types([1] * 8 + [3, 3, 1, 1, 1])
    writer.add_token_merges(["a b"])
    if bos:
        writer.add_bos_token_id(BOS)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


class Tokenize(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.model = str(Path(self.folder.name) / "vocabulary.gguf")
        write_vocabulary(self.model)

    def run_verb(self, *words, given=b""):
        return subprocess.run([RAFTER, "tokenize", *words], input=given, capture_output=True)

    def out(self, *words, given=b""):
        done = self.run_verb(self.model, *words, given=given)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def test_prints_ids_on_one_line(self):
        self.assertEqual(self.out(given=b"abc a\n"), b"12 2 10 0 11\n")
        self.assertEqual(self.out(given=b""), b"\n")

    def test_parses_special_tokens_and_adds_bos_only_when_asked(self):
        self.assertEqual(self.out("--special", given=b"a<|im_end|>"), b"0 9\n")
        self.assertNotIn(b"9", self.out(given=b"a<|im_end|>").split())
        self.assertEqual(self.out("--bos", given=b"a"), b"8 0\n")
        self.assertEqual(self.out("--bos", "--special", given=b"<s>a"), b"8 8 0\n")
        self.assertEqual(self.out("--bos", given=b""), b"8\n")

    def test_null_parts_texts_and_lines(self):
        self.assertEqual(self.out("--null", given=b"a\n\0\0b"), b"0 11\n\n1\n")
        self.assertEqual(self.out("--null", "--bos", given=b"a\0b"), b"8 0\n8 1\n")

    def test_decode_goes_the_other_way(self):
        self.assertEqual(self.out("--decode", given=b"12 2\t10\n0 9\n"), b"abc a")
        self.assertEqual(self.out("--decode", "--special", given=b"0 9"), b"a<|im_end|>")
        self.assertEqual(self.out("--decode", "--null", given=b"0\n\n1 2\n"), b"a\0\0bc")
        self.assertEqual(self.out("--decode", given=b" \n"), b"")
        for ids in (b"12,2,10,0", b"[12,2,10,0]", b"[12, 2, 10, 0]\n", b"[\n  12,\n  2,\n  10, 0\n]"):
            self.assertEqual(self.out("--decode", given=ids), b"abc a")
        self.assertEqual(self.out("--decode", "--null", given=b"[0]\n[]\n1,2\n"), b"a\0\0bc")

    def test_what_is_no_id_is_an_error(self):
        for given, found in [(b"0 13", "13"), (b"0 -1", "-1"), (b"0 1x", "1x"), (b"0 99999999999999999999", "99999999999999999999")]:
            done = self.run_verb(self.model, "--decode", given=given)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.decode(), f'rafter tokenize: token 2 of the input: expected an id below 13, found "{found}"\n')

    def test_bos_without_a_bos_token_is_an_error(self):
        write_vocabulary(self.model, bos=False)
        done = self.run_verb(self.model, "--bos", given=b"a")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"has no BOS token", done.stderr)

    def test_a_file_that_is_none_is_an_error_and_a_missing_argument_wrong_usage(self):
        done = self.run_verb(self.model + ".missing", given=b"a")
        self.assertEqual((done.returncode, done.stderr.count(b"\n")), (1, 1))
        Path(self.model).write_bytes(b"GGUF")
        self.assertEqual(self.run_verb(self.model, given=b"a").returncode, 1)
        self.assertEqual(self.run_verb(given=b"a").returncode, 2)
        self.assertEqual(self.run_verb(self.model, "--no-such-option", given=b"a").returncode, 2)

    def test_a_full_device_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([RAFTER, "tokenize", self.model], input=b"abc", stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, b"rafter tokenize: standard output: cannot be written: No space left on device\n")

    def test_a_reader_that_has_gone_is_no_error(self):
        command = f"'{RAFTER}' tokenize --null '{self.model}'; echo $? >&2"
        done = subprocess.run(["bash", "-c", f"({command}) | true"], input=b"a b c\0" * 100000, capture_output=True)
        self.assertEqual(done.stderr, b"0\n")


if __name__ == "__main__":
    unittest.main(verbosity=1)
