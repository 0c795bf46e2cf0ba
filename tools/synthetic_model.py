#!/usr/bin/env python3
"""Writes a Llama-shaped GGUF with seeded random weights, to measure speed at the shapes of models that are too large to fetch.

What a step costs depends on shapes and types, not on what the weights say. The tokenizer comes from a real file, so that every program
which reads GGUF can load the result.

    tools/synthetic_model.py --tokenizer SmolLM2-135M-Instruct.gguf --shape llama-1b --type Q4_K_M llama-1b-q4_k_m.gguf

Needs numpy and gguf (tests/requirements.txt). Types: F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS, and the
mix Q4_K_M: Q4_K, but Q6_K for the embedding, and for half of the layers' values and down projections.
"""
import argparse
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

# n_layers, d_model, d_ff, n_heads, n_kv_heads, head_dim: Llama 3.2 1B and 3B, Llama 3.1 8B; a draft model for the first; and one that is quick
# to write.
SHAPES = {
    "tiny": (2, 256, 768, 4, 2, 64),
    "draft": (7, 1024, 2816, 16, 4, 64),  # an eighth of the next one's bytes
    "llama-1b": (16, 2048, 8192, 32, 8, 64),
    "llama-3b": (28, 3072, 8192, 24, 8, 128),
    "llama-8b": (32, 4096, 14336, 32, 8, 128),
}
# Where a block holds its float16 scales, as byte offsets: the scale, and of some the scale of the minimum.
SCALES = {
    Type.Q4_0: (0, None), Type.Q4_1: (0, 2), Type.Q5_0: (0, None), Type.Q5_1: (0, 2), Type.Q8_0: (0, None), Type.Q2_K: (80, 82),
    Type.Q3_K: (108, None), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208, None), Type.IQ4_NL: (0, None), Type.IQ4_XS: (0, None),
}
POOL_VALUES = 1 << 22  # random values made; larger tensors repeat them


class Weights:
    """Random rows of any type, with the spread of a trained matrix: 1 / sqrt(n_cols)."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.pools = {}

    def blocks(self, kind):
        """A pool of blocks [n, bytes] whose values spread by 1, before their scales are set."""
        if kind not in self.pools:
            block_values, block_bytes = gguf.GGML_QUANT_SIZES[kind]
            blocks = self.random.integers(0, 256, (POOL_VALUES // block_values, block_bytes), dtype=np.uint8)
            self.pools[kind] = blocks, self.spread(kind, self.scaled(kind, blocks[:64], 1.0))
        return self.pools[kind]

    @staticmethod
    def spread(kind, blocks):
        return float(np.std(gguf.quants.dequantize(blocks, kind)))

    @staticmethod
    def scaled(kind, blocks, scale):
        blocks = blocks.copy()
        at, at_min = SCALES[kind]
        blocks[:, at:at + 2] = np.frombuffer(np.float16(scale).tobytes(), dtype=np.uint8)
        if at_min is not None:  # such that the values lie about evenly around 0
            middle = {Type.Q4_1: -7.5, Type.Q5_1: -15.5}.get(kind, {Type.Q2_K: 1.5, Type.Q4_K: 7.5, Type.Q5_K: 15.5}.get(kind))
            blocks[:, at_min:at_min + 2] = np.frombuffer(np.float16(scale * middle).tobytes(), dtype=np.uint8)
        return blocks

    def matrix(self, kind, n_rows, n_cols):
        spread = n_cols ** -0.5
        if kind in SCALES:
            blocks, unit = self.blocks(kind)
            return np.resize(self.scaled(kind, blocks, spread / unit), (n_rows, n_cols // gguf.GGML_QUANT_SIZES[kind][0] * blocks.shape[1]))
        values = np.resize(self.random.standard_normal(min(POOL_VALUES, n_rows * n_cols), dtype=np.float32) * spread, (n_rows, n_cols))
        if kind == Type.BF16:
            return gguf.quants.quantize(values, kind)
        return values.astype(np.float16 if kind == Type.F16 else np.float32)


def copy_tokenizer(writer, path):
    """Gives the vocabulary's size."""
    n_vocab = 0
    for field in gguf.GGUFReader(path).fields.values():
        if not field.name.startswith("tokenizer."):
            continue
        value = field.contents()
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_array(field.name, value)
        else:
            writer.add_key_value(field.name, value, field.types[0])
        if field.name == "tokenizer.ggml.tokens":
            n_vocab = len(value)
    return n_vocab


def type_of(mix, name, layer, n_layers):
    if mix != "Q4_K_M":
        return Type[mix]
    more = layer < n_layers // 8 or layer >= 7 * n_layers // 8 or (layer - n_layers // 8) % 3 == 2
    return Type.Q6_K if name == "token_embd" or (more and name in ("attn_v", "ffn_down")) else Type.Q4_K


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--tokenizer", required=True, metavar="FILE.gguf", help="a GGUF whose tokenizer is copied")
    parser.add_argument("--shape", choices=SHAPES, default="llama-1b")
    parser.add_argument("--type", default="Q4_0", metavar="TYPE")
    parser.add_argument("--context", type=int, default=32768, help="what the file says it was trained for (default: 32768)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    mix = options.type.upper()
    if mix != "Q4_K_M" and (mix not in Type.__members__ or Type[mix] not in {*SCALES, Type.F32, Type.F16, Type.BF16}):
        parser.error(f"--type: {options.type} is none of those that --help lists")
    n_layers, d_model, d_ff, n_heads, n_kv_heads, head_dim = SHAPES[options.shape]

    writer = gguf.GGUFWriter(options.out, "llama")
    n_vocab = copy_tokenizer(writer, options.tokenizer)
    writer.add_name(f"synthetic {options.shape} {mix}")
    mostly = [name for name in (f"MOSTLY_{mix}", f"MOSTLY_{mix}_M", f"ALL_{mix}") if name in gguf.LlamaFileType.__members__]
    if mostly:
        writer.add_file_type(gguf.LlamaFileType[mostly[0]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(n_layers)
    writer.add_context_length(options.context)
    writer.add_embedding_length(d_model)
    writer.add_feed_forward_length(d_ff)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(n_vocab)

    weights = Weights(options.seed)

    def add_matrix(prefix, name, n_rows, n_cols, layer=0):
        kind = type_of(mix, name, layer, n_layers)
        writer.add_tensor(f"{prefix}{name}.weight", weights.matrix(kind, n_rows, n_cols), raw_dtype=kind)

    add_matrix("", "token_embd", n_vocab, d_model)
    writer.add_tensor("output_norm.weight", np.ones(d_model, np.float32))
    for layer in range(n_layers):
        prefix = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{prefix}{name}.weight", np.ones(d_model, np.float32))
        for name, n_rows, n_cols in (("attn_q", n_heads * head_dim, d_model), ("attn_k", n_kv_heads * head_dim, d_model),
                                     ("attn_v", n_kv_heads * head_dim, d_model), ("attn_output", d_model, n_heads * head_dim),
                                     ("ffn_gate", d_ff, d_model), ("ffn_up", d_ff, d_model), ("ffn_down", d_model, d_ff)):
            add_matrix(prefix, name, n_rows, n_cols, layer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file(progress=sys.stderr.isatty())
    writer.close()


if __name__ == "__main__":
    main()
