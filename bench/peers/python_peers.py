#!/usr/bin/env python3
"""Rafter beside programs that come as Python packages, ik_llama.cpp and OpenVINO GenAI: the same file, the same work, taking turns.

    python3 -m venv ~/peers && ~/peers/bin/pip install ik-llama-cpp-python openvino-genai
    bench/peers/python_peers.py --python ~/peers/bin/python MODEL.gguf ...

All read a prompt of made-up tokens and go on one token at a time. A ratio is that of one round; the table has the middle one and the
range. A program that cannot run a file has a dash.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def tokens(n):
    return [100 + i * 7919 % 20000 for i in range(n)]


def ik_llama(options):
    """(prefill, decode) tok/s in this process, through llama.cpp's own interface."""
    from ik_llama_cpp import _ctypes_api as api
    api.llama_backend_init()
    model = api.llama_model_load_from_file(options.models[0].encode(), api.llama_model_default_params())
    params = api.llama_context_default_params()
    params.n_ctx = options.prompt + options.generate
    params.n_batch = params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = options.threads
    context = api.llama_init_from_model(model, params)
    batch = api.llama_batch_init(512, 0, 1)

    def decode(first, ids, wants_logits):
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = token
            batch.pos[i] = first + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = wants_logits and i == len(ids) - 1
        if api.llama_decode(context, batch) != 0:
            sys.exit("ik_llama.cpp: llama_decode failed")
        if wants_logits:
            api.llama_get_logits_ith(context, len(ids) - 1)[0]

    decode(0, tokens(1), True)  # reads the weights once
    api.llama_kv_cache_clear(context)
    start = time.perf_counter()
    prompt = tokens(options.prompt)
    for first in range(0, len(prompt), 512):
        decode(first, prompt[first:first + 512], first + 512 >= len(prompt))
    middle = time.perf_counter()
    for i in range(options.generate):
        decode(options.prompt + i, tokens(1), True)
    return options.prompt / (middle - start), options.generate / (time.perf_counter() - middle)


def openvino(options):
    import numpy
    import openvino as ov
    import openvino_genai as genai
    pipeline = genai.LLMPipeline(options.models[0], "CPU", INFERENCE_NUM_THREADS=options.threads)
    prompt = ov.Tensor(numpy.array([tokens(options.prompt)], dtype=numpy.int64))
    config = genai.GenerationConfig(max_new_tokens=options.generate + 1, min_new_tokens=options.generate + 1, ignore_eos=True, do_sample=False)
    pipeline.generate(ov.Tensor(numpy.array([tokens(4)], dtype=numpy.int64)), genai.GenerationConfig(max_new_tokens=2, do_sample=False))
    metrics = pipeline.generate(prompt, config).perf_metrics
    return options.prompt / (metrics.get_ttft().mean / 1000), 1000 / metrics.get_tpot().mean


PEERS = {"ik_llama.cpp": ik_llama, "OpenVINO": openvino}


def rafter(options, model):
    out = subprocess.run([options.rafter, "bench", model, "--json", "--repeat", "1", "--prompt", str(options.prompt), "--generate",
                          str(options.generate), "--threads", str(options.threads)], check=True, capture_output=True).stdout
    row = json.loads(out)["rows"][0]
    return row["prefill_tokens_per_second"]["median"], row["decode_tokens_per_second"]["median"]


def peer(options, name, model):
    """None where it cannot run the file."""
    done = subprocess.run([options.python, __file__, "--child", name, "--prompt", str(options.prompt), "--generate", str(options.generate),
                           "--threads", str(options.threads), model], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'ended by a signal'}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def spread(values, form):
    return f"{form(statistics.median(values))} ({form(min(values))}–{form(max(values))})"


def speed(x):
    return f"{x:.1f}" if x < 100 else f"{x:.0f}"


def compare(options, model):
    rounds = []
    for i in range(options.rounds):
        turns = [None, *PEERS] if i % 2 == 0 else [*reversed(PEERS), None]
        rounds.append({name: peer(options, name, model) if name else rafter(options, model) for name in turns})
    for at, work in enumerate((f"prefill {options.prompt}", "decode")):
        cells = [spread([r[None][at] for r in rounds], speed)]
        for name in PEERS:
            if any(r[name] is None for r in rounds):
                cells += ["–", "–"]
                continue
            cells.append(spread([r[name][at] for r in rounds], speed))
            cells.append(f"**{spread([r[None][at] / r[name][at] for r in rounds], lambda x: f'{x:.2f}')}**")
        print(f"| {Path(model).stem} | {work} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--python", help="of the environment that has the packages")
    parser.add_argument("--rafter", default="build/release/rafter")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=list(PEERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return print(json.dumps(PEERS[options.child](options)))
    if not options.python:
        parser.error("expected --python, of an environment with the packages above")
    print(f"tok/s, {options.threads} threads; {options.rounds} rounds: the middle (range)\n")
    print(f"| model | work | Rafter | {' | '.join(f'{name} | ratio' for name in PEERS)} |\n|---|---|--:|{'--:|' * 2 * len(PEERS)}")
    for model in options.models:
        compare(options, model)


if __name__ == "__main__":
    main()
