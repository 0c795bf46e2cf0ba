"""The official Ollama client against `rafter serve`: chats, streams, tools, formats, prompts, vectors, lists and errors."""
import json
import os
import sys
import tempfile
import time
import unittest
from datetime import datetime, timezone
from pathlib import Path

import serving

try:
    import ollama
except ImportError:
    print("skipped: the package ollama is not installed")
    sys.exit(serving.program.SKIP)

SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
          "required": ["city", "days"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather of a city",
                                           "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Oslo"]}},
                                                          "required": ["city"]}}}]
FIXED = {"seed": 3, "num_predict": 12}

# Templates that call and that think; the tiny model's context is short, its tokens are bytes.
FOLDER = tempfile.TemporaryDirectory()
TEMPLATE = Path(FOLDER.name, "tools.jinja")
TEMPLATE.write_text("{# <tool_call> #}{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% for m in messages %}"
                    "{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}"
                    "{% endfor %}\n{% endfor %}")
THINKING = Path(FOLDER.name, "thinking.jinja")
THINKING.write_text("{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking %}<think>{% endif %}")


def lines_of(server, body):
    """The lines of an answer of /api/chat, as JSON."""
    connection = server.connect()
    try:
        connection.request("POST", "/api/chat", json.dumps(body))
        answer = connection.getresponse()
        assert answer.headers["content-type"] == "application/x-ndjson", answer.read()
        yield from map(json.loads, answer.read().splitlines())
    finally:
        connection.close()


class Ollama(serving.Case):
    def setUp(self):
        self.client = ollama.Client(host=self.server.url, timeout=serving.PATIENCE)
        self.messages = [{"role": "user", "content": "Why is the sky blue?"}]

    def test_a_stream_has_the_whole_answer(self):
        whole = self.client.chat("tiny", self.messages, options=FIXED)
        self.assertEqual((whole.model, whole.message.role, whole.done, whole.done_reason), ("tiny", "assistant", True, "length"))
        self.assertEqual(whole.eval_count, 12)
        self.assertGreater(whole.prompt_eval_count, 10)
        self.assertGreater(whole.total_duration, whole.eval_duration)
        self.assertGreater(whole.prompt_eval_duration, 0)
        parts = list(self.client.chat("tiny:latest", self.messages, options=FIXED, stream=True))
        self.assertEqual("".join(part.message.content for part in parts), whole.message.content)
        self.assertEqual([part.done for part in parts], [False] * (len(parts) - 1) + [True])
        self.assertEqual((parts[-1].model, parts[-1].done_reason, parts[-1].eval_count), ("tiny:latest", "length", 12))

    def test_lines_are_what_a_body_without_stream_gets(self):
        lines = list(lines_of(self.server, {"messages": self.messages, "options": FIXED}))
        self.assertGreater(len(lines), 1)
        self.assertEqual([line["done"] for line in lines], [False] * (len(lines) - 1) + [True])
        self.assertRegex(lines[0]["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_options_change_the_answer_and_unknown_ones_are_named(self):
        def text(**options):
            return self.client.chat("tiny", self.messages, options={**FIXED, **options}).message.content
        self.assertEqual(text(), text())
        self.assertNotEqual(text(), text(seed=4))
        self.assertEqual(text(temperature=0, seed=1), text(temperature=0, seed=2))
        whole = text()
        stop = next(letter for letter in whole[1:] if letter.isascii() and letter.isprintable())
        self.assertEqual(text(stop=[stop]), whole[:whole.index(stop)])
        body = {"messages": self.messages, "stream": False, "options": {**FIXED, "num_gpu": 1, "num_ctx": 10**6}}
        _, headers, _ = self.server.post("/api/chat", **body)
        self.assertEqual(headers["rafter-ignored-keys"], "num_gpu")
        self.assertIn("num_ctx", headers["rafter-warnings"])

    def test_a_format_is_kept(self):
        for number in range(2):
            answer = self.client.chat("tiny", self.messages, format=SCHEMA, options={"seed": number})
            found = json.loads(answer.message.content)
            self.assertEqual(sorted(found), ["city", "days"])
            self.assertIn(found["city"], ("Paris", "Oslo"))
            self.assertEqual(answer.done_reason, "stop")
        text = "".join(part.response for part in self.client.generate("tiny", "x", format=SCHEMA, options=FIXED | {"num_predict": -1}, stream=True))
        self.assertIn(json.loads(text)["days"], range(1, 10))

    def test_prompts_are_answered_continued_and_raw(self):
        first = self.client.generate("tiny", "hello", system="be brief", options=FIXED)
        self.assertTrue(first.done)
        self.assertEqual(len(first.context), first.prompt_eval_count + first.eval_count)
        chat = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
        self.assertEqual(first.response, self.client.chat("tiny", chat, options=FIXED).message.content)
        second = self.client.generate("tiny", "and", context=first.context, options=FIXED)
        self.assertGreater(second.prompt_eval_count, len(first.context))
        raw = self.client.generate("tiny", "hello", raw=True, options=FIXED)
        self.assertEqual(raw.context, None)
        completion = {"prompt": "hello", "max_tokens": 12, "temperature": 0.8, "top_k": 40, "top_p": 0.9, "seed": 3}
        as_openai = self.server.post("/v1/completions", **completion)[2]
        plain = self.client.generate("tiny", "hello", raw=True, options={**FIXED, "repeat_penalty": 1})
        self.assertEqual(plain.response, as_openai["choices"][0]["text"])
        self.assertEqual(raw.prompt_eval_count, as_openai["usage"]["prompt_tokens"])

    def test_without_a_prompt_the_model_is_loaded(self):
        self.assertEqual(self.client.generate("tiny").done_reason, "load")
        self.assertEqual(self.client.chat("tiny").done_reason, "load")
        # The only model of the server stays, whatever it is told.
        self.assertEqual(self.client.generate("tiny", keep_alive=0).done_reason, "unload")
        self.client.generate("tiny", "x", keep_alive="1ms", options=FIXED)
        (loaded,) = self.client.ps().models
        self.assertEqual((loaded.name, loaded.expires_at.year), ("tiny", 9999))
        self.assertEqual(self.client.embed("tiny", []).embeddings, [])

    def test_vectors_are_those_of_openais_route(self):
        texts = ["one", "another text"]
        answer = self.client.embed("tiny", texts)
        expected = self.server.post("/v1/embeddings", input=texts)[2]
        self.assertEqual([list(one) for one in answer.embeddings], [one["embedding"] for one in expected["data"]])
        self.assertEqual(answer.prompt_eval_count, expected["usage"]["prompt_tokens"])
        self.assertEqual(list(self.client.embeddings("tiny", "one").embedding), list(answer.embeddings[0]))
        self.assertEqual(len(self.client.embed("tiny", "one", dimensions=4).embeddings[0]), 4)
        self.assertEqual(len(self.client.embed("tiny", "word " * 3000).embeddings), 1)
        with self.assertRaises(ollama.ResponseError):
            self.client.embed("tiny", "word " * 3000, truncate=False)

    def test_the_model_is_listed_and_shown(self):
        (listed,) = self.client.list().models
        (loaded,) = self.client.ps().models
        self.assertEqual((listed.model, loaded.name), ("tiny", "tiny"))
        self.assertEqual(listed.digest, loaded.digest)
        self.assertEqual(len(listed.digest), 64)
        self.assertEqual(listed.size, Path(self.model).stat().st_size)
        self.assertEqual((listed.details.family, listed.details.quantization_level), ("llama", "Q8_0"))
        shown = self.client.show("tiny")
        self.assertEqual(shown.modelinfo["general.architecture"], "llama")
        self.assertIsNone(shown.modelinfo["tokenizer.ggml.tokens"])
        self.assertIn("completion", shown.capabilities)
        self.assertIn("im_start", shown.template)
        verbose = self.server.post("/api/show", name="tiny", verbose=True)[2]["model_info"]
        self.assertGreater(len(verbose["tokenizer.ggml.tokens"]), 200)
        self.assertEqual(self.server.get("/api/version")[2], self.server.get("/version")[2])

    def test_errors_are_ollamas(self):
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.chat("other", self.messages)
        self.assertEqual((raised.exception.status_code, raised.exception.error), (404, "model 'other' not found"))
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.generate("tiny", "x", suffix="y")
        self.assertEqual(raised.exception.status_code, 400)
        self.assertIn("suffix", raised.exception.error)
        with self.assertRaises(ollama.ResponseError) as raised:
            list(self.client.generate("tiny", "x", stream=True, options={"temperature": -1}))
        self.assertEqual(raised.exception.status_code, 400)
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.chat("tiny", self.messages, think=True)
        self.assertIn("does not support thinking", raised.exception.error)


class KeepAlive(unittest.TestCase):
    """Models that are loaded on demand stay as long as a request says."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        for name in ("one", "two"):
            serving.program.make_tiny_model(cls.folder / f"{name}.gguf")
        environment = {**os.environ, "XDG_CACHE_HOME": str(cls.folder / "cache"), "XDG_DATA_HOME": str(cls.folder / "data")}
        cls.server = serving.Server(f"--models={cls.folder}", "--context", "128", environment=environment)
        cls.client = ollama.Client(host=cls.server.url, timeout=serving.PATIENCE)

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        cls.temporary.cleanup()
        assert status == 0, cls.server.log

    def loaded(self):
        """Names, and seconds until each goes."""
        return {model.name: (model.expires_at - datetime.now(timezone.utc)).total_seconds() for model in self.client.ps().models}

    def wait_until_gone(self, name):
        end = time.monotonic() + serving.PATIENCE
        while name in self.loaded():
            self.assertLess(time.monotonic(), end, "it stays")
            time.sleep(0.02)

    def test_models_stay_as_long_as_a_request_says(self):
        self.assertEqual(self.client.generate("one", keep_alive="1h").done_reason, "load")
        self.assertLess(abs(self.loaded()["one"] - 3600), serving.PATIENCE)
        self.client.chat("one", [{"role": "user", "content": "x"}], options=FIXED)  # says nothing: as before
        self.assertLess(abs(self.loaded()["one"] - 3600), serving.PATIENCE)
        self.client.embed("two", ["x"], keep_alive=-1)
        self.assertGreater(self.loaded()["two"], 1e9)
        self.client.embed("two", ["x"], keep_alive=200.5)
        self.assertLess(abs(self.loaded()["two"] - 200.5), serving.PATIENCE)
        self.client.embeddings("two", "x", keep_alive="10ms")
        self.wait_until_gone("two")
        # The answer is whole, though the model is to go with it.
        answer = self.client.chat("one", [{"role": "user", "content": "x"}], options=FIXED, keep_alive=0)
        self.assertEqual(answer.eval_count, 12)
        self.wait_until_gone("one")
        parts = list(self.client.generate("one", "x", options=FIXED, keep_alive=0, stream=True))
        self.assertEqual(parts[-1].eval_count, 12)
        self.wait_until_gone("one")
        # What one load was told is nothing to the next.
        self.client.generate("one")
        self.assertGreater(self.loaded()["one"], 1e9)
        self.assertEqual(self.client.generate("one", keep_alive=0).done_reason, "unload")
        self.wait_until_gone("one")

    def test_a_model_is_not_loaded_to_be_unloaded(self):
        self.client.generate("two", keep_alive=0)
        self.wait_until_gone("two")
        for ask in (lambda: self.client.generate("two", keep_alive=0), lambda: self.client.chat("two:latest", keep_alive="0s"),
                    lambda: self.client.chat("two", keep_alive=0)):
            self.assertEqual(ask().done_reason, "unload")
            models = {m["id"]: m["state"] for m in self.server.get("/v1/models")[2]["data"]}
            self.assertIn(models["two"], ("unloaded", "unloading"))
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.generate("three", keep_alive=0)
        self.assertEqual(raised.exception.status_code, 404)
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.generate("two", keep_alive="soon")
        self.assertEqual(raised.exception.status_code, 400)
        self.assertIn("keep_alive", raised.exception.error)


class Tools(serving.Case):
    arguments = ("--chat-template", str(TEMPLATE))

    def setUp(self):
        self.client = ollama.Client(host=self.server.url, timeout=serving.PATIENCE)

    def ask(self, messages, **more):
        """As the client does, with the key that makes calls certain."""
        body = {"messages": messages, "tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False, **more}
        return self.server.post("/api/chat", **{"stream": False, **body})[2]

    def test_a_loop_of_calls_and_results(self):
        messages = [{"role": "user", "content": "The weather of Paris?"}]
        for turn in range(2):
            answer = self.ask(messages, options={"seed": turn, "num_predict": 150, "repeat_penalty": 1})
            message = ollama.ChatResponse(**answer).message
            (call,) = message.tool_calls
            self.assertEqual(call.function.name, "get_weather")
            self.assertIn(call.function.arguments["city"], ("Paris", "Oslo"))
            messages += [message.model_dump(exclude_none=True), {"role": "tool", "tool_name": call.function.name, "content": "sunny"}]
        last = self.client.chat("tiny", messages, tools=TOOLS, options=FIXED)
        self.assertEqual(last.message.role, "assistant")
        self.assertIn("tools", self.client.show("tiny").capabilities)

    def test_a_stream_has_the_whole_calls(self):
        messages = [{"role": "user", "content": "The weather?"}]
        options = {"seed": 5, "num_predict": 150, "repeat_penalty": 1}
        whole = self.ask(messages, options=options)["message"]["tool_calls"]
        body = {"messages": messages, "tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False, "options": options}
        self.assertEqual([call["function"] for line in lines_of(self.server, body) for call in line["message"].get("tool_calls", [])],
                         [call["function"] for call in whole])


class Thoughts(serving.Case):
    arguments = ("--chat-template", str(THINKING), "--reasoning-parser", "think")

    def test_a_thought_is_apart_where_it_is_asked_for(self):
        client = ollama.Client(host=self.server.url, timeout=serving.PATIENCE)
        messages = [{"role": "user", "content": "x"}]
        thought = client.chat("tiny", messages, think=True, options=FIXED).message
        self.assertEqual(thought.content, "")
        self.assertGreater(len(thought.thinking), 0)
        parts = list(client.chat("tiny", messages, think="high", options=FIXED, stream=True))
        self.assertEqual("".join(part.message.thinking or "" for part in parts), thought.thinking)
        plain = client.chat("tiny", messages, think=False, options=FIXED).message
        self.assertGreater(len(plain.content), 0)
        self.assertIsNone(plain.thinking)
        self.assertEqual(client.show("tiny").capabilities, ["completion", "thinking"])


serving.main()
