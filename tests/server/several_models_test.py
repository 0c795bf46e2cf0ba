"""Several models behind one server: loaded by the first request that names them, unloaded when they are idle or memory is short, each failing
for itself, and texts that no load or unload changes."""
import json
import os
import shutil
import threading
import time
import unittest
from pathlib import Path

import serving
import program

PROMPT = "one two three"


def make_models(folder):
    """Three that differ, and a file that is none."""
    program.make_tiny_model(folder / "llama.gguf")
    program.make_tiny_model(folder / "qwen.gguf", "qwen3")
    program.make_tiny_model(folder / "gemma.gguf", "gemma3")
    (folder / "bad.gguf").write_bytes(b"this is no model")


class SeveralModels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = program.tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        make_models(cls.folder)
        cls.environment = {**os.environ, "XDG_CACHE_HOME": str(cls.folder / "cache"), "XDG_DATA_HOME": str(cls.folder / "data")}
        cls.environment.pop("RAFTER_MODELS_DIR", None)
        cls.alone = {name: cls.answer_alone(cls.folder / f"{name}.gguf") for name in ("llama", "qwen", "gemma")}

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def answer_alone(cls, model):
        server = serving.Server(model, "--context", "256", environment=cls.environment)
        try:
            return cls.complete(server, None)
        finally:
            server.stop()

    @staticmethod
    def complete(server, model, n=12, **more):
        body = {"prompt": PROMPT, "max_tokens": n, "temperature": 0, "ignore_eos": True, **({"model": model} if model else {}), **more}
        status, _, answer = server.post("/v1/completions", **body)
        assert status == 200, (status, answer)
        return answer["choices"][0]["text"]

    def start(self, *arguments):
        return self.watched(serving.Server(f"--models={self.folder}", "--context", "256", *arguments, environment=self.environment))

    def watched(self, server):
        """Its end is the test's: with status 0."""
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0, server.log[-6000:]))
        return server

    def states(self, server):
        status, _, answer = server.get("/v1/models")
        self.assertEqual(status, 200)
        return {model["id"]: model["state"] for model in answer["data"]}

    def planned(self, n):
        """Bytes that any n of the models fit in, and n + 1 do not."""
        server = self.start()
        for name in self.alone:
            self.complete(server, name)
        planned = sorted(model["planned_bytes"] for model in server.get("/v1/models")[2]["data"] if model["state"] == "loaded")
        self.assertEqual(len(planned), 3)
        self.assertLess(sum(planned[-n:]), sum(planned[:n + 1]))
        return sum(planned[-n:])

    def wait_for(self, condition, what):
        end = time.monotonic() + serving.PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def test_a_model_is_loaded_by_the_first_request_that_names_it(self):
        server = self.start()
        self.assertEqual(self.states(server), dict.fromkeys(("bad", "gemma", "llama", "qwen"), "unloaded"))
        for name in ("qwen", "llama"):
            self.assertEqual(self.complete(server, name), self.alone[name])
        self.assertEqual(self.states(server), {"bad": "unloaded", "gemma": "unloaded", "llama": "loaded", "qwen": "loaded"})
        status, _, one = server.get("/v1/models/gemma")
        self.assertEqual((status, one["state"], one["max_model_len"]), (200, "unloaded", None))
        status, _, ps = server.get("/api/ps")
        self.assertEqual(sorted(model["name"] for model in ps["models"]), ["llama", "qwen"])
        status, _, tags = server.get("/api/tags")
        self.assertEqual(len(tags["models"]), 4)
        # Ollama's spelling, and its name for the same.
        status, _, shown = server.post("/api/show", name="gemma:latest")
        self.assertEqual((status, shown["model_info"]["general.architecture"]), (200, "gemma3"))
        # Which of them a page of figures is about can be said.
        for path in ("/roofline", "/props", "/explain"):
            self.assertEqual(server.get(path + "?model=llama")[0], 200)
            self.assertEqual(server.get(path + "?model=bad")[0], 503)
            self.assertEqual(server.get(path + "?model=none")[0], 404)

    def test_a_file_that_is_no_model_fails_its_own_requests_only(self):
        server = self.start()
        for _ in range(2):  # each time anew
            status, _, answer = server.post("/v1/completions", model="bad", prompt=PROMPT)
            self.assertEqual((status, answer["error"]["code"]), (500, "model_not_loaded"))
            self.assertIn("magic", answer["error"]["message"])
        self.assertEqual(self.complete(server, "llama"), self.alone["llama"])
        errors = {model["id"]: model.get("error") for model in server.get("/v1/models")[2]["data"]}
        self.assertIn("magic", errors["bad"])
        self.assertIsNone(errors["llama"])
        status, _, answer = server.post("/v1/completions", model="none", prompt=PROMPT)
        self.assertEqual((status, answer["error"]["code"]), (404, "model_not_found"))
        for name in ("llama", "qwen", "gemma", "bad"):
            self.assertIn(name, answer["error"]["message"])
        # Mended, it is served.
        shutil.copy(self.folder / "llama.gguf", self.folder / "mended.gguf")
        (self.folder / "mended.gguf").replace(self.folder / "bad.gguf")
        try:
            self.assertEqual(self.complete(server, "bad"), self.alone["llama"])
        finally:
            (self.folder / "new").write_bytes(b"this is no model")
            (self.folder / "new").replace(self.folder / "bad.gguf")

    def test_what_is_not_json_loads_nothing(self):
        server = self.start()
        for body in (b"", b"[]", b"{", b'{"model": "llama"', b'{"model": 3}', b'{"model": ["llama"], "prompt": "a"}', b"\xff", b"[" * 100_000):
            status, _, answer = server.ask("POST", "/v1/completions", body)
            self.assertIn(status, (400, 500), body[:40])  # the first model is asked where none is named: it is no model here
            self.assertIn("error", answer)
        self.assertNotIn("loaded", self.states(server).values())

    def test_streams_are_told_that_they_wait(self):
        server = self.start()
        for path, body in (("/v1/completions", {"prompt": PROMPT}), ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
                           ("/v1/messages", {"messages": [{"role": "user", "content": "a"}]})):
            connection = server.connect()
            connection.request("POST", path, json.dumps({"model": "gemma", "stream": True, "max_tokens": 3, **body}),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/event-stream"))
            if path == "/v1/completions":
                self.assertTrue(text.startswith(': waiting for the model "gemma"\n\n'), text[:80])
                self.assertTrue(text.endswith("data: [DONE]\n\n"), text[-80:])
            connection.close()
        # A failure is an event of the stream that has begun, in the form of its API.
        for path, where in (("/v1/completions", ("error", "message")), ("/v1/messages", ("error", "message"))):
            connection = server.connect()
            connection.request("POST", path, json.dumps({"model": "bad", "stream": True, "max_tokens": 3, "prompt": "a",
                                                         "messages": [{"role": "user", "content": "a"}]}), {"Content-Type": "application/json"})
            text = connection.getresponse().read().decode()
            data = json.loads([line for line in text.split("\n") if line.startswith("data: ")][-1][6:])
            self.assertIn("cannot be loaded", data[where[0]][where[1]])
            connection.close()
        # Ollama's stream is lines.
        connection = server.connect()
        connection.request("POST", "/api/generate", json.dumps({"model": "bad", "prompt": "a"}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertIn("cannot be loaded", json.loads(answer.read().decode().strip().split("\n")[-1])["error"])
        connection.close()

    def test_idle_models_go_and_come_back(self):
        server = self.start("--idle-unload", "0.3")
        self.assertEqual(self.complete(server, "llama"), self.alone["llama"])
        self.wait_for(lambda: self.states(server)["llama"] == "unloaded", "it stays")
        before = server.get("/metrics")[2].decode()
        self.assertIn('rafter_generation_tokens_total{model_name="llama"} 12', before)
        self.assertEqual(self.complete(server, "llama"), self.alone["llama"])
        after = server.get("/metrics")[2].decode()
        self.assertIn('rafter_generation_tokens_total{model_name="llama"} 24', after)

    def test_the_least_recently_used_goes_when_memory_is_short(self):
        # So much that two of the three fit.
        server = self.start("--models-memory", str(self.planned(2)))
        self.complete(server, "llama")
        self.complete(server, "qwen")
        self.complete(server, "llama")
        self.complete(server, "gemma")
        self.assertEqual(self.states(server), {"bad": "unloaded", "gemma": "loaded", "llama": "loaded", "qwen": "unloaded"})
        self.complete(server, "qwen")
        self.assertEqual(self.states(server)["llama"], "unloaded")
        small = self.start("--models-memory", "10KB")
        status, _, answer = small.post("/v1/completions", model="llama", prompt=PROMPT)
        self.assertEqual((status, answer["error"]["code"]), (503, "out_of_memory"))
        self.assertIn("--models-memory allows", answer["error"]["message"])

    def test_a_busy_model_completes_its_answers_before_it_goes(self):
        server = self.start("--models-memory", str(self.planned(1)))
        expected = {name: self.complete(server, name, 200) for name in ("llama", "qwen", "gemma")}
        failures = []

        def ask(name):
            for _ in range(3 if program.SANITIZED else 12):
                try:
                    found = self.complete(server, name, 200)
                except OSError as error:
                    found = error
                if found != expected[name]:
                    failures.append((name, found))

        threads = [threading.Thread(target=ask, args=(name,)) for name in expected for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_a_hundred_loads_leave_nothing_behind(self):
        server = self.start("--idle-unload", "0.01")
        n = 8 if program.SANITIZED else 100
        stop, wrong = threading.Event(), []

        def keep_busy():
            while not stop.is_set():
                if self.complete(server, "gemma") != self.alone["gemma"]:
                    wrong.append("gemma")

        busy = threading.Thread(target=keep_busy)
        busy.start()
        resident = []
        try:
            for i in range(n):
                name = ("llama", "qwen")[i % 2]
                self.assertEqual(self.complete(server, name), self.alone[name])
                self.wait_for(lambda: self.states(server)[name] == "unloaded", "it stays")
                resident.append(self.resident_bytes(server))
        finally:
            stop.set()
            busy.join()
        self.assertEqual(wrong, [])
        n_loads = server.log.count("loaded in")
        self.assertGreaterEqual(n_loads, n)
        if not program.SANITIZED:  # which keep freed memory for a while
            half = len(resident) // 2
            self.assertLess(max(resident[half:]), max(resident[:half]) + 16_000_000)

    @staticmethod
    def resident_bytes(server):
        status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def test_each_model_has_its_own_file_of_blocks(self):
        blocks = self.folder / "blocks"
        llama, qwen = self.folder / "llama.gguf", self.folder / "qwen.gguf"
        names = {"llama": "llama.kv", "org/\u00e9 x": "org%2F%C3%A9%20x.kv", "..": "%2E..kv"}
        arguments = (llama, "--model", f"org/\u00e9 x={qwen}", "--model", f"..={qwen}", "--context", "256", "--kv-disk", str(blocks),
                     "--kv-disk-size", "3MB", "--idle-unload", "0.05")
        prompt = "a beginning of many blocks " * 6
        expected = {}
        for again in (False, True):
            server = self.watched(serving.Server(*arguments, environment=self.environment))
            for _ in range(2):  # and after an unload
                for name in names:
                    text = self.complete(server, name, prompt=prompt)
                    self.assertEqual(expected.setdefault(name, text), text)
                self.wait_for(lambda: set(self.states(server).values()) == {"unloaded"}, "they stay")
            self.assertEqual(sorted(path.name for path in blocks.iterdir()), sorted(names.values()))
            self.assertTrue(all(path.stat().st_size <= 1_000_000 for path in blocks.iterdir()))
            self.assertEqual(server.stop(), 0)
            self.assertNotIn("no model that is served", server.log)
        # Whose model is gone is named, and left alone.
        server = self.start("--kv-disk", str(blocks))
        self.assertEqual(self.complete(server, "llama"), self.alone["llama"])
        self.assertEqual(server.stop(), 0)
        self.assertIn('org%2F%C3%A9%20x.kv" is of no model that is served', server.log)
        self.assertNotIn('llama.kv" is', server.log)
        self.assertTrue((blocks / names["org/\u00e9 x"]).exists())
        done = program.subprocess.run([program.BINARY, "serve", "--port", "0", f"--models={self.folder}", "--kv-disk", str(llama)],
                                      capture_output=True, env=self.environment, timeout=serving.PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expected a folder", done.stderr.decode())

    def test_named_models_and_their_names(self):
        llama, qwen = self.folder / "llama.gguf", self.folder / "qwen.gguf"
        server = self.watched(serving.Server(llama, "--model", f"other={qwen}", "--model", f"pair={llama},draft={llama}", "--context", "256",
                                             environment=self.environment))
        self.assertEqual(self.states(server), {"llama": "loaded", "other": "unloaded", "pair": "unloaded"})
        self.assertEqual(self.complete(server, None), self.alone["llama"])
        self.assertEqual(self.complete(server, "other"), self.alone["qwen"])
        self.assertEqual(self.complete(server, "pair"), self.alone["llama"])
        for arguments, words, status in ((["--model", "x"], "expected NAME=MODEL", 2),
                                         (["--model", f"={llama}"], "expected NAME=MODEL", 2),
                                         ([str(llama), "--model", f"llama={qwen}"], "two models are called", 1),
                                         (["--model", "x=/no/such/file.gguf"], "/no/such/file.gguf", 1),
                                         (["--models", str(self.folder / "cache")], "--models", 1),
                                         (["--models", str(self.folder), "--served-name", "x"], "MODEL", 2),
                                         ([], "no model is given", 2)):
            done = program.subprocess.run([program.BINARY, "serve", "--port", "0", *arguments], capture_output=True, env=self.environment,
                                          timeout=serving.PATIENCE, check=False)
            self.assertEqual(done.returncode, status, (arguments, done.stderr))
            self.assertIn(words, done.stderr.decode())


if __name__ == "__main__":
    serving.main()
