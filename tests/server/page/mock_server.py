"""A server with the page that is in the build and answers that a test decides on: what the page's own test talks to. Standard library only.

By hand, to look at the page without a model: python3 tests/server/page/mock_server.py [PORT]
"""
import json
import math
import random
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = "SmolLM2-135M-Instruct"
MACHINE = {"name": "AMD EPYC 9R14", "isa": "avx512", "n_threads": 2, "memory_bytes_per_s": 3.1e10, "flop_per_s": 2.3e11, "measured": True}


def built_page(build_dir):
    """(html, policy) as the build joined them."""
    text = (Path(build_dir) / "src" / "page_text.cpp").read_text(encoding="utf-8")
    html = text[text.index('R"rafter(') + len('R"rafter(') : text.rindex(')rafter"')]
    return html, re.search(r'page_policy\(\) \{ return "(.*?)"; \}', text).group(1)


def sse(data):
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chunk(delta, finish=None, **more):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], "usage": None, **more}


def timings(n_tokens):
    return {"queue_seconds": 0.01, "prefill_seconds": 0.2, "decode_seconds": 5.0, "first_token_seconds": 0.312, "predicted_first_token_seconds": 0.297,
            "predicted_last_token_seconds": 6.0, "bound": "compute", "roof_fraction": 0.638, "prompt_tokens": 130, "cached_tokens": 120,
            "generated_tokens": n_tokens, "prefill_tokens_per_second": 400.0, "decode_tokens_per_second": 38.24, "draft_tokens": None,
            "accepted_draft_tokens": None, "preemptions": 0}


def events_of(text, n_characters=6, finish="stop"):
    """The events of an answer, as the server sends them: role, parts of the text, the finish, usage with timings, the end."""
    parts = [text[i : i + n_characters] for i in range(0, len(text), n_characters)]
    events = [sse(chunk({"role": "assistant", "content": ""}))] + [sse(chunk({"content": part})) for part in parts]
    usage = {"prompt_tokens": 130, "completion_tokens": len(parts), "total_tokens": 130 + len(parts), "prompt_tokens_details": {"cached_tokens": 120}}
    last = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [], "usage": usage, "timings": timings(len(parts))}
    return events + [sse(chunk({}, finish)), sse(last), sse(b"[DONE]")]


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status, message, headers=None, raw=None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = raw if raw is not None else json.dumps({"error": {"message": message, "type": "error", "param": None, "code": None}}).encode()


class MockServer:
    """chat: a function from the body of a request to its events (bytes; a number is a pause in seconds), or one that raises Refused.
    roofline: a function that gives the data of /roofline. cut_off: answers claim to be longer than they are. requests: the bodies of chat that came. key: the one that is wanted, or None."""

    def __init__(self, build_dir, port=0):
        self.html, self.policy = built_page(build_dir)
        self.reset()
        mock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                mock.get(self)

            def do_POST(self):
                mock.post(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def reset(self):
        self.key = None
        self.chat = lambda body: events_of("Hello.")
        self.roofline = MovingSteps().data
        self.requests = []
        self.n_polls = 0
        self.cut_off = False
        self.n_broken = 0  # answers whose reader left

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def send(self, handler, status, content_type, body, headers=None):
        handler.send_response(status)
        handler.send_header("content-type", content_type)
        handler.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def refuse(self, handler, refused):
        self.send(handler, refused.status, "application/json", refused.body, refused.headers)

    def authorised(self, handler):
        if self.key is None or handler.headers.get("authorization") == "Bearer " + self.key:
            return True
        self.refuse(handler, Refused(401, "Incorrect API key provided: give one as 'Authorization: Bearer KEY'"))
        return False

    def get(self, handler):
        if handler.path == "/":
            return self.send(handler, 200, "text/html; charset=utf-8", self.html.encode(), {"content-security-policy": self.policy})
        if not self.authorised(handler):
            return None
        if handler.path == "/v1/models":
            return self.send(handler, 200, "application/json", json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode())
        if handler.path == "/roofline":
            self.n_polls += 1
            return self.send(handler, 200, "application/json", json.dumps(self.roofline()).encode())
        return self.refuse(handler, Refused(404, "no such path: " + handler.path))

    def post(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        if not self.authorised(handler):
            return
        self.requests.append(body)
        try:
            events = self.chat(body)
        except Refused as refused:
            return self.refuse(handler, refused)
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        if self.cut_off:
            handler.send_header("content-length", "1000000")  # that never come
        handler.end_headers()
        handler.close_connection = True
        try:
            for event in events:
                if isinstance(event, (int, float)):
                    time.sleep(event)
                else:
                    handler.wfile.write(event)
                    handler.wfile.flush()
        except OSError:
            self.n_broken += 1


class MovingSteps:
    """Data of /roofline in which steps come and go: decode in growing batches, a prefill now and then."""

    def __init__(self, machine=MACHINE):
        self.machine = machine
        self.start = time.monotonic()
        self.random = random.Random(1)
        self.steps = []
        self.last = 0.0

    def step(self, id, at):
        kind = "prefill" if id % 13 == 0 else "mixed" if id % 13 == 1 else "decode"
        n_tokens = 256 if kind == "prefill" else 72 if kind == "mixed" else 1 + int(7 * (1 + math.sin(at / 6)))
        intensity = 1.9 * n_tokens * self.random.uniform(0.9, 1.1)
        roof = min(3.1e10 * intensity, 2.3e11)
        rate = roof * self.random.uniform(0.52, 0.86)
        measured = 0.27e9 * n_tokens / rate
        return {"id": id, "at": at, "kind": kind, "n_tokens": n_tokens, "n_sequences": 1 if kind == "prefill" else min(n_tokens, 8), "flops_per_byte": intensity,
                "flop_per_s": rate, "bytes_per_s": rate / intensity, "predicted_seconds": measured * self.random.uniform(0.85, 1.1),
                "measured_seconds": measured, "bound": "memory" if intensity < 7.4 else "compute"}

    def data(self):
        now = time.monotonic() - self.start
        while self.last < now:
            self.steps.append(self.step(len(self.steps) + 1, self.last))
            self.last += 0.13
        steps = [{**{key: value for key, value in step.items() if key != "at"}, "seconds_ago": now - step["at"]} for step in self.steps[-64:]]
        wave = math.sin(now / 9)
        return {"machine": self.machine, "model": MODEL,
                "now": {"window_seconds": 1.0, "n_running": 3, "n_queued": 2, "queued_seconds": 1.2, "decode_tokens_per_s": 120 + 40 * wave + self.random.uniform(-6, 6),
                        "prefill_tokens_per_s": 412.0, "mbu": 0.61 + 0.1 * wave, "mfu": 0.18, "roof_fraction": 0.64, "kv_used_fraction": 0.27, "prefix_hit_fraction": 0.52,
                        "drafted_per_s": 40, "accepted_per_s": 31, "predicted_over_measured": 0.97},
                "steps": steps,
                "verdict": {"headline": "decode at 64% of the memory roof",
                            "lines": ["3 sequences share each read of the weights: 8 would give 2.1 times the tokens/s.", "22% of the minute went to prefill, which compute bounds.",
                                      "Predicted and measured step times agree within 3%."]}}


SHOWN = """Decoding reads **every active weight** and the sequence's keys and values once for each token, and does only about two operations with each byte.

1. A 135M model in 8 bits is 145 MB.
2. Memory delivers 31 GB/s:
   - so at most 214 tokens/s for one sequence,
   - and more only when several sequences share the read.

| batch | FLOP/byte | bound by |
|------:|:---------:|----------|
| 1 | 1.9 | memory |
| 8 | 15 | compute |

```python
def tokens_per_second(bytes_per_s, weight_bytes):
    return bytes_per_s / weight_bytes  # the roof for a batch of one
```

> The rest is waiting. See [the roofline paper](https://doi.org/10.1145/1498765.1498785).
"""

if __name__ == "__main__":
    server = MockServer(Path(__file__).resolve().parents[3] / "build" / "release", int(sys.argv[1]) if len(sys.argv) > 1 else 8099)
    server.chat = lambda body: [part for event in events_of(SHOWN) for part in (event, 0.03)]
    print(server.url, flush=True)
    threading.Event().wait()
