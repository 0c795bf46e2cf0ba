#!/usr/bin/env python3
"""What each fusion gives: the same work with it and without it, taking turns, beside what the roofline says it gives.

    bench/fusions.py MODEL.gguf ...                                 prompts of 512 tokens, then 64 tokens each
    bench/fusions.py --fusions qkv,rows --batch 8 MODEL.gguf

Measured: `rafter bench` with everything fused and with --no-fuse FUSION, one run of each a round, the first one in turn. A gain is how much
more tokens a second one round's fused run had; the table has the middle gain and the range. Predicted: `rafter explain` prices the same two
programs by a probe of the machine, which nothing of the model's own times goes into: prefill's whole prompt, and decode's step halfway
through. A gain whose range spans zero was not seen.

Standard library only.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

FUSIONS = ["linears", "qkv", "gate_up", "rows", "norm", "rope", "kv_append", "quantize", "attention"]


def rafter(options, verb, model, *arguments):
    command = [options.rafter, verb, model, "--json", "--threads", options.threads, *(["--isa", options.isa] if options.isa else []), *arguments]
    return json.loads(subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE).stdout)


def without(fusion):
    return ["--no-fuse", fusion] if fusion else []


def rates(options, model, fusion):
    """Tokens a second of (prefill, decode), without a fusion."""
    row = rafter(options, "bench", model, "--repeat", 1, "--prompt", options.prompt, "--generate", options.generate, "--batch", options.batch,
                 *without(fusion))["rows"][0]
    return row["prefill_tokens_per_second"]["median"], row["decode_tokens_per_second"]["median"]


def predicted_seconds(options, profile, model, fusion):
    """Seconds of (a prompt, a decode step), without a fusion."""
    context = options.prompt + options.generate // 2
    return [rafter(options, "explain", model, "--machine", profile, "--batch", options.batch, *shape, *without(fusion))["predicted_seconds"]
            for shape in (["--prompt", options.prompt], ["--context", context])]


def measured_gains(options, model, fusion):
    """[round] of (prefill, decode)."""
    gains = []
    for i in range(options.rounds):
        runs = {left_out: rates(options, model, left_out) for left_out in ((None, fusion) if i % 2 == 0 else (fusion, None))}
        gains.append([fused / unfused - 1 for fused, unfused in zip(runs[None], runs[fusion])])
    return gains


def compare(options, profile, model):
    fused = predicted_seconds(options, profile, model, None)
    for fusion in options.fusions:
        unfused = predicted_seconds(options, profile, model, fusion)
        rounds = measured_gains(options, model, fusion)
        for phase, name in enumerate(("prefill", "decode")):
            gains = [gain[phase] for gain in rounds]
            print(f"| {Path(model).stem} | {fusion} | {name} | {unfused[phase] / fused[phase] - 1:+.1%} "
                  f"| **{statistics.median(gains):+.1%}** | {min(gains):+.1%} to {max(gains):+.1%} |", flush=True)


def fusion_names(text):
    names = text.split(",")
    if unknown := set(names) - set(FUSIONS):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(FUSIONS)}, found {','.join(sorted(unknown))}")
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--fusions", type=fusion_names, default=FUSIONS, help="parted by commas; all of them")
    parser.add_argument("--rafter", default="build/release/rafter")
    parser.add_argument("--isa")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1, help="sequences together")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--machine", metavar="FILE", help="a profile that `rafter probe --save` wrote for as many threads; else probes now")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        profile = options.machine or Path(folder) / "profile.json"
        if not options.machine:
            probe = [options.rafter, "probe", "--threads", options.threads, "--save", profile, *(["--isa", options.isa] if options.isa else [])]
            subprocess.run([str(word) for word in probe], check=True, stdout=subprocess.DEVNULL)
        machine = json.loads(Path(profile).read_text())
        doubt = "" if machine.get("trusted", True) else f"; the probe is not to be trusted: {machine.get('doubt', '')}"
        print(f"prompts of {options.prompt} tokens, then {options.generate}; {options.batch} together, {options.threads} threads, "
              f"{options.rounds} rounds{doubt}\n")
        print("| model | fusion | phase | predicted gain | measured gain | range |\n|---|---|---|--:|--:|--:|")
        for model in options.models:
            compare(options, profile, model)


if __name__ == "__main__":
    main()
