"""Our decoding and encoding of every format against the PyPI package gguf, bit for bit, on blocks of random bits."""
import os
import subprocess
import sys
import unittest

try:
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants
except ImportError as error:
    print(f"skipped: {error}; install tests/requirements.txt")
    sys.exit(77)

TOOL = os.path.join(os.environ["RAFTER_BUILD_DIR"], "tests", "tools", "convert_blocks")

# format: byte offsets of its f16 fields
F16_FIELDS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
    "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}
FINITE_F16 = np.array([h for h in range(1 << 16) if (h & 0x7C00) != 0x7C00], dtype=np.uint16)
EXTREME_F16 = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF], dtype=np.uint16)
N_BLOCKS = 4096


def convert(action, name, data):
    return subprocess.run([TOOL, action, name], input=data.tobytes(), stdout=subprocess.PIPE, check=True).stdout


def random_blocks(name, rng, scales):
    _, n_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    blocks = rng.integers(0, 256, (N_BLOCKS, n_bytes), dtype=np.uint8)
    blocks[0], blocks[1], blocks[2], blocks[3] = 0x00, 0xFF, 0x0F, 0xF0
    for offset in F16_FIELDS[name]:
        blocks[:, offset:offset + 2] = rng.choice(scales, N_BLOCKS).view(np.uint8).reshape(-1, 2)
    return blocks


class FormatsAgreeWithGguf(unittest.TestCase):
    def assert_same_floats(self, ours, theirs, name):
        ours = np.frombuffer(ours, np.uint32)
        theirs = np.ascontiguousarray(theirs, np.float32).reshape(-1).view(np.uint32)
        self.assertEqual(ours.size, theirs.size)
        different = np.flatnonzero(ours != theirs)
        self.assertEqual(different.size, 0, f"{name}: {different.size} values differ, the first is number {different[:1]}")

    def test_random_bits_with_finite_scales_decode_to_the_same_floats(self):
        for name in F16_FIELDS:
            with self.subTest(name):
                for scales in FINITE_F16, EXTREME_F16:
                    blocks = random_blocks(name, np.random.default_rng(1), scales)
                    with np.errstate(over="ignore"):  # 2^127 * 12 is infinite for both
                        theirs = quants.dequantize(blocks, GGMLQuantizationType[name])
                    self.assertFalse(np.isnan(theirs).any())
                    self.assert_same_floats(convert("decode", name, blocks), theirs, name)

    def test_every_mxfp4_scale_decodes_to_the_same_floats(self):
        blocks = np.random.default_rng(2).integers(0, 256, (256, 17), dtype=np.uint8)
        blocks[:, 0] = np.arange(256)
        with np.errstate(over="ignore"):
            theirs = quants.dequantize(blocks, GGMLQuantizationType.MXFP4)
        self.assert_same_floats(convert("decode", "MXFP4", blocks), theirs, "MXFP4")

    def test_every_half_decodes_as_numpy_does(self):
        halves = FINITE_F16
        self.assert_same_floats(convert("decode", "F16", halves), halves.view(np.float16).astype(np.float32), "F16")
        brains = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
        theirs = quants.dequantize(brains.view(np.uint8).reshape(-1, 2), GGMLQuantizationType.BF16)
        self.assert_same_floats(convert("decode", "BF16", brains), theirs, "BF16")

    def test_floats_round_to_halves_as_numpy_and_gguf_do(self):
        bits = np.random.default_rng(3).integers(0, 1 << 32, 1 << 18, dtype=np.uint32)
        halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
        halfway = ((halves[1:] + halves[:-1]) / 2).astype(np.float32).view(np.uint32)  # exact: ties
        largest = np.array([65519.996, 65520.0, 65536.0], np.float32).view(np.uint32)
        bits = np.concatenate([bits, halfway, halfway - np.uint32(1), halfway + np.uint32(1), largest])
        floats = np.concatenate([bits.view(np.float32), -bits.view(np.float32)])
        floats = floats[np.isfinite(floats)]
        with np.errstate(over="ignore"):
            halves = floats.astype(np.float16)
        self.assertEqual(convert("encode", "F16", floats), halves.tobytes())
        brains = quants.quantize(floats.reshape(-1, 1), GGMLQuantizationType.BF16)
        self.assertEqual(convert("encode", "BF16", floats), brains.tobytes())

    def test_the_simple_formats_encode_to_the_same_bytes(self):
        rng = np.random.default_rng(4)
        values = rng.standard_normal((N_BLOCKS, 32)).astype(np.float32)
        values *= np.exp(rng.uniform(-6, 6, (N_BLOCKS, 1))).astype(np.float32)
        values[0] = 0
        values[1] = 1
        values[2] = np.arange(32)
        values[3] = -np.arange(32)
        for name in "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4":
            with self.subTest(name):
                with np.errstate(divide="ignore"):
                    theirs = quants.quantize(values, GGMLQuantizationType[name])
                ours = np.frombuffer(convert("encode", name, values), np.uint8).reshape(N_BLOCKS, -1)
                different = np.flatnonzero((ours != theirs.reshape(N_BLOCKS, -1)).any(axis=1))
                self.assertEqual(different.size, 0, f"blocks {different[:5]} of {different.size} differ")


if __name__ == "__main__":
    unittest.main()
