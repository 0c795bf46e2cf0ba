"""What the quantised types of the KV cache lose on the two small real models: mean KL a token against the float32 reference, float
activations, as real_models_test.py measures it. Bounds are half as much again as was found (docs/accuracy.md)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import real_models_test as real

BOUNDS = {
    "SmolLM2-135M-Instruct.Q4_1.gguf": {"KV q8": 8e-4, "KV q8,q4": 1.6e-2, "KV q4": 1.4e-1},
    "gemma-3-270m-q4_k_m.gguf": {"KV q8": 6.5e-4, "KV q8,q4": 7.7e-3, "KV q4": 6.6e-2},
}

if __name__ == "__main__":
    sys.exit(real.main(BOUNDS, with_peer=False))
