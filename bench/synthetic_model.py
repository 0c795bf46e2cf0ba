#!/usr/bin/env python3
"""Write a model of a real one's shape with random weights in any of a few formats: for timings, which follow from shapes and bytes.

Weights are random blocks rather than quantised numbers, so that formats without an encoder in Python can be had too; their scales are set
so that activations stay finite. The tokenizer is copied from a real model file.

    bench/synthetic_model.py --tokenizer SmolLM2-135M-Instruct.Q4_1.gguf --shape 1b --type Q4_K out.gguf

Needs numpy and gguf (PyPI).
"""
import argparse

import gguf
import numpy as np

# layers, d_model, d_ff, heads, KV heads, head_dim
SHAPES = {"tiny": (2, 256, 512, 4, 2, 64), "1b": (16, 2048, 8192, 32, 8, 64), "3b": (28, 3072, 8192, 24, 8, 128)}
# elements and bytes of a block, and the places of its 16-bit floats
BLOCKS = {"Q4_0": (32, 18, [0]), "Q4_1": (32, 20, [0, 2]), "Q5_0": (32, 22, [0]), "Q8_0": (32, 34, [0]), "Q4_K": (256, 144, [0, 2]),
          "Q5_K": (256, 176, [0, 2]), "Q6_K": (256, 210, [208]), "F16": (1, 2, [0])}


def blocks(rng, dtype, n_rows, n_cols):
    n_elements, n_bytes, floats = BLOCKS[dtype]
    n_blocks = n_rows * n_cols // n_elements
    # One pool of random bytes for all: making 2 GB of them would take longer than timing the model.
    pool = np.frombuffer(rng.bytes(1 << 24), dtype=np.uint8)
    data = np.resize(pool, n_blocks * n_bytes).reshape(n_blocks, n_bytes).copy()
    for at in floats:
        scale = (rng.standard_normal(n_blocks) * 0.002).astype(np.float16)
        data[:, at:at + 2] = scale.view(np.uint8).reshape(n_blocks, 2)
    return data.reshape(n_rows, n_cols // n_elements * n_bytes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--tokenizer", required=True, help="a GGUF file whose tokenizer is copied")
    parser.add_argument("--shape", choices=SHAPES, default="1b")
    parser.add_argument("--type", choices=BLOCKS, default="Q4_0")
    options = parser.parse_args()
    n_layers, d_model, d_ff, n_heads, n_kv_heads, head_dim = SHAPES[options.shape]

    writer = gguf.GGUFWriter(options.out, "llama")
    n_vocab = 0
    for field in gguf.GGUFReader(options.tokenizer).fields.values():
        if not field.name.startswith("tokenizer."):
            continue
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_array(field.name, field.contents())
            if field.name == "tokenizer.ggml.tokens":
                n_vocab = len(field.contents())
        else:
            writer.add_key_value(field.name, field.contents(), field.types[0])
    writer.add_name(f"synthetic {options.shape} {options.type}")
    writer.add_context_length(8192)
    writer.add_embedding_length(d_model)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(d_ff)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_kv_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(n_vocab)

    rng = np.random.default_rng(1)
    dtype = gguf.GGMLQuantizationType[options.type]

    def matrix(name, n_rows, n_cols):
        writer.add_tensor(name, blocks(rng, options.type, n_rows, n_cols), raw_dtype=dtype)

    def vector(name, n):
        writer.add_tensor(name, np.ones(n, dtype=np.float32))

    matrix("token_embd.weight", n_vocab, d_model)
    matrix("output.weight", n_vocab, d_model)
    vector("output_norm.weight", d_model)
    for layer in range(n_layers):
        prefix = f"blk.{layer}."
        vector(prefix + "attn_norm.weight", d_model)
        matrix(prefix + "attn_q.weight", n_heads * head_dim, d_model)
        matrix(prefix + "attn_k.weight", n_kv_heads * head_dim, d_model)
        matrix(prefix + "attn_v.weight", n_kv_heads * head_dim, d_model)
        matrix(prefix + "attn_output.weight", d_model, n_heads * head_dim)
        vector(prefix + "ffn_norm.weight", d_model)
        matrix(prefix + "ffn_gate.weight", d_ff, d_model)
        matrix(prefix + "ffn_up.weight", d_ff, d_model)
        matrix(prefix + "ffn_down.weight", d_model, d_ff)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
