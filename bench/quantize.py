"""Quantised files of rafter beside llama-quantize's, type by type: weighted error of the weights, KL divergence of the outputs, and time,
the two programs in turns on the same source.

    python bench/quantize_source.py SmolLM2-135M-Instruct.gguf source.gguf
    python bench/quantize.py source.gguf --llama-quantize PATH [--imatrix FILE] [--types Q4_0 Q5_0 ...] [--rounds 3] [--speed-only]

Errors are over all matrices whose type is the same in both files, weighted by the importances where there are some. Times are of the whole
command with two threads: elapsed, and of the CPUs.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import gguf
import numpy as np


def run_timed(command):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def importances(path):
    if not path:
        return {}
    tensors = {t.name: t.data for t in gguf.GGUFReader(path).tensors}
    return {name[:-8]: np.ravel(data) / max(1.0, float(np.ravel(tensors[name[:-8] + ".counts"])[0]))
            for name, data in tensors.items() if name.endswith(".in_sum2")}


def errors(files, source, weights, wanted):
    """Of each file, over the tensors that have the wanted type in all of them."""
    readers = [{t.name: t for t in gguf.GGUFReader(file).tensors} for file in files]
    sums, n = [0.0] * len(files), 0
    for tensor in gguf.GGUFReader(source).tensors:
        found = [reader[tensor.name] for reader in readers]
        if any(t.tensor_type.name != wanted for t in found):
            continue
        n += 1
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        count = weights.get(tensor.name, np.ones(values.shape[-1]))
        scale = float(((values ** 2) * count).sum())
        for i, t in enumerate(found):
            off = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64).reshape(values.shape) - values
            sums[i] += float(((off ** 2) * count).sum()) / scale
    return sums, n


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("--llama-quantize", required=True)
    parser.add_argument("--rafter", default="build/release/rafter")
    parser.add_argument("--imatrix")
    parser.add_argument("--types", nargs="+", default=["Q4_0", "Q5_0", "Q8_0", "IQ4_NL", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", default="13")
    parser.add_argument("--speed-only", action="store_true")
    options = parser.parse_args()
    weights = importances(options.imatrix)
    names = {"Q4_K": "Q4_K_S", "Q5_K": "Q5_K_S"}
    print(f"{'type':8}{'tensors':>8}{'error':>9}{'KL':>20}{'llama KL':>20}{'CPU s':>16}{'llama CPU s':>16}{'times':>7}", flush=True)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        ours, theirs = Path(folder) / "rafter.gguf", Path(folder) / "llama.gguf"
        for wanted in options.types:
            imatrix = ["--imatrix", options.imatrix] if options.imatrix else []
            mine, other = [], []
            for _ in range(options.rounds):
                mine.append(run_timed([options.rafter, "quantize", options.source, ours, "--type", wanted, "--force", "--threads", 2, *imatrix])[1])
                other.append(run_timed([options.llama_quantize, "--pure", *imatrix, options.source, theirs, names.get(wanted, wanted), 2])[1])
            line = f"{wanted:8}"
            if options.speed_only:
                line += f"{'':57}"
            else:
                (a, b), n = errors([ours, theirs], options.source, weights, wanted)
                line += f"{n:8}{a / b if n else float('nan'):9.4f}"
                for file in (ours, theirs):
                    judged = json.loads(subprocess.run([options.rafter, "eval", str(file), "--against", options.source, "--windows", options.windows, "--json"],
                                                       check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
                    line += f"{judged['kl']:.5f} ±{judged['kl_error']:.5f}".rjust(20)
            for times in (mine, other):
                line += f"{statistics.median(times):6.2f} ({min(times):.1f}-{max(times):.1f})".rjust(16)
            print(line + f"{statistics.median(other) / statistics.median(mine):7.2f}", flush=True)


if __name__ == "__main__":
    main()
