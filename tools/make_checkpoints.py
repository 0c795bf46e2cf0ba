#!/usr/bin/env python3
"""Writes tiny seeded Hugging Face checkpoint folders of every architecture, each with the float32 logits that transformers computes from it.

    tools/make_checkpoints.py tests/golden/checkpoints

Needs torch, transformers 5, tokenizers and safetensors, which are too large for CI: the folders are committed. Each has the files of a
published model, and expected.json: token ids, and the logits after some positions (eager attention, float32 arithmetic, weights as stored).
"""
import argparse
import copy
import json
import pathlib
import shutil

import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

N_VOCAB = 320
N_TOKENS = 24
POSITIONS = [0, 7, 15, 23]
SENTENCES = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.",
    "A model reads one token after another; each step gives a distribution over the next.",
    "In the beginning there was a matrix, and the matrix was multiplied by a vector.",
    "Numbers such as 2026, 3.14159 and 1,000 are split into digits; so are 42 and 7.",
    "Größe, café, naïve, señor: letters with accents need two bytes each.",
    "def read(path):\n    with open(path) as file:\n        return file.read()\n",
]
BOS, EOS, END_OF_TURN, PAD = "<s>", "</s>", "<|end|>", "<pad>"
TEMPLATE = ("{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>\n{% endif %}")

# What the folders' configurations share. The vocabulary apart, few widths are equal, so that exchanged ones are noticed.
COMMON = {
    "vocab_size": N_VOCAB, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 3,
}
NARROW = {**COMMON, "hidden_size": 32, "intermediate_size": 64}
WIDE = {**COMMON, "hidden_size": 64, "intermediate_size": 96}
LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.2, 1.4, 1.5, 1.7],
            "long_factor": [1.2, 1.9, 3.1, 5.3, 9.7, 15.1], "original_max_position_embeddings": 16, "partial_rotary_factor": 0.75}

GEMMA3 = {**NARROW, "intermediate_size": 32, "num_hidden_layers": 6, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
          "query_pre_attn_scalar": 16, "sliding_window": 8}  # 6 layers: the last alone sees everything
YARN = {"rope_type": "yarn", "rope_theta": 150000.0, "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
        "original_max_position_embeddings": 32}

# Name: (configuration class, its values, options). Options: dtype, older (config.json as transformers 4 wrote it), shard (bytes), fp8, mxfp4,
# template_in_config.
FOLDERS = {
    "llama": ("Llama", {**NARROW, "head_dim": 16, "rms_norm_eps": 1e-5}, {"template_in_config": True}),
    "llama-f32": ("Llama", {**NARROW, "num_hidden_layers": 1, "head_dim": 16}, {"dtype": "float32"}),
    "llama-f16": ("Llama", {**NARROW, "num_hidden_layers": 1, "head_dim": 16}, {"dtype": "float16"}),
    "llama-tied": ("Llama", {**NARROW, "tie_word_embeddings": True}, {"older": True, "template_in_config": True}),
    "llama3-rope": ("Llama", {**NARROW, "num_hidden_layers": 1, "head_dim": 16, "rope_parameters": LLAMA3_ROPE}, {}),
    "llama3-rope-older": ("Llama", {**NARROW, "num_hidden_layers": 1, "head_dim": 16, "rope_parameters": LLAMA3_ROPE}, {"older": True}),
    "llama-bias": ("Llama", {**NARROW, "attention_bias": True}, {}),
    "llama-sharded": ("Llama", {**NARROW, "head_dim": 16}, {"shard": 40000}),
    "llama-fp8-block": ("Llama", {**WIDE, "num_hidden_layers": 1, "intermediate_size": 256, "head_dim": 64}, {"fp8": "block"}),
    "llama-fp8-channel": ("Llama", {**NARROW, "head_dim": 16}, {"fp8": "channel"}),
    "llama-fp8-tensor": ("Llama", {**NARROW, "head_dim": 16}, {"fp8": "tensor"}),
    "mistral": ("Mistral", {**NARROW, "head_dim": 16, "sliding_window": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
                {}),
    "mixtral": ("Mixtral", {**NARROW, "num_local_experts": 3, "num_experts_per_tok": 2}, {}),
    "qwen2": ("Qwen2", {**NARROW, "tie_word_embeddings": True, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, {}),
    "qwen2-older": ("Qwen2", {**NARROW, "num_hidden_layers": 1, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, {"older": True}),
    "qwen3": ("Qwen3", {**NARROW, "head_dim": 32, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, {}),
    "qwen3-moe": ("Qwen3Moe", {**NARROW, "head_dim": 16, "moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2,
                               "norm_topk_prob": True}, {}),
    "qwen3-moe-older": ("Qwen3Moe", {**NARROW, "num_hidden_layers": 1, "head_dim": 16, "moe_intermediate_size": 32, "num_experts": 8,
                                     "num_experts_per_tok": 2, "norm_topk_prob": True}, {"older": True}),
    "gemma2": ("Gemma2", {**NARROW, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8}, {"template_in_config": True}),
    "gemma3": ("Gemma3Text", GEMMA3, {}),
    "gemma3-older": ("Gemma3Text", GEMMA3, {"older": True}),
    "phi3": ("Phi3", {**NARROW, "num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 10, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}, {}),
    "phi3-longrope": ("Phi3", {**NARROW, "num_attention_heads": 2, "original_max_position_embeddings": 16, "tie_word_embeddings": True, "rope_parameters": LONGROPE},
                      {"short": True}),
    "phi3-longrope-older": ("Phi3", {**NARROW, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
                                     "original_max_position_embeddings": 16, "rope_parameters": LONGROPE}, {"older": True}),
    "gpt-oss": ("GptOss", {**NARROW, "head_dim": 16, "num_local_experts": 3, "num_experts_per_tok": 2, "sliding_window": 8,
                           "rope_parameters": YARN}, {}),
    "gpt-oss-mxfp4": ("GptOss", {**WIDE, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "num_local_experts": 3,
                                 "num_experts_per_tok": 2, "sliding_window": 8, "rope_parameters": YARN}, {"mxfp4": True, "older": True}),
}
E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0]


def make_tokenizer():
    """A byte-level BPE of N_VOCAB tokens, special ones first."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=N_VOCAB, special_tokens=[BOS, EOS, END_OF_TURN, PAD], show_progress=False,
                                             initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    made.train_from_iterator(SENTENCES * 4, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, 0)])
    if made.get_vocab_size() != N_VOCAB:
        raise SystemExit(f"tokenizer: expected {N_VOCAB} tokens, found {made.get_vocab_size()}")
    return made


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def randomise(model, generator):
    """Weights such that an error in any tensor moves the logits: matrices that keep the spread of what they multiply, gains apart from 1."""
    gemma = model.config.model_type.startswith("gemma")
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if name.endswith("norm.weight") or "layernorm" in name:
            value = noise * 0.2 + (0.0 if gemma else 1.0)
        elif weight.dim() == 1 or name.endswith("_bias"):
            value = noise * 0.5
        elif "embed_tokens" in name:
            value = noise * (0.3 if model.config.tie_word_embeddings else 1.0)
        else:
            # gpt-oss holds its experts with the inputs in the outer dimension; twice as large, so that its clamp acts.
            by_input = "experts" in name and model.config.model_type == "gpt_oss"
            value = noise * (3.0 if by_input else 1.5) / weight.shape[-2 if by_input else -1] ** 0.5
        weight.data.copy_(value)


def as_older_config(config):
    """The keys of transformers 4 in place of those of 5."""
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.55.0"
    rope = config.pop("rope_parameters")
    if config["model_type"] == "qwen3_moe":
        config["num_experts"] = config.pop("num_local_experts")
    if "full_attention" in rope:
        config["rope_theta"] = rope["full_attention"]["rope_theta"]
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        config["sliding_window_pattern"] = config.pop("_sliding_window_pattern", 6)
        rope = {"rope_type": "default"}
    else:
        config["rope_theta"] = rope.pop("rope_theta")
        if "partial_rotary_factor" in rope:
            config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if config["model_type"] == "phi3":
        rope["type"] = rope.pop("rope_type")
        rope.pop("original_max_position_embeddings", None)
    config["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    if config["model_type"] != "gpt_oss":
        config.pop("layer_types", None)
    if config["model_type"] == "llama" and config["head_dim"] * config["num_attention_heads"] == config["hidden_size"]:
        del config["head_dim"]
    return config


def to_fp8(tensors, scheme):
    """Gives (stored, plain): the tensors with each layer's matrices in F8_E4M3 with scales, and the float32 values that they stand for."""
    stored, plain = {}, {}
    for name, weight in tensors.items():
        if not name.endswith("proj.weight"):
            stored[name] = plain[name] = weight
            continue
        weight = weight.float()
        n_rows, n_cols = weight.shape
        rows, cols = {"block": (128, 128), "channel": (1, n_cols), "tensor": (n_rows, n_cols)}[scheme]
        scales = torch.empty(-(-n_rows // rows), -(-n_cols // cols))
        for i in range(scales.shape[0]):
            for j in range(scales.shape[1]):
                scales[i, j] = weight[i * rows:(i + 1) * rows, j * cols:(j + 1) * cols].abs().max() / 448
        if scheme != "block":
            scales = scales.bfloat16()
        spread = scales.float().repeat_interleave(rows, 0)[:n_rows].repeat_interleave(cols, 1)[:, :n_cols]
        stored[name] = (weight / spread).clamp(-448, 448).to(torch.float8_e4m3fn)
        plain[name] = stored[name].float() * spread
        stored[name + ("_scale_inv" if scheme == "block" else "_scale")] = scales.reshape(1) if scheme == "tensor" else scales
    return stored, plain


def fp8_config(scheme):
    if scheme == "block":
        return {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}
    kind = {"num_bits": 8, "type": "float", "symmetric": True}
    # Published models also round the activations to 8 bits; here these stay as they are, as in Rafter.
    group = {"targets": ["Linear"], "weights": {**kind, "strategy": scheme, "dynamic": False}, "input_activations": None}
    return {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {"group_0": group}, "ignore": ["lm_head"],
            "kv_cache_scheme": None, "quantization_status": "compressed"}


def to_mxfp4(tensors, generator):
    """Gives (stored, plain): the experts as random nibbles [n_experts, n_rows, n_cols / 32, 16] with scales, and what they stand for."""
    stored, plain = dict(tensors), dict(tensors)
    for name, weight in tensors.items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            continue
        n_experts, n_cols, n_rows = weight.shape
        blocks = torch.randint(0, 256, (n_experts, n_rows, n_cols // 32, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(122, 125, (n_experts, n_rows, n_cols // 32), generator=generator, dtype=torch.uint8)
        nibbles = torch.stack([blocks & 15, blocks >> 4], dim=-1).flatten(-2).long()  # the low one is the first value
        values = torch.tensor(E2M1)[nibbles] * torch.exp2(scales.float() - 127)[..., None]
        plain[name] = values.flatten(-2).transpose(1, 2).contiguous()
        del stored[name]
        stored[name + "_blocks"], stored[name + "_scales"] = blocks, scales
    return stored, plain


def write_expected(path, model, token_ids, note):
    with torch.no_grad():
        logits = model(torch.tensor([token_ids])).logits[0].float()
    positions = [p for p in POSITIONS if p < len(token_ids)]
    rows = [[float(f"{v:.6g}") for v in logits[p].tolist()] for p in positions]
    if min(logits.std(-1)) < 0.5 or not torch.isfinite(logits).all():
        raise SystemExit(f"{path}: logits too even or not finite: {logits.std(-1).tolist()}")
    text = json.dumps({"about": note, "tokens": token_ids, "positions": positions}, indent=1)[:-2]
    path.write_text(text + ',\n "logits": [\n' + ",\n".join("  " + json.dumps(row, separators=(",", ":")) for row in rows) + "\n ]\n}\n")


def write_folder(folder, kind, values, options, tokenizer, seed):
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(seed)
    config = getattr(transformers, kind + "Config")(**copy.deepcopy(values))  # which changes the values inside
    dtype = getattr(torch, options.get("dtype", "bfloat16"))
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomise(model, generator)
    model.generation_config = transformers.GenerationConfig(do_sample=True, temperature=0.7, top_k=40, top_p=0.9, repetition_penalty=1.1,
                                                            bos_token_id=0, eos_token_id=[1, 2], pad_token_id=3)
    model.to(dtype).save_pretrained(folder, max_shard_size=options.get("shard", "1GB"))

    config_path = folder / "config.json"
    written = json.loads(config_path.read_text())
    write_json(config_path, as_older_config(written) if options.get("older") else written)
    reload = dict(dtype=torch.float32, attn_implementation="eager")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **reload).eval()
    weights_path = folder / "model.safetensors"
    if options.get("fp8") or options.get("mxfp4"):
        tensors = load_file(weights_path)
        stored, plain = to_fp8(tensors, options["fp8"]) if options.get("fp8") else to_mxfp4(tensors, generator)
        save_file(stored, weights_path, metadata={"format": "pt"})
        model.load_state_dict({name: value.float() for name, value in plain.items()}, strict=True)
        quantization = fp8_config(options["fp8"]) if options.get("fp8") else {
            "quant_method": "mxfp4",
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
        write_json(config_path, {**json.loads(config_path.read_text()), "quantization_config": quantization})

    (folder / "tokenizer.json").write_text(tokenizer.to_str() + "\n")
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "add_bos_token": True,
             "clean_up_tokenization_spaces": False, "model_max_length": values["max_position_embeddings"]}
    if options.get("template_in_config"):
        about["chat_template"] = TEMPLATE
    else:
        (folder / "chat_template.jinja").write_text(TEMPLATE)
    write_json(folder / "tokenizer_config.json", about)

    token_ids = torch.randint(4, N_VOCAB, (N_TOKENS,), generator=generator).tolist()
    note = f"transformers {transformers.__version__}, float32, eager attention: the logits after each of the positions"
    write_expected(folder / "expected.json", model, token_ids, note)
    if options.get("short"):  # within LongRoPE's original context, where the short divisors act
        write_expected(folder / "expected_short.json", model, token_ids[:12], note)
    return sum(path.stat().st_size for path in folder.iterdir())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--only", metavar="NAME", choices=FOLDERS, action="append", help="write this folder alone (may be repeated)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    tokenizer = make_tokenizer()
    total_bytes = 0
    for number, (name, (kind, values, folder_options)) in enumerate(FOLDERS.items()):
        if options.only and name not in options.only:
            continue
        n_bytes = write_folder(options.out / name, kind, values, folder_options, tokenizer, options.seed * 1000 + number)
        total_bytes += n_bytes
        print(f"{name}: {n_bytes:,} bytes")
    print(f"together: {total_bytes:,} bytes")


if __name__ == "__main__":
    main()
