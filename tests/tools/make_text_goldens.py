"""Makes tests/golden/text/*.json: what other tokenizer libraries make of nasty texts. Needs the packages tokenizers and sentencepiece; run as

    python3 tests/tools/make_text_goldens.py
"""
import json
import sys
import tempfile
from pathlib import Path

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
import hf_pre_tokenizers  # noqa: E402
import nasty_texts  # noqa: E402

OUT = ROOT / "tests" / "golden" / "text"
COMMAND = "python3 tests/tools/make_text_goldens.py"
TRAINING = nasty_texts.FIXED + [" ".join(nasty_texts.PIECES) * 4, (ROOT / "LICENSE").read_text(), "the cat sat on the mat and that was that " * 20]
CASES = nasty_texts.FIXED + nasty_texts.mixtures(12, 120)


def write(name, data):
    rows = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=True)}" for key, value in data.items()]
    (OUT / name).write_text("{\n" + ",\n".join(rows) + "\n}\n")


def pre_tokenizers_golden():
    """For each family and text, after how many characters each word ends."""
    texts = CASES[1:]
    families = {}
    for name, make in hf_pre_tokenizers.FAMILIES.items():
        pre_tokenizer = make()
        families[name] = [[end for _, (_, end) in pre_tokenizer.pre_tokenize_str(text)] for text in texts]
    write("pre_tokenizers.json", {"made_by": f"{COMMAND}, tokenizers {tokenizers.__version__}", "texts": texts, **families})


def byte_bpe_golden():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [hf_pre_tokenizers.FAMILIES["llama-bpe"](), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(state["vocab"].items(), key=lambda item: item[1])]
    merges = [" ".join(pair) for pair in state["merges"]]
    write(
        "byte_bpe.json",
        {
            "made_by": f"{COMMAND}, tokenizers {tokenizers.__version__}",
            "model": "gpt2",
            "pre": "smaug-bpe",
            "tokens": tokens,
            "merges": merges,
            "texts": CASES,
            "ids": [tokenizer.encode(text).ids for text in CASES],
        },
    )


def is_tie(proto, processor, text):
    ways = processor.nbest_encode(text, nbest_size=2)
    scores = [sum(proto.pieces[i].score for i in way) for way in ways]
    return len(ways) == 2 and abs(scores[0] - scores[1]) < 1e-3


def sentence_piece_golden(name, model, **options):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "text").write_text("\n".join(text.replace("\n", " ") for text in TRAINING))
        # A few rules keep the compiled table small: full-width A, the fi ligature, circled one, ideographic and no-break space.
        (Path(folder) / "rules.tsv").write_text("FF21\t41\nFB01\t66 69\n2460\t31\n3000\t20\nA0\t20\n9\t20\n")
        sentencepiece.SentencePieceTrainer.train(
            input=f"{folder}/text",
            model_prefix=f"{folder}/model",
            minloglevel=2,
            max_sentence_length=100000,
            character_coverage=0.98,
            user_defined_symbols=["<sep>"],
            **{key: value.format(folder=folder) if isinstance(value, str) else value for key, value in options.items()},
        )
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString(Path(folder, "model.model").read_bytes())
        processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    # Where the two best ways to write a text score the same but for rounding, either is right.
    texts = [text for text in CASES if model != "t5" or not is_tie(proto, processor, text)]
    normalizer = proto.normalizer_spec
    write(
        name,
        {
            "made_by": f"{COMMAND}, sentencepiece {sentencepiece.__version__}",
            "model": model,
            "tokens": [piece.piece for piece in proto.pieces],
            "scores": [piece.score for piece in proto.pieces],
            "types": [int(piece.type) for piece in proto.pieces],
            "charsmap": list(normalizer.precompiled_charsmap) if model == "t5" else [],
            "add_space_prefix": normalizer.add_dummy_prefix,
            "remove_extra_whitespaces": normalizer.remove_extra_whitespaces,
            "texts": texts,
            "ids": [processor.encode(text) for text in texts],
        },
    )


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    pre_tokenizers_golden()
    byte_bpe_golden()
    bpe = {"model_type": "bpe", "vocab_size": 1400, "byte_fallback": True, "remove_extra_whitespaces": False, "normalization_rule_name": "identity"}
    sentence_piece_golden("sentencepiece.json", "llama", **bpe)
    sentence_piece_golden("sentencepiece_no_prefix.json", "llama", **bpe, add_dummy_prefix=False, split_by_whitespace=False)
    sentence_piece_golden("unigram.json", "t5", model_type="unigram", vocab_size=700, normalization_rule_tsv="{folder}/rules.tsv")
