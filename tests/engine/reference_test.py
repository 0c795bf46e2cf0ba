"""Every architecture, end to end: a tiny random model run by the program in float mode against tools/reference.py, logits to logits; then the
rounding of activations against stated bounds."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, "tools")
try:
    import numpy as np
    import reference
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

BINARY = os.environ["RAFTER_BINARY"]
MAKER = os.path.join(os.environ["RAFTER_BUILD_DIR"], "tests", "tools", "make_tiny_model")
PROMPT = "the band in the land and the hand in the sand: an end"
N_NEW = 12

# What each mode may lose, as mean KL a token against the float32 reference. The tiny models are random, their logits near uniform: the real
# models' bounds are in tests/engine/real_models_test.py.
MODES = {"f32": 1e-9, "q16": 1e-6, "q8": 2e-3}


def run(path, mode):
    command = [BINARY, "run", path, "--raw", "-p", PROMPT, "-n", str(N_NEW), "--temperature", "0", "--json", "--logprobs", "100000",
               "--activations", mode, "--kv-type", "f32"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}"
    return json.loads(done.stdout)


def main():
    failures = 0
    names = subprocess.run([MAKER], capture_output=True, text=True, check=True).stdout.split()
    cases = [(name, "F32") for name in names]
    cases += [("gpt-oss", "MXFP4"), ("llama", "Q4_K"), ("gemma3", "Q5_0"), ("phi3", "Q8_0"), ("qwen3moe", "Q6_K"), ("mixtral", "BF16")]
    cases += [("llama", t) for t in "F16 Q4_0 Q4_1 Q5_1 Q2_K Q3_K Q5_K IQ4_NL IQ4_XS".split()]
    with tempfile.TemporaryDirectory() as folder:
        for name, dtype in cases:
            path = os.path.join(folder, f"{name}-{dtype}.gguf")
            subprocess.run([MAKER, name, dtype, "7", path], check=True)
            model = reference.Model(path)
            for mode, bound in MODES.items():
                if mode != "f32" and dtype in ("F32", "F16", "BF16"):
                    continue
                answer = run(path, mode)
                kl = reference.kl_of_run(model, answer)
                good = kl["mean_kl"] <= bound and kl["tokens"] == len(answer["tokens"]) > 0
                if mode == "f32":
                    good = good and kl["top1_agreement"] == 1.0
                failures += not good
                print(f"{'ok  ' if good else 'FAIL'} {name:12} {dtype:7} {mode:4} mean KL {kl['mean_kl']:.2e} (bound {bound:.0e}), "
                      f"same best token {kl['top1_agreement']:.0%} of {kl['tokens']}", flush=True)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
