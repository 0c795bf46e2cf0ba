"""The GGUF vocabulary that a tokenizer.json converts to against Hugging Face's tokenizers: the same ids and texts, for files trained here; and
what GGUF cannot say is refused. Skipped where the package tokenizers is missing."""
import itertools
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
N_TEXTS = int(os.environ.get("RAFTER_TEST_LINES", "1000"))
TOOL = Path(os.environ["RAFTER_BUILD_DIR"]) / "tests" / "tools" / "tokenize_json"

try:
    import nasty_texts
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(SKIP)

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}|", r"\p{N}|")
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)


def split(regex, behavior="isolated", invert=False):
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), behavior, invert), bytes_only])


def byte_level(pre_tokenizer, normalizer=None, ignore_merges=False):
    made = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    made.pre_tokenizer = pre_tokenizer
    if normalizer:
        made.normalizer = normalizer
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, special_tokens=["<|endoftext|>"]
    )
    made.train_from_iterator(nasty_texts.mixtures(1, 2000), trainer)
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    made.add_tokens([AddedToken("<tool>", normalized=False)])
    return made


def with_strips(made):
    """As Phi-3's and Phi-4's: white space beside some added tokens goes with them."""
    file = json.loads(made.to_str())
    for i, token in enumerate(file["added_tokens"]):
        token.update(lstrip=i % 2 == 1, rstrip=i % 3 != 0)
    return Tokenizer.from_str(json.dumps(file))


def space_mark(prefix, left_out=(), order=None, cut=()):
    """As Llama 2's: every way to make a token of two others is a merge but those left out; those of a token stand together, or all in a
    random order. Tokens to cut are found in the text as it comes, as Gemma's are."""
    words = ["the", "and", "lazy", "▁the", "▁dog", "▁▁▁▁▁▁▁", "été", "12", "ing", "▁quick", "\n\n", "Привет", "---------"]
    characters = sorted({c for text in nasty_texts.mixtures(3, 50) for c in text if c.isalpha() and c < "ԯ"} | set("".join(words)))
    pieces = []
    for word in words:
        pieces += [word[:n] for n in range(2, len(word) + 1) if word[:n] not in pieces]
        pieces += [word[1:n] for n in range(3, len(word) + 1) if word[1:n] not in pieces]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + [c for c in characters if c not in left_out] + pieces
    ids = {token: i for i, token in enumerate(tokens)}
    merges = [(p[:n], p[n:]) for p in pieces for n in range(1, len(p)) if p[:n] in ids and p[n:] in ids]
    merges = [pair for pair in merges if pair not in left_out]
    if order is not None:
        random.Random(order).shuffle(merges)
    made = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    replace = normalizers.Replace(" ", "▁")
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace]) if prefix else replace
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] if prefix else steps)
    made.add_tokens([AddedToken(text, normalized=False) for text in cut])
    made.add_special_tokens([AddedToken(text, normalized=False) for text in ("<unk>", "<s>", "</s>")])
    return made


def with_metaspace(made, scheme):
    """As Mistral's: one step marks spaces, and puts one before a text that has none."""
    made.normalizer = None
    made.pre_tokenizer = pre_tokenizers.Metaspace("▁", scheme, False)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return Tokenizer.from_str(json.dumps({**json.loads(made.to_str()), "normalizer": None}))


FILES = {
    "gpt-2": lambda: byte_level(GPT2),
    "smollm": lambda: byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2])),
    "llama-bpe": lambda: byte_level(split(LLAMA3), ignore_merges=True),
    "dbrx": lambda: byte_level(split(LLAMA3, "removed", True)),
    "qwen2": lambda: byte_level(split(QWEN2), normalizer=normalizers.NFC()),
    "llama with prefix": lambda: space_mark(True),
    "llama without prefix": lambda: space_mark(False),
    **{f"llama, merges in order {i}": lambda i=i: space_mark(False, order=i) for i in range(3)},
    **{f"mistral {s}": lambda s=s: with_metaspace(space_mark(False, cut=["[INST]", "<t> "]), s) for s in ("first", "always", "never")},
    "phi-4": lambda: with_strips(byte_level(split(LLAMA3))),
    "phi-3": lambda: with_strips(space_mark(True, cut=["<|user|>", "<|end|>", "<|x|>"])),
    "gemma": lambda: space_mark(False, left_out=[("\n", "\n"), ("1", "2")], cut=["\n", "\n\n", "12", "<b>", "▁▁", "▁▁▁▁"]),
}


def run(path, options, given):
    done = subprocess.run([TOOL, path, "--as-gguf", *options], input=given, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def compare(name, made, folder):
    path = Path(folder) / f"{name}.json"
    made.save(str(path))
    texts = [text.replace("\0", "") for text in nasty_texts.FIXED + nasty_texts.mixtures(7, N_TEXTS)]
    # Tokens of U+2581 are found where a text has that character, which the GGUF file's tokenizer takes for a space.
    added = [token.content for token in made.get_added_tokens_decoder().values() if "▁" not in token.content]
    texts += [f"{a}{added[i % len(added)]} \u00a0\n\u3000{b}{added[-1]}" for i, (a, b) in enumerate(zip(texts[:200], texts[200:400]))]
    texts += [" " + text for text in texts[:100]] + [text + " " + added[0] for text in texts[:100]]
    texts += [" ".join(added[i % len(added)] for i in order) for order in itertools.product(range(5), repeat=3)]
    status, out, error = run(path, ["--special"], b"".join(text.encode() + b"\0" for text in texts))
    assert status == 0, (name, error)
    found = [[int(word) for word in line.split()] for line in out.decode().split("\n")[:-1]]
    expected = [encoding.ids for encoding in made.encode_batch(texts, add_special_tokens=False)]
    wrong = [(text, want, got) for text, want, got in zip(texts, expected, found) if want != got]
    assert len(found) == len(texts) and not wrong, f"{name}: {len(wrong)} of {len(texts)} texts differ: {wrong[:2]}"
    status, out, error = run(path, [], added[-1].encode() + b"\0")
    is_special = made.get_added_tokens_decoder()[made.token_to_id(added[-1])].special
    assert status == 0 and (not is_special or str(made.token_to_id(added[-1])) not in out.decode().split()), (name, out)
    status, out, error = run(path, ["--special", "--decode"], "".join(" ".join(map(str, ids)) + "\n" for ids in expected).encode())
    shown = [text.decode("utf-8", "replace") for text in out.split(b"\0")[:-1]]
    if name not in ("llama with prefix", "phi-3", "mistral first", "mistral always"):  # a space behind an added token stays there with one and goes with the other
        wrong = [(want, got) for want, got in zip(made.decode_batch(expected, skip_special_tokens=False), shown) if want != got]
        assert status == 0 and len(shown) == len(expected) and not wrong, f"{name}: {len(wrong)} decoded texts differ: {wrong[:2]}"
    return len(texts)


def with_merge_of_unknown():
    file = json.loads(space_mark(True).to_str())
    file["model"]["vocab"]["<unk>a"] = len(file["model"]["vocab"])
    file["model"]["merges"].insert(0, ["<unk>", "a"])
    return file


def refusals(folder):
    base = json.loads(FILES["gpt-2"]().to_str())
    marked = json.loads(space_mark(True).to_str())
    byte_level_step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    odd = {"type": "Split", "pattern": {"Regex": "a+|b"}, "behavior": "Isolated", "invert": False}
    sequence = lambda first: {"type": "Sequence", "pretokenizers": [first, byte_level_step]}
    cases = [
        ("a+|b", {**base, "pre_tokenizer": sequence(odd)}),
        ("Isolated", {**base, "pre_tokenizer": sequence({**odd, "behavior": "MergedWithNext"})}),
        ("Digits", {**base, "pre_tokenizer": sequence({"type": "Punctuation", "behavior": "Isolated"})}),
        ("add_prefix_space", {**base, "pre_tokenizer": {**byte_level_step, "add_prefix_space": True}}),
        ("ignore_merges true", {**base, "model": {**base["model"], "ignore_merges": True}}),
        ("NFC", {**base, "normalizer": {"type": "Lowercase"}}),
        ("white space found after normalising", {**base, "added_tokens": [{**base["added_tokens"][0], "rstrip": True},
                                                                          {"id": 4000, "content": "\n", "normalized": True}]}),
        ("lstrip and rstrip after normalising", {**marked, "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
                                                 "added_tokens": [{**marked["added_tokens"][0], "normalized": True, "rstrip": True}]}),
        ("single_word", {**base, "added_tokens": [{**base["added_tokens"][0], "single_word": True}]}),
        ("byte_fallback", {**base, "pre_tokenizer": None}),
        ("Unigram", {**base, "model": {"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": 0, "byte_fallback": False}, "added_tokens": []}),
        ("\"la\" becomes other tokens by scores", json.loads(space_mark(True, left_out=[("l", "a")]).to_str())),
        ("becomes other tokens by scores", json.loads(space_mark(True, left_out=["q"]).to_str())),  # no token for this character
        ("entry 0: expected tokens that text may become, found \"<unk>\"", with_merge_of_unknown()),
        ("normalizer", {**marked, "normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "split": True}}),
        ("256", {**marked, "model": {**marked["model"], "byte_fallback": True, "vocab": {"<0x00>": 0, "<unk>": 1}, "merges": []}, "added_tokens": []}),
        ("Replace", {**marked, "normalizer": {"type": "Prepend", "prepend": "▁"}}),
    ]
    path = Path(folder) / "refused.json"
    for word, file in cases:
        path.write_text(json.dumps(file))
        status, _, error = run(path, [], b"a\0")
        assert status == 1 and error.count("\n") == 1 and word in error, (word, status, error)
    return len(cases)


with tempfile.TemporaryDirectory() as work:
    n_texts = sum(compare(name, make(), work) for name, make in FILES.items())
    print(f"{n_texts} texts equal in {len(FILES)} files, {refusals(work)} refusals")
