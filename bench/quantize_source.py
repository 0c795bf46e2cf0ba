"""A model to quantise, where only quantised ones are at hand: each block's weights with noise of half a quantisation step, so that no
format's grid is favoured, as F16.

    python bench/quantize_source.py SmolLM2-135M-Instruct.gguf source.gguf
"""
import sys

import gguf
import numpy as np


def with_noise(tensor, random):
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    if tensor.tensor_type in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16):
        return values
    blocks = values.reshape(-1, 32)
    steps = np.diff(np.sort(blocks, axis=1), axis=1)
    steps[steps < 1e-4 * np.abs(blocks).max(axis=1, keepdims=True)] = np.inf  # equal weights
    step = steps.min(axis=1, keepdims=True)
    step[~np.isfinite(step)] = 0
    return (blocks + step * random.uniform(-0.5, 0.5, blocks.shape)).astype(np.float32).reshape(values.shape)


def main():
    reader = gguf.GGUFReader(sys.argv[1])
    writer = gguf.GGUFWriter(sys.argv[2], reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_array(field.name, field.contents())
        else:
            writer.add_key_value(field.name, field.contents(), kind)
    writer.add_file_type(1)
    random = np.random.default_rng(1)
    for tensor in reader.tensors:
        values = with_noise(tensor, random)
        writer.add_tensor(tensor.name, values.astype(np.float16) if values.ndim > 1 else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
