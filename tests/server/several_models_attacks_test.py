"""Several models behind one server, and everything against them: names, files that change, clients that leave, signals in the middle of loads
and unloads. The server goes on, or ends well."""
import http.client
import json
import os
import random
import shutil
import signal
import socket
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

import serving
import program

PROMPT = "one two three"
ODD_NAMES = ["a b", "\u00fc\"quote'", "line\nbreak", "per%cent", "per%2Fcent", "tag:latest", ".hidden.", "a+b&c=d?e#f", "\u202eright to left", "tab\t\x1b[31m",
             "x" * 200, "-dash", "{name}", "$(name)", "a\\b"]


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = program.tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        program.make_tiny_model(cls.folder / "llama.gguf")
        program.make_tiny_model(cls.folder / "qwen.gguf", "qwen3")
        cls.environment = {**os.environ, "XDG_CACHE_HOME": str(cls.folder / "cache"), "XDG_DATA_HOME": str(cls.folder / "data")}
        cls.environment.pop("RAFTER_MODELS_DIR", None)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def setUp(self):
        self.models = Path(program.tempfile.mkdtemp(dir=self.folder))
        for name in ("llama", "qwen"):
            os.link(self.folder / f"{name}.gguf", self.models / f"{name}.gguf")

    def launch(self, *arguments):
        return serving.Server(f"--models={self.models}", "--context", "256", *arguments, environment=self.environment)

    def start(self, *arguments):
        server = self.launch(*arguments)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0, server.log[-6000:]))
        return server

    def complete(self, server, model, **more):
        return server.post("/v1/completions", model=model, prompt=PROMPT, max_tokens=4, temperature=0, **more)

    def wait_for(self, condition, what):
        end = time.monotonic() + serving.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def states(self, server):
        return {model["id"]: model["state"] for model in server.get("/v1/models")[2]["data"]}

    def send(self, server, model, path="/v1/completions", **more):
        """A request whose answer nobody has read so far."""
        connection = server.connect()
        connection.request("POST", path, json.dumps({"model": model, "prompt": PROMPT, "max_tokens": 4, **more}), {"Content-Type": "application/json"})
        return connection

    def test_names_may_be_anything_that_a_file_may_be_called(self):
        for name in ODD_NAMES:
            os.link(self.folder / "llama.gguf", self.models / f"{name}.gguf")
        os.link(os.fsencode(self.folder / "llama.gguf"), os.fsencode(self.models) + b"/no \xff UTF-8.gguf")
        server = self.start("--models-memory", "1GB", "--log-format", "json")
        listed = server.get("/v1/models")[2]["data"]
        names = [*ODD_NAMES, "no \ufffd UTF-8"]
        self.assertEqual({model["id"] for model in listed}, {"llama", "qwen", *names})
        for name in names:
            status, _, answer = self.complete(server, name)
            self.assertEqual((status, answer["model"]), (200, name), answer)
            status, _, shown = server.get("/v1/models/" + urllib.parse.quote(name, safe=""))
            self.assertEqual((status, shown["id"], shown["state"]), (200, name, "loaded"), shown)
            self.assertEqual(server.post("/api/show", model=name)[0], 200)
            self.assertEqual(server.get("/roofline?" + urllib.parse.urlencode({"model": name}))[0], 200)
            stream = self.send(server, name, stream=True)
            self.assertTrue(stream.getresponse().read().endswith(b"data: [DONE]\n\n"))
            stream.close()
        for name in ("tag", "llama:latest"):  # Ollama's spelling, on every route
            for path, body in (("/v1/completions", {}), ("/v1/messages", {"messages": [{"role": "user", "content": "a"}]}),
                               ("/v1/embeddings", {"input": "a"}), ("/v1/score", {"text_1": "a", "text_2": "b"}), ("/api/generate", {"stream": False})):
                self.assertEqual(server.post(path, **{"model": name, "prompt": "a", "max_tokens": 2, **body})[0], 200, (path, name))
        # Whatever names are, each of these has its form: lines, labels, JSON.
        for line in server.get("/metrics")[2].decode().split("\n"):
            self.assertRegex(line, r"^(#.*|[a-z0-9_]+(\{([a-z_]+=\"([^\"\\\n]|\\[\\\"n])*\",?)*\})? [-+0-9.eInfNa]+)?$")
        self.assertEqual(server.get("/api/tags")[0], 200)
        self.assertEqual(server.get("/api/ps")[0], 200)
        self.assertEqual(server.stop(), 0)
        for line in server.lines:
            if line.startswith("{"):
                json.loads(line)
            self.assertNotIn("\x1b", line)

    def test_nobody_reaches_a_file_by_a_models_name(self):
        server = self.start()
        (self.models / "later.gguf").hardlink_to(self.folder / "llama.gguf")  # after the start
        for name in ("later", "llama.gguf", "../models/llama", str(self.models / "llama.gguf"), "LLAMA", "llama ", "llama\0", "llama:latest:latest", ":latest",
                     "", "*", "x" * 100_000):
            for path, body in (("/v1/completions", {"prompt": "a"}), ("/v1/messages", {"max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}),
                               ("/v1/rerank", {"query": "a", "documents": ["b"]}), ("/v1/score", {"text_1": "a", "text_2": "b"}),
                               ("/v1/embeddings", {"input": "a"}), ("/v1/responses", {"input": "a"}), ("/tokenize", {"content": "a"}),
                               ("/api/chat", {"messages": []}), ("/api/generate", {"keep_alive": 0}), ("/api/embed", {"input": []}), ("/api/show", {})):
                if not name and path.startswith("/api/"):
                    continue  # as none
                status, _, answer = server.post(path, model=name, **body)
                self.assertEqual(status, 404, (path, name[:40], answer))
                self.assertLess(len(json.dumps(answer)), 2000)
        self.assertEqual(set(self.states(server).values()), {"unloaded"})

    def test_bodies_of_any_kind_get_an_answer_before_and_after_a_load(self):
        server = self.start()
        paths = ("/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings", "/v1/rerank",
                 "/v1/score", "/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show", "/tokenize", "/detokenize", "/apply-template")
        values = (None, True, -1, 1e300, "", "x", [], {}, [[]], [None], [{"role": "user"}], {"type": "x"}, "\0", "\ud800", ["x"] * 3000)
        keys = ("messages", "prompt", "input", "query", "documents", "text_1", "text_2", "system", "tools", "tool_choice", "thinking", "stop_sequences", "stream",
                "options", "format", "keep_alive", "think", "context", "instruction", "top_n", "method", "max_tokens", "dimensions", "pooling", "prefix", "tokens",
                "name", "verbose")
        draw = random.Random(7)
        for _ in range(60 if program.SANITIZED else 400):
            path = draw.choice(paths)
            body = {"model": draw.choice(("llama", "qwen", "llama:latest"))}
            body |= {draw.choice(keys): draw.choice(values) for _ in range(draw.randrange(5))}
            if path in ("/api/generate", "/api/chat", "/v1/completions"):
                body["options"] = {"num_predict": 2}
                body.setdefault("max_tokens", 2)
            status, headers, answer = server.post(path, **body)
            self.assertIn(status, (200, 400, 404), (path, body, answer))
            if status != 200:
                self.assertIn("error", answer)
        self.assertEqual(self.complete(server, "llama")[0], 200)
        self.assertEqual(server.get("/load")[2]["n_queued"], 0)

    def test_large_bodies_find_their_model_wherever_it_stands(self):
        server = self.start()
        padding = "x" * 300_000
        for name in ("llama", "qwen"):
            for body in ({"model": name, "prompt": PROMPT, "user": padding}, {"user": padding, "prompt": PROMPT, "model": name},
                         {"user": {"model": "none", "a": padding}, "prompt": PROMPT, "model": name},
                         {"user": '"model": "none", \\"' + padding, "prompt": PROMPT, "model": name}):
                status, _, answer = server.post("/v1/completions", max_tokens=2, **body)
                self.assertEqual((status, answer["model"]), (200, name))
        for body in (b'{"user": "' + b"x" * 300_000, b'{"model": "llama", "prompt": ' + b"[" * 300_000, b'{"model": "llama' + b"x" * 300_000):
            self.assertEqual(server.ask("POST", "/v1/completions", body)[0], 400)
        self.assertEqual(server.post("/v1/completions", user=padding, prompt=PROMPT, model="none")[0], 404)

    def test_a_file_that_goes_or_shrinks_fails_its_own_requests_only(self):
        server = self.start()
        whole = (self.folder / "qwen.gguf").read_bytes()
        (self.models / "qwen.gguf").unlink()
        status, _, answer = self.complete(server, "qwen")
        self.assertEqual((status, answer["error"]["code"]), (500, "model_not_loaded"))
        for n in (0, 1, 24, 1000, len(whole) // 2, len(whole) - 1):
            (self.models / "qwen.gguf").write_bytes(whole[:n])
            status, _, answer = self.complete(server, "qwen")
            self.assertEqual((status, answer["error"]["code"]), (500, "model_not_loaded"), n)
            self.assertEqual(self.complete(server, "llama")[0], 200)
        (self.models / "qwen.gguf").unlink()
        (self.models / "qwen.gguf").mkdir()
        self.assertEqual(self.complete(server, "qwen")[0], 500)
        (self.models / "qwen.gguf").rmdir()
        os.mkfifo(self.models / "qwen.gguf")
        self.assertEqual(self.complete(server, "qwen")[0], 500)
        (self.models / "qwen.gguf").unlink()
        (self.models / "qwen.gguf").write_bytes(whole)
        self.assertEqual(self.complete(server, "qwen")[0], 200)
        # A loaded model needs its name no more.
        (self.models / "qwen.gguf").unlink()
        self.assertEqual(self.complete(server, "qwen")[0], 200)

    def test_clients_that_leave_before_their_model_is_there(self):
        planned = self.planned()
        server = self.start("--models-memory", str(planned), "--idle-unload", "0.05")
        draw = random.Random(3)
        for i in range(15 if program.SANITIZED else 60):
            connections = [self.send(server, draw.choice(("llama", "qwen")), stream=draw.random() < 0.5) for _ in range(draw.randrange(1, 4))]
            if draw.random() < 0.5:
                time.sleep(draw.random() * 0.01)
            for connection in connections:
                if draw.random() < 0.3:  # with a reset instead of an end
                    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()
        for name in ("llama", "qwen"):
            self.assertEqual(self.complete(server, name)[0], 200)
        self.wait_for(lambda: server.get("/load")[2]["n_queued"] == 0, "they wait")
        self.wait_for(lambda: set(self.states(server).values()) == {"unloaded"}, "they stay")

    def planned(self):
        """Bytes that either of the models fits in, and both do not."""
        server = self.start()
        for name in ("llama", "qwen"):
            self.assertEqual(self.complete(server, name)[0], 200)
        each = [model["planned_bytes"] for model in server.get("/v1/models")[2]["data"]]
        self.assertLess(max(each), sum(each))
        return max(each)

    def test_two_loads_at_once_with_room_for_one(self):
        server = self.start("--models-memory", str(self.planned()))
        found = []

        def ask(name, n):
            for _ in range(n):
                found.append(self.complete(server, name)[0])

        threads = [threading.Thread(target=ask, args=(name, 5)) for name in ("llama", "qwen") for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [200] * 30)
        self.assertEqual(sorted(self.states(server).values()), ["loaded", "unloaded"])

    def test_signals_in_the_middle_of_loads_and_unloads(self):
        blocks = self.folder / "blocks"
        draw = random.Random(11)
        for i in range(6 if program.SANITIZED else 16):
            server = self.launch("--kv-disk", str(blocks), "--drain-seconds", "20")
            if i % 2 == 1:
                self.assertEqual(self.complete(server, "llama")[0], 200)
                connection = self.send(server, "llama", "/api/generate", keep_alive=0, stream=False)
            else:
                connection = self.send(server, "llama")
            time.sleep(draw.random() * 0.03)
            if i % 4 >= 2:
                server.process.send_signal(signal.SIGTERM)
                try:  # an answer, an error, or a connection that was not accepted any more
                    self.assertIn(connection.getresponse().status, (200, 503))
                except (OSError, http.client.HTTPException):
                    pass
                self.assertEqual(server.stop(), 0)
            else:
                self.assertEqual(server.stop(signal.SIGKILL), -signal.SIGKILL)
            connection.close()
        server = self.start("--kv-disk", str(blocks))
        self.assertEqual(self.complete(server, "llama")[0], 200)
        # A second signal does not wait for what is under way.
        for name in ("llama", "qwen"):
            self.send(server, name, max_tokens=200, ignore_eos=True)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.stop(), 0)

    def test_a_stop_completes_what_waits_for_a_load(self):
        server = self.start()
        connections = [self.send(server, name) for name in ("llama", "qwen", "llama")]
        self.wait_for(lambda: server.get("/v1/models")[2]["data"][0]["state"] != "unloaded", "it is not loaded")
        server.process.send_signal(signal.SIGTERM)
        statuses = []
        for connection in connections:
            try:
                statuses.append(connection.getresponse().status)
            except (OSError, http.client.HTTPException):
                statuses.append(0)
        self.assertTrue(set(statuses) <= {200, 503}, statuses)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    serving.main()
