"""tokenizer.json against Hugging Face's tokenizers: the same ids and the same texts, for files that are trained here with every normaliser,
pre-tokenizer and decoder that is supported, on lines made to be difficult.

RAFTER_TEST_LINES says how many lines a file (300 unless told; 100000 is a thorough run). More files: python3 hf_tokenizer_oracle_test.py FILE...
"""
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

SKIP = 77
try:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
except ImportError:
    print("skipped: no tokenizers package")
    sys.exit(SKIP)

WORDS = """the quick brown fox jumps over lazy dog Straße naïve café résumé coöperate İstanbul ΑΒΓ ﬁne ① ½ ２３ 12345 3.14159 it's we'll I'M don't
def main(): return {"a": [1, 2]} // comment #include <stdio.h> x += 1; \t\t if (a && b) שלום עולם مرحبا بالعالم हिन्दी ไทย 漢字 かな カナ 한국어 ｶﾞ
e\u0301 a\u0308\u0323 o\u0323\u0308 \u200d 👩‍👩‍👧 🇩🇪 🙂 👍🏽 \u00a0 \u2003 \u3000 ▁ Ġ … “quoted” —dash Ⅷ ² ﷺ ㍿ Å \u212b ǆ ẞ ſ""".split(" ")
SPACES = [" ", " ", " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", " \n ", "\u00a0", "\u3000", ""]
TOKENS = ["<s>", "</s>", "<|im_start|>", "<mask>", "word", " glued ", "ÀÉ"]
CORPUS = [" ".join(WORDS)] * 4 + ["the lazy dog and the quick fox " * 3, "hello world", "def f(x): return x"] * 4


def line(rng):
    parts = []
    for _ in range(rng.randint(0, 14)):
        kind = rng.random()
        if kind < 0.6:
            parts.append(rng.choice(WORDS))
        elif kind < 0.75:
            parts.append(rng.choice(TOKENS))
        elif kind < 0.85:
            parts.append("".join(chr(rng.choice([rng.randint(32, 126), rng.randint(0xA0, 0x24F), rng.randint(0x300, 0x36F), rng.randint(0x590, 0x6FF), rng.randint(0x4E00, 0x4F00), rng.randint(0x1F600, 0x1F64F)])) for _ in range(rng.randint(1, 6))))
        elif kind < 0.95:
            parts.append(str(rng.randint(0, 10 ** rng.randint(1, 9))))
        else:
            parts.append(rng.choice(["a" * 60, " " * 40, "\n" * 9, "=" * 30, "ab" * 20]))
        parts.append(rng.choice(SPACES))
    text = "".join(parts).replace("\0", "").encode()
    if rng.random() < 0.1 and text:  # invalid UTF-8
        at = rng.randrange(len(text))
        text = text[:at] + bytes(rng.choice([[0xFF], [0xC3], [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xF0, 0x9F], [0x80]])) + text[at:]
    return text


def trained(model, trainer, normalizer=None, pre=None, decoder=None, post=None, added=()):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if decoder is not None:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(CORPUS, trainer)
    if post is not None:
        tokenizer.post_processor = post(tokenizer)
    tokenizer.add_special_tokens([AddedToken("<|im_start|>", special=True), AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.add_tokens(list(added))
    return tokenizer


def bpe(**options):
    return models.BPE(**options), trainers.BpeTrainer(vocab_size=700, show_progress=False, special_tokens=["<s>", "</s>"] + (["<unk>"] if options.get("unk_token") else []), initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if options.pop("bytes", False) else [])


def byte_level(**options):
    return models.BPE(**options), trainers.BpeTrainer(vocab_size=700, show_progress=False, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def with_bytes():
    trainer = trainers.BpeTrainer(vocab_size=900, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    return models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True), trainer


def tokenizers_of_all_kinds():
    N, P, D = normalizers, pre_tokenizers, decoders
    llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    words = [AddedToken("word", single_word=True, normalized=False), AddedToken(" glued ", rstrip=True, normalized=False), AddedToken("ÀÉ", normalized=True)]
    yield "gpt2", trained(*byte_level(), pre=P.ByteLevel(add_prefix_space=False), decoder=D.ByteLevel(), added=words)
    yield "gpt2 with prefix", trained(*byte_level(), pre=P.ByteLevel(add_prefix_space=True), decoder=D.ByteLevel(), post=lambda t: processors.ByteLevel())
    yield "llama3", trained(*byte_level(ignore_merges=True), pre=P.Sequence([P.Split(Regex(llama3), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)]), decoder=D.ByteLevel(), added=words,
                            post=lambda t: processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))]))
    yield "nfc, digits", trained(*byte_level(), N.NFC(), P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)]), D.ByteLevel(), added=words)
    yield "nfkc lower", trained(*byte_level(), N.Sequence([N.NFKC(), N.Lowercase()]), P.ByteLevel(add_prefix_space=False), D.ByteLevel(), added=words)
    yield "nfd no accents", trained(*byte_level(), N.Sequence([N.NFD(), N.StripAccents()]), P.Sequence([P.Digits(), P.ByteLevel(add_prefix_space=False)]), D.ByteLevel(), added=words)
    yield "nfkd strip", trained(*byte_level(), N.Sequence([N.NFKD(), N.Strip(), N.Replace(Regex(r"\s{2,}"), " ")]), P.ByteLevel(add_prefix_space=False), D.ByteLevel())
    yield "llama2", trained(*with_bytes(), N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None, D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]), added=words)
    yield "gemma", trained(*with_bytes(), N.Replace(" ", "▁"), P.Split(" ", "merged_with_previous"), D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()]))
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            yield f"metaspace {scheme} {split}", trained(*bpe(unk_token="<unk>", fuse_unk=split), None, P.Metaspace("▁", scheme, split), D.Metaspace("▁", scheme, split), added=words)
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        yield f"split {behavior}", trained(*bpe(unk_token="<unk>"), None, P.Sequence([P.Split(Regex(r"[aeiou\s]"), behavior), P.Punctuation(behavior)]), None)
        yield f"split {behavior} inverted", trained(*bpe(), None, P.Split(Regex(r"\w+|[^\w\s]+"), behavior, invert=True), D.Fuse())
    yield "whitespace", trained(*bpe(unk_token="<unk>"), N.Lowercase(), P.Whitespace(), D.Fuse())
    yield "whitespace split", trained(*bpe(unk_token="<unk>"), None, P.Sequence([P.WhitespaceSplit(), P.Digits(individual_digits=False)]), D.Fuse())
    unigram = trainers.UnigramTrainer(vocab_size=400, show_progress=False, unk_token="<unk>", special_tokens=["<unk>", "<s>", "</s>"])
    yield "unigram", trained(models.Unigram(), unigram, N.NFKC(), P.Metaspace(), D.Metaspace(), added=words)
    yield "unigram without words", trained(models.Unigram(), unigram, N.Replace(" ", "▁"), None, D.Replace("▁", " "))


def run(binary, path, texts, options):
    done = subprocess.run([binary, path, *options], input=texts, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return done.stdout


def compare(binary, name, path, n_lines, seed):
    rng = random.Random(seed)
    tokenizer = Tokenizer.from_file(str(path))
    lines = [text for text in (line(rng) for _ in range(n_lines))]
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special and not token.content.startswith("<0x")}
    decoded = [text.decode("utf-8", "replace") for text in lines]
    expected = [encoding.ids for encoding in tokenizer.encode_batch(decoded, add_special_tokens=False)]
    found = [[int(i) for i in row.split()] for row in run(binary, path, b"".join(text + b"\0" for text in lines), ["--special"]).decode().split("\n")[:-1]]
    n_wrong = 0
    for text, want, got in zip(decoded, expected, found):
        if want != got:
            n_wrong += 1
            if n_wrong <= 3:
                print(f"{name}: {text!r}\n  expected {want}\n  found    {got}\n  {[tokenizer.id_to_token(i) for i in want]}\n  {[tokenizer.id_to_token(i) for i in got]}")
    assert len(found) == len(expected), f"{name}: {len(expected)} lines, {len(found)} found"
    texts = run(binary, path, "".join(" ".join(map(str, ids)) + "\n" for ids in expected).encode(), ["--special", "--decode"]).split(b"\0")[:-1]
    for want, got in zip(tokenizer.decode_batch(expected, skip_special_tokens=False), texts):
        if want != got.decode("utf-8", "replace"):
            n_wrong += 1
            if n_wrong <= 3:
                print(f"{name}: decoded\n  expected {want!r}\n  found    {got.decode('utf-8', 'replace')!r}")
    # What a user types never becomes a special token.
    plain = run(binary, path, b"".join(text + b"\0" for text in lines), []).decode().split()
    forbidden = {str(tokenizer.token_to_id(text)) for text in special} - {str(tokenizer.token_to_id("<unk>"))}
    if forbidden & set(plain):
        n_wrong += 1
        print(f"{name}: typed text became a special token: {forbidden & set(plain)}")
    print(f"{name}: {len(lines)} lines, {n_wrong} wrong")
    return n_wrong


def main():
    binary = Path(os.environ["RAFTER_BUILD_DIR"]) / "tests" / "tools" / "tokenize_json"
    n_lines = int(os.environ.get("RAFTER_TEST_LINES", "300"))
    n_wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in sys.argv[1:]:
            n_wrong += compare(binary, path, path, n_lines, 1)
        if not sys.argv[1:]:
            for i, (name, tokenizer) in enumerate(tokenizers_of_all_kinds()):
                path = Path(folder) / f"{i}.json"
                tokenizer.save(str(path))
                n_wrong += compare(binary, name, path, n_lines, i)
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
