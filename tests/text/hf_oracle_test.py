"""Byte-level BPE against the Hugging Face `tokenizers` library on random texts: every family of pre-tokenizers, the vocabulary of the golden
file, through the command line. Skipped where the packages tokenizers and gguf are missing."""
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
SKIP = 77  # ctest's SKIP_RETURN_CODE
N_TEXTS = 1200

try:
    import gguf
    import hf_pre_tokenizers
    import nasty_texts
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(SKIP)


def write_vocabulary(path, pre, tokens, merges):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_merges(merges)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def rafter_ids(path, texts, *flags):
    done = subprocess.run(
        [os.environ["RAFTER_BINARY"], "tokenize", path, "--null", *flags], input="\0".join(texts).encode(), capture_output=True, check=True
    )
    return [[int(word) for word in line.split()] for line in done.stdout.decode().split("\n")[:-1]]


NFC_FAMILIES = ("qwen2", "qwen35", "tiny_aya")
# Whatever composes, moves or stays: Latin and Greek marks, Hangul, Indic vowels, Kana, Hebrew, musical symbols, singletons, marks newer than
# the tables of Hugging Face's library.
NFC_PARTS = (
    "a e A \u00e9 \u0300 \u0301 \u0302 \u0323 \u0327 \u0338 \u0345 \u1100 \u1161 \u11a8 \u11a7 \uac00 \uac01 \u11c2 \u3099 \u304b \u304c \u093c \u0915 \u0958 "
    "\u09c7 \u09be \u212b \u2126 \u1e9b \ufb1d \u05b4 \u05d9 \U0001d15e \U0001d157 \U0001d165 \U0002f800 \u4e00 \U0001f600 \U00011930 \U00011935 \u07fd "
    "\u0d3b \u0b47 \u0b56 \u0b3e \U00011099 \U000110ba \u03b1 \u1fb4 \u1f80"
).split()


def sequences_to_normalize(seed, n):
    """The bytes of these vocabularies are tokens, so ids tell the normalised text."""
    draw = random.Random(seed)
    marks = [chr(c) for c in range(0x300, 0x20000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(draw.choice(NFC_PARTS) for _ in range(draw.randint(1, 9))) for _ in range(n)]
    return texts + [f"a\u0334{mark}\u0301b\u0327" for mark in draw.sample(marks, n)] + ["cafe\u0301", "e" + "\u0301\u0323" * 2000]


def added_tokens_part_what_is_normalized():
    """Each stretch between added tokens is normalised by itself: a mark behind one does not reach over it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.gguf"
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokens = [*letters, "<|x|>", "ab"]
        tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[("a", "b")]))
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [hf_pre_tokenizers.FAMILIES["qwen2"](), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        tokenizer.add_special_tokens(["<|x|>"])
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list(tokens)
        writer.add_token_types([3 if token == "<|x|>" else 1 for token in tokens])
        writer.add_token_merges(["a b"])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        texts = ["e<|x|>\u0301", "e\u0301<|x|>\u0301e\u0301", "\u1100<|x|>\u1161\u11a8", "<|x|>\u1100\u1161<|x|>"]
        found = rafter_ids(path, texts, "--special")
    wrong = [(text, ids) for text, ids in zip(texts, found) if tokenizer.encode(text).ids != ids]
    print(f"between added tokens: {len(wrong)} of {len(texts)} differ {wrong}")
    return len(wrong) + abs(len(found) - len(texts))


def main():
    golden = json.loads((ROOT / "tests" / "golden" / "text" / "byte_bpe.json").read_text())
    tokens, merges = golden["tokens"], golden["merges"]
    model = models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[tuple(merge.split(" ")) for merge in merges])
    texts = nasty_texts.mixtures(21, N_TEXTS) + nasty_texts.long_runs(22, 80)
    n_wrong = added_tokens_part_what_is_normalized()
    for name, make in hf_pre_tokenizers.FAMILIES.items():
        model.ignore_merges = name in ("llama-bpe", "tekken", "minicpm5")
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([make(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        if name in ("gpt-2", "starcoder", "falcon", "chameleon"):
            tokenizer.pre_tokenizer = make()  # spells bytes out itself
        asked = texts
        if name in NFC_FAMILIES:
            tokenizer.normalizer = normalizers.NFC()
            asked = texts + sequences_to_normalize(23, 800)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vocabulary.gguf"
            write_vocabulary(path, name, tokens, merges)
            found = rafter_ids(path, asked)
        wrong = [(text, tokenizer.encode(text).ids, ids) for text, ids in zip(asked, found) if tokenizer.encode(text).ids != ids]
        n_wrong += len(wrong) + abs(len(found) - len(asked))
        print(f"{name}: {len(wrong)} of {len(asked)} differ")
        for text, expected, ids in wrong[:3]:
            print(f"  {text!r}\n    expected {expected}\n    found    {ids}")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
