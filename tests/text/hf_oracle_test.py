"""Byte-level BPE against the Hugging Face `tokenizers` library on random texts: every family of pre-tokenizers, the vocabulary of the golden
file, through the command line. Skipped where the packages tokenizers and gguf are missing."""
import json
import os
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
    from tokenizers import Tokenizer, models, pre_tokenizers
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


def rafter_ids(path, texts):
    done = subprocess.run(
        [os.environ["RAFTER_BINARY"], "tokenize", path, "--null"], input="\0".join(texts).encode(), capture_output=True, check=True
    )
    return [[int(word) for word in line.split()] for line in done.stdout.decode().split("\n")[:-1]]


def main():
    golden = json.loads((ROOT / "tests" / "golden" / "text" / "byte_bpe.json").read_text())
    tokens, merges = golden["tokens"], golden["merges"]
    model = models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[tuple(merge.split(" ")) for merge in merges])
    texts = nasty_texts.mixtures(21, N_TEXTS) + nasty_texts.long_runs(22, 80)
    n_wrong = 0
    for name, make in hf_pre_tokenizers.FAMILIES.items():
        model.ignore_merges = name in ("llama-bpe", "tekken", "minicpm5")
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([make(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        if name in ("gpt-2", "starcoder", "falcon", "chameleon"):
            tokenizer.pre_tokenizer = make()  # spells bytes out itself
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vocabulary.gguf"
            write_vocabulary(path, name, tokens, merges)
            found = rafter_ids(path, texts)
        wrong = [(text, tokenizer.encode(text).ids, ids) for text, ids in zip(texts, found) if tokenizer.encode(text).ids != ids]
        n_wrong += len(wrong) + abs(len(found) - len(texts))
        print(f"{name}: {len(wrong)} of {len(texts)} differ")
        for text, expected, ids in wrong[:3]:
            print(f"  {text!r}\n    expected {expected}\n    found    {ids}")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
