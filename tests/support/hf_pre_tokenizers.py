"""The pre-tokenizers of model families as their own tokenizer.json files have them, for the Hugging Face `tokenizers` library: the oracle for
src/text/pre_tokenizer_families.cpp, written apart from it."""
from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, Punctuation, Sequence, Split

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
HAN_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
HAN_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
ASCII_PUNCTUATION = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""


def split(pattern):
    return Split(Regex(pattern), "isolated")


def gpt2():
    return ByteLevel(add_prefix_space=False, use_regex=True)


def cased(numbers, suffix=CONTRACTIONS + "?"):
    return split(
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{suffix}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{suffix}"
        rf"|{numbers}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{SPACES}"
    )


def words(numbers, letters=r"\p{L}", others=r" ?[^\s\p{L}\p{N}]+[\r\n]*", contractions=CONTRACTIONS + "|"):
    return split(rf"{contractions}[^\r\n\p{{L}}\p{{N}}]?{letters}+|{numbers}|{others}|{SPACES}")


BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
DEEPSEEK_LLM_LETTERS = (
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗ\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d"
    "\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
    "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184"
    "\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
    "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+"
)
DEEPSEEK_CJK = "[一-龥ࠀ-一가-\ud7ff]+"
DEEPSEEK3 = [
    split(r"\p{N}{1,3}"),
    split("[一-龥\u3040-ゟ゠-ヿ]+"),
    split(rf"{ASCII_PUNCTUATION}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+| ?[\p{{P}}\p{{S}}]+[\r\n]*|{SPACES}"),
]

# By the name in tokenizer.ggml.pre of one member of each family.
FAMILIES = {
    "llama-bpe": lambda: words(r"\p{N}{1,3}"),
    "smaug-bpe": lambda: words(r"\p{N}{1,3}"),
    "gpt-2": gpt2,
    "starcoder": lambda: Sequence([Digits(individual_digits=True), gpt2()]),
    "qwen2": lambda: words(r"\p{N}"),
    "qwen35": lambda: words(r"\p{N}", r"[\p{L}\p{M}]", r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"),
    "falcon": lambda: Sequence([Punctuation("contiguous"), gpt2(), split("[0-9][0-9][0-9]")]),
    "deepseek-llm": lambda: Sequence(
        [
            split("[\r\n]"),
            split(DEEPSEEK_LLM_LETTERS),
            split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
            split(r"\s+$"),
            split(DEEPSEEK_CJK),
            Digits(individual_digits=True),
        ]
    ),
    "deepseek-coder": lambda: Sequence(
        [split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(DEEPSEEK_CJK), Digits(individual_digits=True)]
    ),
    "deepseek-v3": lambda: Sequence(DEEPSEEK3),
    "gpt-4o": lambda: cased(r"\p{N}{1,3}"),
    "tekken": lambda: cased(r"\p{N}", ""),
    "kimi-k2": lambda: split(
        rf"[\p{{Han}}]+|[^\r\n\p{{L}}\p{{N}}]?{HAN_UPPER}*{HAN_LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{HAN_UPPER}+{HAN_LOWER}*{CONTRACTIONS}?"
        rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}"
    ),
    "bloom": lambda: split(BLOOM),
    "viking": lambda: Sequence([split(BLOOM), Digits(individual_digits=True)]),
    "chameleon": lambda: Sequence(
        [
            split("<sentinel:[0-9]+>"),
            split("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
            split("([\t\n]|    |  )"),
            Digits(individual_digits=True),
            Punctuation("isolated"),
            gpt2(),
        ]
    ),
    "superbpe": lambda: Sequence([split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))")]),
    "jais-2": lambda: split(
        rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+"
        r"|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"
    ),
    "bailingmoe": lambda: split(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
    ),
    "seed-coder": lambda: words(r"\p{N}{1}", others=r" ?[^\s\p{L}\p{N}\r\n]+"),
    "exaone-moe": lambda: split(
        rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
    ),
    "tiny_aya": lambda: Sequence([split(r"\d{1,3}(?=(?:\d{3})*\b)"), cased(r"\p{N}{1,3}")]),
    "minicpm5": lambda: Sequence([split(r"\p{N}{1,3}"), words(r"\p{N}+")]),
    "ufakzeka": lambda: words(r"\p{N}", contractions=""),
}
