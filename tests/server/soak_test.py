"""Clients that appear, cancel, stall and vanish, for RAFTER_SOAK_SECONDS (60): afterwards all blocks are free, no connection is left and
memory has stayed flat. While they do, /health answers, and every answer that is read to its end is the one that its prompt has."""
import json
import os
import random
import socket
import threading
import time
from pathlib import Path

import serving

SECONDS = float(os.environ.get("RAFTER_SOAK_SECONDS", 12 if serving.program.SANITIZED else 60))
N_CLIENTS = 12
N_PROMPTS = 8
MAX_GROWTH = 1.25  # of resident memory from the warm state on, beside MAX_GROWTH_BYTES
MAX_GROWTH_BYTES = 24e6


class Client(threading.Thread):
    def __init__(self, server, seed, answers, until):
        super().__init__(daemon=True)
        self.server, self.random, self.answers, self.until = server, random.Random(seed), answers, until
        self.faults, self.counts = [], {}

    def run(self):
        while time.monotonic() < self.until:
            how = self.random.choice([self.whole, self.stream, self.leave, self.vanish, self.stall, self.half, self.junk, self.embed])
            try:
                how()
            except OSError as error:
                self.faults.append(f"{how.__name__}: {error!r}")
            except AssertionError as error:
                self.faults.append(f"{how.__name__}: {error}")
            self.counts[how.__name__] = self.counts.get(how.__name__, 0) + 1

    def request(self, **body):
        data = json.dumps({"temperature": 0, **body}).encode()
        return (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(data)) + data

    def open(self):
        return socket.create_connection((self.server.host, self.server.port), timeout=serving.PATIENCE)

    def whole(self):
        i = self.random.randrange(N_PROMPTS)
        status, _, body = self.server.post("/v1/completions", prompt=prompt(i), max_tokens=16, temperature=0)
        assert status == 200, body
        assert body["choices"][0]["text"] == self.answers[i], (i, body)

    def stream(self):
        i = self.random.randrange(N_PROMPTS)
        events = list(self.server.events("/v1/completions", prompt=prompt(i), max_tokens=16, temperature=0))
        assert events[-1] == "[DONE]", events[-1]
        assert "".join(e["choices"][0]["text"] for e in events[:-1] if e["choices"]) == self.answers[i], i

    def leave(self):
        events = self.server.events("/v1/completions", prompt=prompt(0), max_tokens=2000, ignore_eos=True)
        for _ in range(self.random.randrange(4)):
            next(events)
        events.close()

    def vanish(self):
        with self.open() as connection:
            connection.sendall(self.request(prompt=prompt(1), max_tokens=2000, ignore_eos=True))
            time.sleep(self.random.random() * 0.2)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset

    def stall(self):
        with self.open() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(self.request(prompt=prompt(2), max_tokens=3000, ignore_eos=True, stream=True, logprobs=5))
            time.sleep(self.random.random() * 2)

    def half(self):
        with self.open() as connection:
            data = self.request(prompt=prompt(3), max_tokens=4)
            connection.sendall(data[: self.random.randrange(len(data))])
            time.sleep(self.random.random() * 0.3)

    def junk(self):
        with self.open() as connection:
            connection.sendall(self.random.randbytes(self.random.randrange(1, 2000)))
            connection.settimeout(0.2)
            try:
                connection.recv(1000)
            except OSError:
                pass

    def embed(self):
        status, _, body = self.server.post("/v1/embeddings", input=[prompt(4), prompt(5)])
        assert status == 200 and len(body["data"]) == 2, body


def prompt(i):
    return f"prompt {i}: " + "some words that several requests share " * i


def resident_bytes(server):
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Soak(serving.Case):
    arguments = ("--batch", "4", "--log-file", "/dev/null")

    def run_clients(self, seconds, seed):
        until = time.monotonic() + seconds
        clients = [Client(self.server, seed + i, self.answers, until) for i in range(N_CLIENTS)]
        health = []
        for client in clients:
            client.start()
        while time.monotonic() < until:
            begin = time.monotonic()
            self.assertEqual(self.server.get("/health")[0], 200)
            health.append(time.monotonic() - begin)
            time.sleep(0.1)
        for client in clients:
            client.join(serving.PATIENCE)
            self.assertFalse(client.is_alive(), client.counts)
        faults = [fault for client in clients for fault in client.faults]
        self.assertEqual(faults[:3], [], f"{len(faults)} faults")
        counts = {}
        for client in clients:
            for name, n in client.counts.items():
                counts[name] = counts.get(name, 0) + n
        health.sort()
        return counts, health[int(0.99 * len(health))]

    def test_nothing_is_lost_and_nothing_left(self):
        self.answers = [self.server.post("/v1/completions", prompt=prompt(i), max_tokens=16, temperature=0)[2]["choices"][0]["text"]
                        for i in range(N_PROMPTS)]
        self.run_clients(SECONDS * 0.25, 1)
        self.settle()
        warm = resident_bytes(self.server)
        counts, health_p99 = self.run_clients(SECONDS * 0.75, 1000)
        self.settle()
        grown = resident_bytes(self.server)
        print(f"{sum(counts.values())} clients {counts}; resident {warm / 1e6:.0f} MB, then {grown / 1e6:.0f} MB; "
              f"/health p99 {1e3 * health_p99:.1f} ms", flush=True)
        if not serving.program.SANITIZED:
            self.assertLess(grown, warm * MAX_GROWTH + MAX_GROWTH_BYTES)

    def settle(self):
        """Everything ends within a moment of its client's end."""
        deadline = time.monotonic() + serving.PATIENCE
        while True:
            load = self.server.get("/load")[2]
            n_files = len(os.listdir(f"/proc/{self.server.process.pid}/fd"))
            if load["n_running"] + load["n_queued"] + load["n_waiting"] == 0 and load["n_free_blocks"] == load["n_blocks"]:
                break
            self.assertLess(time.monotonic(), deadline, (load, n_files))
            time.sleep(0.1)


serving.main()
