#!/usr/bin/env python3
"""Turns a GGUF file of Llama's or Gemma 3's architecture into a Hugging Face checkpoint folder, to test the reading of such folders.

    tools/export_checkpoint.py SmolLM2-135M-Instruct.gguf hf-smollm2 [--type F32] [--shards 2]

Weights are dequantised and put into the order that transformers expects: the inverse of what llama.cpp's converter does. F32 keeps every
value; BF16, the default, rounds those of quantised tensors. Needs numpy and gguf (tests/requirements.txt).
"""
import argparse
import json
import pathlib
import re

import gguf
import numpy as np

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # token types of GGUF
LAYER_NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
}
FEED_FORWARD_NORMS = {
    "llama": {"ffn_norm": "post_attention_layernorm"},
    "gemma3": {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
               "post_ffw_norm": "post_feedforward_layernorm"},
}
OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
WORDS = {  # regular expressions of pre-tokenizers
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


class Keys:
    """The file's metadata."""

    def __init__(self, reader):
        self.fields = reader.fields
        self.architecture = self.get("general.architecture")

    def get(self, name, fallback=None):
        return self.fields[name].contents() if name in self.fields else fallback

    def own(self, name, fallback=None):
        return self.get(f"{self.architecture}.{name}", fallback)


def checkpoint_name(architecture, name):
    """A tensor's name in transformers; None for what the configuration says instead."""
    if name == "rope_freqs.weight":
        return None
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    names = {**LAYER_NAMES, **FEED_FORWARD_NORMS[architecture]}
    if layer and layer[2] in names:
        return f"model.layers.{layer[1]}.{names[layer[2]]}.{layer[3]}"
    stem, _, kind = name.rpartition(".")
    if stem not in OUTER_NAMES:
        raise SystemExit(f"{name}: no name in a checkpoint of {architecture}")
    return f"{OUTER_NAMES[stem]}.{kind}"


def values_of(tensor, keys):
    """float32 values in transformers' order: [n_rows, n_cols] or [n]."""
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
    if keys.architecture == "llama" and re.search(r"\.attn_[qk]\.", tensor.name):
        # GGUF rotates neighbours, transformers the halves of a head.
        n_heads = keys.own("attention.head_count" if ".attn_q." in tensor.name else "attention.head_count_kv")
        values = values.reshape(n_heads, -1, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
    if keys.architecture == "gemma3" and tensor.name.endswith("norm.weight"):
        values = values - 1
    return values


def to_bf16(values):
    """Rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


ENCODERS = {"F32": (4, lambda v: v), "F16": (2, lambda v: v.astype(np.float16)), "BF16": (2, to_bf16)}


def write_safetensors(path, tensors, kind, keys):
    """A length, a JSON header padded to 8 bytes, then the values: https://github.com/huggingface/safetensors. One tensor in memory."""
    value_bytes, encode = ENCODERS[kind]
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors:
        end = at + int(tensor.n_elements) * value_bytes
        header[name] = {"dtype": kind, "shape": [int(n) for n in reversed(tensor.shape)], "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for _, tensor in tensors:
            encode(values_of(tensor, keys)).tofile(out)
    return at


def write_weights(folder, reader, keys, kind, n_shards):
    tensors = [(checkpoint_name(keys.architecture, t.name), t) for t in reader.tensors]
    tensors = [(name, t) for name, t in tensors if name is not None]
    if n_shards == 1:
        return write_safetensors(folder / "model.safetensors", tensors, kind, keys)
    total = sum(int(t.n_elements) for _, t in tensors)
    shards, so_far = [[] for _ in range(n_shards)], 0
    for name, tensor in tensors:
        shards[min(n_shards - 1, so_far * n_shards // total)].append((name, tensor))
        so_far += int(tensor.n_elements)
    places, total_bytes = {}, 0
    for i, shard in enumerate(shards, 1):
        file_name = f"model-{i:05}-of-{n_shards:05}.safetensors"
        total_bytes += write_safetensors(folder / file_name, shard, kind, keys)
        places.update({name: file_name for name, _ in shard})
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total_bytes}, "weight_map": places})
    return total_bytes


def make_config(reader, keys, kind):
    n_heads = keys.own("attention.head_count")
    embeddings = next(t for t in reader.tensors if t.name == "token_embd.weight")
    config = {
        "model_type": {"llama": "llama", "gemma3": "gemma3_text"}[keys.architecture],
        "architectures": [{"llama": "LlamaForCausalLM", "gemma3": "Gemma3ForCausalLM"}[keys.architecture]],
        "vocab_size": int(embeddings.shape[1]),
        "hidden_size": keys.own("embedding_length"),
        "intermediate_size": keys.own("feed_forward_length"),
        "num_hidden_layers": keys.own("block_count"),
        "num_attention_heads": n_heads,
        "num_key_value_heads": keys.own("attention.head_count_kv", n_heads),
        "head_dim": keys.own("attention.key_length", keys.own("embedding_length") // n_heads),
        "max_position_embeddings": keys.own("context_length"),
        "rms_norm_eps": float(f"{keys.own('attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_theta": keys.own("rope.freq_base", 10000.0),
        "rope_scaling": None,
        "tie_word_embeddings": all(t.name != "output.weight" for t in reader.tensors),
        "bos_token_id": keys.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": keys.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": keys.get("tokenizer.ggml.padding_token_id"),
        "attention_bias": False,
        "torch_dtype": {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[kind],
    }
    if keys.own("rope.scaling.type", "none") != "none" or any(t.name == "rope_freqs.weight" for t in reader.tensors):
        raise SystemExit("rope scaling: this exporter knows none")
    if keys.architecture == "gemma3":
        n_layers = config["num_hidden_layers"]
        config.update(hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=config["head_dim"], rope_local_base_freq=10000.0,
                      sliding_window=keys.own("attention.sliding_window"), attn_logit_softcapping=None, final_logit_softcapping=None,
                      layer_types=["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(n_layers)])
    else:
        config.update(hidden_act="silu", mlp_bias=False)
    return config


def merges_by_score(tokens, scores, types):
    """SentencePiece's merges, best first, in the order of transformers' converter: any two tokens that make a third, user-defined tokens
    (which SentencePiece never splits) before all others."""
    ids = {token: i for i, token in enumerate(tokens) if types[i] in (NORMAL, USER_DEFINED)}
    found = []
    for token, i in ids.items():
        parts = [(token[:at], token[at:]) for at in range(1, len(token)) if token[:at] in ids and token[at:] in ids]
        score = 0 if types[i] == USER_DEFINED else scores[i]
        found += [(-score, i, ids[left], ids[right], left, right) for left, right in parts]
    found.sort()
    return [[left, right] for *_, left, right in found]


def make_tokenizer(keys):
    tokens, types = keys.get("tokenizer.ggml.tokens"), keys.get("tokenizer.ggml.token_type")
    pre, model = keys.get("tokenizer.ggml.pre"), keys.get("tokenizer.ggml.model")
    if model == "llama":  # llama.cpp's converter writes user-defined runs of spaces as text has them
        tokens = [t.replace(" ", "▁") if kind == USER_DEFINED else t for t, kind in zip(tokens, types)]
    bpe = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
           "fuse_unk": False, "byte_fallback": False, "ignore_merges": pre == "llama-bpe", "vocab": {t: i for i, t in enumerate(tokens)}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    if model == "gpt2":
        bpe["merges"] = [merge.split(" ") for merge in keys.get("tokenizer.ggml.merges")]
        normalizer, decoder = ({"type": "NFC"} if pre == "qwen2" else None), byte_level
        if pre == "smollm":
            steps = [{"type": "Digits", "individual_digits": True}, byte_level]
        elif pre in WORDS:
            split = {"type": "Split", "pattern": {"Regex": WORDS[pre]}, "behavior": "Isolated", "invert": False}
            steps = [split, {**byte_level, "use_regex": False}]
        else:
            raise SystemExit(f"tokenizer.ggml.pre: expected smollm or one of {sorted(WORDS)}, found {pre}")
        pre_tokenizer = {"type": "Sequence", "pretokenizers": steps}
    elif model == "llama" and not keys.get("tokenizer.ggml.add_space_prefix", True):
        bpe.update(merges=merges_by_score(tokens, keys.get("tokenizer.ggml.scores"), types), byte_fallback=True, fuse_unk=True,
                   unk_token=tokens[keys.get("tokenizer.ggml.unknown_token_id", 0)])
        normalizer = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        pre_tokenizer = None
        to_space = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
        decoder = {"type": "Sequence", "decoders": [to_space, {"type": "ByteFallback"}, {"type": "Fuse"}]}
    else:
        raise SystemExit(f"tokenizer.ggml.model: expected gpt2, or llama without a prefix of a space, found {model}")
    added = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": types[i] == CONTROL} for i, token in enumerate(tokens) if types[i] in (CONTROL, USER_DEFINED)]
    processor = None
    if keys.get("tokenizer.ggml.add_bos_token", model == "llama"):
        bos_id = keys.get("tokenizer.ggml.bos_token_id")
        bos = tokens[bos_id]
        first = [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        second = [{"SpecialToken": {"id": bos, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
        processor = {"type": "TemplateProcessing", "single": first, "pair": first + second,
                     "special_tokens": {bos: {"id": bos, "ids": [bos_id], "tokens": [bos]}}}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": processor, "decoder": decoder, "model": bpe}


def make_tokenizer_config(keys):
    tokens = keys.get("tokenizer.ggml.tokens")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": keys.own("context_length"),
              "clean_up_tokenization_spaces": False, "add_bos_token": bool(keys.get("tokenizer.ggml.add_bos_token", False))}
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unknown", "unk"), ("padding", "pad")):
        token_id = keys.get(f"tokenizer.ggml.{ours}_token_id")
        if token_id is not None:
            config[f"{theirs}_token"] = tokens[token_id]
    if keys.get("tokenizer.chat_template"):
        config["chat_template"] = keys.get("tokenizer.chat_template")
    return config


def make_generation_config(config, keys):
    sampling = {"temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p", "penalty_repeat": "repetition_penalty"}
    found = {theirs: keys.get(f"general.sampling.{ours}") for ours, theirs in sampling.items()}
    found = {name: value for name, value in found.items() if value is not None}
    return {**{name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}, "do_sample": bool(found), **found}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("out", type=pathlib.Path, help="the folder to write")
    parser.add_argument("--type", choices=ENCODERS, default="BF16")
    parser.add_argument("--shards", type=int, default=1, metavar="N", help="files of weights (default: 1)")
    options = parser.parse_args()
    reader = gguf.GGUFReader(options.model)
    keys = Keys(reader)
    if keys.architecture not in FEED_FORWARD_NORMS:
        parser.error(f"{options.model}: expected one of {sorted(FEED_FORWARD_NORMS)}, found {keys.architecture}")
    options.out.mkdir(parents=True, exist_ok=True)
    config = make_config(reader, keys, options.type)
    write_json(options.out / "config.json", config)
    write_json(options.out / "generation_config.json", make_generation_config(config, keys))
    write_json(options.out / "tokenizer.json", make_tokenizer(keys))
    write_json(options.out / "tokenizer_config.json", make_tokenizer_config(keys))
    n_bytes = write_weights(options.out, reader, keys, options.type, options.shards)
    print(f"{options.out}: {n_bytes:,} bytes of weights in {options.type}")


if __name__ == "__main__":
    main()
