#!/usr/bin/env python3
"""Prediction against measurement: for each model and each of the usual steps, probe the machine, then time the step, and print a Markdown
table of both.

The machine is probed again before every second step, because it drifts; nothing of a model's own times goes into its prediction.

    bench/prediction.py --rafter build/release/rafter --synthetic Q4_0,Q4_K,Q8_0,F16 --tokenizer SmolLM2.gguf MODEL.gguf ...

Synthetic models need numpy and gguf (PyPI) and are removed after their turn. Standard library only without them.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


STEPS = [("decode", batch, context) for batch in (1, 4, 16) for context in (128, 2048)] + [("prefill", 1, 128), ("prefill", 1, 1024)]
STEPS_A_PROBE = 2


def output_of(*command):
    return json.loads(subprocess.run([str(word) for word in command], check=True, capture_output=True).stdout)


def measure(options, model, folder):
    profile = folder / "profile.json"
    result = {"noise": [], "grid": []}
    for i, (phase, batch, context) in enumerate(STEPS):
        if i % STEPS_A_PROBE == 0:
            machine = output_of(options.rafter, "probe", "--json", "--save", profile, *(["--quick"] if options.quick else []))
            result["noise"].append(machine["noise"])
        shape = ["--prompt", context] if phase == "prefill" else ["--batch", batch, "--context", context]
        step = output_of(options.rafter, "explain", model, "--json", "--machine", profile, *shape)
        result["grid"].append({"phase": phase, "batch": batch, "context": context, "predicted_seconds": step["predicted_seconds"],
                               "measured_seconds": step["forward_seconds"], "read_bytes": step["read_bytes"],
                               "error": step["predicted_seconds"] / step["forward_seconds"] - 1})
        result["model"] = step["model"]
    result["machine"] = f"{machine['cpu']}, {machine['n_threads']} threads, {machine['isa']}"
    return result


def synthetic(options, dtype, folder):
    path = folder / f"synthetic-1b-{dtype}.gguf"
    script = Path(__file__).parent.parent / "tools" / "synthetic_model.py"
    subprocess.run([sys.executable, script, "--tokenizer", options.tokenizer, "--type", dtype, path], check=True)
    return path


def row_text(name, row):
    predicted, measured = row["predicted_seconds"] * 1e3, row["measured_seconds"] * 1e3
    return (f"| {name} | {row['phase']} | {row['batch']} | {row['context']} | {predicted:.2f} | {measured:.2f} "
            f"| {row['error']:+.0%} | {row['read_bytes'] / row['measured_seconds'] / 1e9:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--rafter", default="build/release/rafter")
    parser.add_argument("--synthetic", default="", help="formats of synthetic 1B models, parted by commas")
    parser.add_argument("--tokenizer", help="a GGUF file whose tokenizer the synthetic models get")
    parser.add_argument("--quick", action="store_true", help="probe with --quick")
    parser.add_argument("--rounds", type=int, default=1, help="go over all models so many times")
    parser.add_argument("--json", help="write all numbers here too")
    options = parser.parse_args()
    formats = [dtype for dtype in options.synthetic.split(",") if dtype]
    if formats and not options.tokenizer:
        parser.error("--synthetic needs --tokenizer")

    results = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for model in options.models + formats:
                path = synthetic(options, model, Path(folder)) if model in formats else model
                results.append(measure(options, path, Path(folder)))
                print(f"{results[-1]['model']}: noise of the probes {', '.join(f'{n:.0%}' for n in results[-1]['noise'])}", file=sys.stderr)
                if model in formats:
                    path.unlink()
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")

    print(f"{results[0]['machine']}\n")
    print("| model | step | batch | tokens | predicted ms | measured ms | off by | GB/s |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    errors = []
    for result in results:
        for row in result["grid"]:
            print(row_text(result["model"], row))
            errors.append(abs(row["error"]))
    errors.sort()
    ninetieth = errors[min(len(errors) - 1, int(0.9 * len(errors)))]
    print(f"\n{len(errors)} steps: off by {statistics.median(errors):.0%} in the median, {ninetieth:.0%} at the 90th percentile, {errors[-1]:.0%} at most.")


if __name__ == "__main__":
    main()
