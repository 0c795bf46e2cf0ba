#!/usr/bin/env python3
"""`rafter serve` under load, alone or beside llama-server: the same file, the same requests, taking turns, on the same processors as the load.

    bench/server.py MODEL.gguf                                     32 clients, 256 tokens in, 64 out
    bench/server.py MODEL.gguf --clients 16 --shared 1000          prompts that begin with the same 1,000 tokens
    bench/server.py MODEL.gguf --peer BUILD/bin/llama-server       beside it, --rounds rounds, each program first in turn

Each client asks again as soon as its answer is complete (a closed loop). Prompts are made-up token ids from a seed, the same for both
programs; answers are streamed, greedy, and have exactly --tokens tokens (ignore_eos). A round's ratio is of that round; the table has the
middle one and the range. Beside tokens per second: the time to the first token and between tokens; for rafter also the error of the time to
the first token that it predicted on arrival, and the CPU seconds of its threads by name. `bench/peers/llama_cpp.py --build` fetches the
peer's sources; build its target llama-server. Standard library only.
"""
import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VOCABULARY = 20000  # ids of prompts lie below: every model has them


class Program:
    def __init__(self, name, command, ready):
        self.name = name
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.port = None
        for line in self.process.stdout:
            found = re.search(ready, line)
            if found:
                self.port = int(found.group(1))
                break
        if self.port is None:
            sys.exit(f"{name} did not start: {' '.join(map(str, command))}")
        self.drain = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)

    def cpu_seconds(self):
        """Of the threads by their names."""
        seconds = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            name = (task / "comm").read_text().strip()
            seconds[name] = seconds.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return seconds

    def resident_bytes(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.drain.wait()


def start_rafter(options):
    command = [options.rafter, "serve", options.model, "--port", "0", "--batch", str(options.clients), "--quiet", "--log-file", "/dev/null",
               "--context", str(options.shared + options.prompt + options.tokens + 64), *options.rafter_option]
    return Program("rafter", command, r"Listening on \S+:(\d+)")


def start_peer(options):
    context = (options.shared + options.prompt + options.tokens + 64) * options.clients
    command = [options.peer, "-m", options.model, "--port", str(options.peer_port), "--host", "127.0.0.1", "-np", str(options.clients),
               "-c", str(context), "-t", str(os.cpu_count()), "-tb", str(os.cpu_count()), *options.peer_option]
    return Program("llama-server", command, r"listening on \S+:(\d+)")


class Request:
    def __init__(self, tokens):
        self.tokens = tokens
        self.arrived = self.first = self.last = 0.0
        self.gaps = []
        self.n_generated = 0
        self.timings = {}
        self.text = ""


async def ask(port, request, n_tokens):
    body = json.dumps({"prompt": request.tokens, "max_tokens": n_tokens, "temperature": 0, "stream": True, "ignore_eos": True,
                       "stream_options": {"include_usage": True}}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request.arrived = time.monotonic()
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
                 b"Content-Length: %d\r\n\r\n" % len(body) + body)
    status = await reader.readline()
    if b" 200 " not in status:
        sys.exit(f"port {port}: {status!r} {await reader.read(2000)!r}")
    while line := await reader.readline():
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        now = time.monotonic()
        if event.get("usage"):
            request.n_generated = event["usage"]["completion_tokens"]
        request.timings = event.get("timings") or request.timings
        if event["choices"]:
            request.text += event["choices"][0]["text"]
            if not request.first:
                request.first = now
            else:
                request.gaps.append(now - request.last)
            request.last = now
    writer.close()
    if request.n_generated != n_tokens:
        sys.exit(f"port {port}: expected {n_tokens} tokens, found {request.n_generated}")


async def health_watch(port, seconds):
    """How long /health takes, asked ten times a second."""
    while True:
        begin = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        seconds.append(time.monotonic() - begin)
        await asyncio.sleep(0.1)


async def load(port, requests, n_clients, n_tokens, health):
    waiting = list(reversed(requests))

    async def client():
        while waiting:
            await ask(port, waiting.pop(), n_tokens)

    watch = asyncio.create_task(health_watch(port, health))
    await asyncio.gather(*(client() for _ in range(n_clients)))
    watch.cancel()


def make_requests(options, seed):
    generator = random.Random(seed)
    shared = [generator.randrange(300, VOCABULARY) for _ in range(options.shared)]
    return [Request(shared + [generator.randrange(300, VOCABULARY) for _ in range(options.prompt)]) for _ in range(options.requests)]


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


def measure(start, options, seed):
    program = start(options)
    try:
        warm_up = make_requests(options, seed + 1000)[: options.clients]
        asyncio.run(load(program.port, warm_up, options.clients, min(options.tokens, 8), []))
        requests, health = make_requests(options, seed), []
        cpu_before, begin = program.cpu_seconds(), time.monotonic()
        asyncio.run(load(program.port, requests, options.clients, options.tokens, health))
        seconds, cpu_after = time.monotonic() - begin, program.cpu_seconds()
        ttft = [r.first - r.arrived for r in requests]
        gaps = [gap for r in requests for gap in r.gaps]
        result = {"program": program.name, "seconds": seconds, "tokens_per_s": sum(r.n_generated for r in requests) / seconds,
                  "ttft_p50": quantile(ttft, 0.5), "ttft_p99": quantile(ttft, 0.99), "itl_p50": quantile(gaps, 0.5),
                  "itl_p99": quantile(gaps, 0.99), "health_p99": quantile(health, 0.99), "resident_bytes": program.resident_bytes(),
                  "cpu_seconds": {name: after - cpu_before.get(name, 0.0) for name, after in cpu_after.items()},
                  "texts": [r.text for r in requests]}
        errors = [abs(r.timings["predicted_first_token_seconds"] / (r.first - r.arrived) - 1) for r in requests
                  if r.timings.get("predicted_first_token_seconds")]
        if errors:
            result["ttft_error_median"] = statistics.median(errors)
        return result
    finally:
        program.stop()


TEAM = ("rafter-engine", "rafter-compute")


def overhead(cpu_seconds):
    """CPU seconds of the other threads over the engine's team."""
    team = sum(seconds for name, seconds in cpu_seconds.items() if name in TEAM)
    return sum(cpu_seconds.values()) / team - 1 if team else float("nan")


def show(results):
    for r in results:
        line = (f"{r['program']:>12}: {r['tokens_per_s']:7.1f} tok/s · first token {r['ttft_p50']:.3f} s, p99 {r['ttft_p99']:.3f} s · "
                f"between tokens {1e3 * r['itl_p50']:.0f} ms, p99 {1e3 * r['itl_p99']:.0f} ms · /health p99 {1e3 * r['health_p99']:.1f} ms")
        if "ttft_error_median" in r:
            line += f" · predicted first token off by {100 * r['ttft_error_median']:.0f}% (median)"
        if r["program"] == "rafter":
            line += f" · other threads {100 * overhead(r['cpu_seconds']):.2f}% of the team's CPU"
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rafter", default=str(ROOT / "build" / "release" / "rafter"))
    parser.add_argument("--rafter-option", action="append", default=[], help="a further option of rafter serve (may be given several times)")
    parser.add_argument("--peer", help="llama-server's program")
    parser.add_argument("--peer-option", action="append", default=[])
    parser.add_argument("--peer-port", type=int, default=18080)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--shared", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    rounds = []
    for i in range(options.rounds):
        starts = [start_rafter] + ([start_peer] if options.peer else [])
        results = [measure(start, options, 7 * i) for start in (starts if i % 2 == 0 else reversed(starts))]
        results.sort(key=lambda r: r["program"], reverse=True)
        show(results)
        rounds.append(results)
    if options.peer:
        for key, better in (("tokens_per_s", 1), ("ttft_p99", -1), ("itl_p99", -1)):
            ratios = [(r[0][key] / r[1][key]) ** better for r in rounds]
            print(f"rafter over llama-server, {key}: {statistics.median(ratios):.2f} times as good "
                  f"({min(ratios):.2f} to {max(ratios):.2f})")
    if options.json:
        for results in rounds:
            for result in results:
                del result["texts"]
        Path(options.json).write_text(json.dumps(rounds, indent=1) + "\n")


if __name__ == "__main__":
    main()
