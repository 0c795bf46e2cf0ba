"""rafter batch on a tiny model: each answer against `rafter run`'s, each bad line's error, and runs that end early in every way and go on."""
import fcntl
import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import program

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


def line(custom_id, url=TEXT, **body):
    body.setdefault("temperature", 0)
    body.setdefault("max_tokens", 12)
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def chat(custom_id, text="hello", **body):
    return line(custom_id, CHAT, messages=[{"role": "user", "content": text}], **body)


def usage(n_prompt, n_generated):
    return {"prompt_tokens": n_prompt, "completion_tokens": n_generated, "total_tokens": n_prompt + n_generated,
            "completion_tokens_details": {"reasoning_tokens": 0}}


def without_identity(result):
    """A result without what differs from run to run."""
    result = json.loads(json.dumps(result))
    for place, keys in ((result, ["id"]), (result["response"], ["request_id"]), (result["response"]["body"], ["id", "created"])):
        for key in keys:
            place.pop(key, None)
    return json.dumps(result)


class BatchCase(program.Case):
    def setUp(self):
        self.requests = self.folder / "prompts.jsonl"
        self.results = self.folder / "results.jsonl"
        for path in (self.requests, self.results):
            path.unlink(missing_ok=True)

    def write(self, lines):
        self.requests.write_bytes(b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in lines))

    def command(self, *arguments):
        return ["batch", self.model, "--in", str(self.requests), "--out", str(self.results), *arguments]

    def read(self):
        """Results by custom_id; every line is whole, and none is there twice."""
        data = self.results.read_bytes()
        self.assertTrue(data == b"" or data.endswith(b"\n"), data[-100:])
        results = [json.loads(text) for text in data.decode("utf-8", "strict").split("\n")[:-1]]
        for result in results:
            self.assertEqual(list(result), ["id", "custom_id", "response", "error"])
            self.assertEqual(list(result["response"]), ["status_code", "request_id", "body"])
            self.assertIsNone(result["error"])
        by_id = {result["custom_id"]: result for result in results}
        self.assertEqual(len(by_id), len(results))
        self.assertEqual(len({result["id"] for result in results}), len(results))
        return by_id

    def batch(self, lines, *arguments):
        self.write(lines)
        self.results.unlink(missing_ok=True)
        self.rafter(*self.command(*arguments))
        return self.read()

    def bodies(self, lines, *arguments):
        """Of the results, all of which are answers."""
        results = self.batch(lines, *arguments)
        for result in results.values():
            self.assertEqual(result["response"]["status_code"], 200, result)
        self.assertEqual(set(results), {one["custom_id"] for one in lines})
        return {name: result["response"]["body"] for name, result in results.items()}

    def text_of(self, **body):
        return self.bodies([line("a", **body)])["a"]["choices"][0]["text"]


class Answers(BatchCase):
    def test_a_chat_completion_is_what_run_answers(self):
        body = self.bodies([chat("a", logprobs=True, top_logprobs=2)])["a"]
        run = self.json_of("run", self.model, "--chat", "-p", "hello", "-n", "12", "--temperature", "0", "--logprobs", "2")
        self.assertEqual(list(body), ["id", "object", "created", "model", "choices", "usage"])
        self.assertRegex(body["id"], r"^chatcmpl-[0-9a-f]{24}$")
        self.assertEqual(body["object"], "chat.completion")
        self.assertLess(abs(body["created"] - time.time()), 600)
        (choice,) = body["choices"]
        self.assertEqual(list(choice), ["index", "message", "logprobs", "finish_reason"])
        self.assertEqual(choice["message"], {"role": "assistant", "content": run["text"], "refusal": None})
        self.assertEqual((choice["index"], choice["finish_reason"]), (0, "length"))
        n_prompt = len(run["prompt_tokens"])
        self.assertEqual(body["usage"], usage(n_prompt, 12))
        for entry, expected in zip(choice["logprobs"]["content"], run["logprobs"], strict=True):
            self.assertEqual(entry["logprob"], expected["logprob"])
            self.assertEqual([top["logprob"] for top in entry["top_logprobs"]], [logprob for _, logprob in expected["top"]])
            self.assertEqual(bytes(entry["bytes"]).decode(errors="replace"), entry["token"])
        self.assertEqual(b"".join(bytes(entry["bytes"]) for entry in choice["logprobs"]["content"]).decode(errors="replace"), run["text"])

    def test_a_text_completion_is_what_run_answers(self):
        body = self.bodies([line("a", prompt="hello", logprobs=3)])["a"]
        run = self.generate("-p", "hello", "--logprobs", "3")
        self.assertRegex(body["id"], r"^cmpl-[0-9a-f]{24}$")
        self.assertEqual(body["object"], "text_completion")
        (choice,) = body["choices"]
        self.assertEqual(list(choice), ["index", "text", "logprobs", "finish_reason"])
        self.assertEqual(choice["text"], run["text"])
        self.assertEqual(choice["logprobs"]["token_logprobs"], [entry["logprob"] for entry in run["logprobs"]])
        for offset, name in zip(choice["logprobs"]["text_offset"], choice["logprobs"]["tokens"], strict=True):
            if not name.startswith("bytes:"):
                self.assertEqual(run["text"][offset : offset + len(name)], name)
        for top, name in zip(choice["logprobs"]["top_logprobs"], choice["logprobs"]["tokens"], strict=True):
            self.assertEqual(max(top, key=top.get), name)  # greedy
        self.assertIsNone(self.bodies([line("a", prompt="hello")])["a"]["choices"][0]["logprobs"])

    def test_prompts_may_be_texts_or_tokens_and_many(self):
        run = self.generate("-p", "hello")
        other = self.generate("-p", "other")
        tokens = run["prompt_tokens"]
        bodies = self.bodies([line("tokens", prompt=tokens), line("lists", prompt=[tokens, other["prompt_tokens"]]),
                              line("texts", prompt=["hello", "other"], n=2)])
        self.assertEqual(bodies["tokens"]["choices"][0]["text"], run["text"])
        self.assertEqual([choice["text"] for choice in bodies["lists"]["choices"]], [run["text"], other["text"]])
        self.assertEqual([(choice["index"], choice["text"]) for choice in bodies["texts"]["choices"]],
                         [(0, run["text"]), (1, run["text"]), (2, other["text"]), (3, other["text"])])
        n_prompt = len(tokens) + len(other["prompt_tokens"])
        self.assertEqual(bodies["texts"]["usage"], usage(n_prompt, 48))

    def test_messages_go_through_the_template(self):
        messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes"},
                    {"role": "user", "content": "why?"}]
        listed = self.folder / "messages.json"
        listed.write_text(json.dumps(messages))
        prompt = self.rafter("template", self.model, "--messages", str(listed)).stdout.decode()
        expected = self.generate("-p", prompt)["text"]
        parts = [{"role": "developer", "content": "be brief"}, *messages[1:3],
                 {"role": "user", "content": [{"type": "text", "text": "why?"}], "name": "someone"}]
        bodies = self.bodies([line("plain", CHAT, messages=messages), line("parts", CHAT, messages=parts)])
        for body in bodies.values():
            self.assertEqual(body["choices"][0]["message"]["content"], expected)

    def test_sampling_options_are_those_of_run(self):
        for body, options in [
            ({"temperature": 2, "seed": 7}, ["--temperature", "2", "--seed", "7"]),
            ({"seed": 18446744073709551615, "temperature": 2}, ["--temperature", "2", "--seed", "18446744073709551615"]),
            ({"seed": -1, "temperature": 2}, ["--temperature", "2", "--seed", "18446744073709551615"]),
            ({"temperature": 5, "seed": 3, "top_k": 4}, ["--temperature", "5", "--seed", "3", "--top-k", "4"]),
            ({"temperature": 5, "seed": 3, "top_k": -1}, ["--temperature", "5", "--seed", "3"]),
            ({"temperature": 5, "seed": 3, "top_p": 0.3}, ["--temperature", "5", "--seed", "3", "--top-p", "0.3"]),
            ({"temperature": 5, "seed": 3, "min_p": 0.5}, ["--temperature", "5", "--seed", "3", "--min-p", "0.5"]),
            ({"logit_bias": {"5": 1000, "9": 990}, "presence_penalty": 15},
             ["--logit-bias", "5=1000", "--logit-bias", "9=990", "--presence-penalty", "15"]),
            ({"logit_bias": {"5": 1000, "9": 990}, "frequency_penalty": 15},
             ["--logit-bias", "5=1000", "--logit-bias", "9=990", "--frequency-penalty", "15"]),
            ({"logit_bias": {"5": 1000, "9": 990}, "repetition_penalty": 1.5},
             ["--logit-bias", "5=1000", "--logit-bias", "9=990", "--repeat-penalty", "1.5"]),
        ]:
            with self.subTest(body=body):
                self.assertEqual(self.text_of(prompt="hello", **body), self.generate("-p", "hello", *options)["text"])
        body = self.bodies([{**chat("a", "hello"), "body": {"messages": [{"role": "user", "content": "hello"}], "seed": 9}}], "-n", "20")["a"]
        run = self.json_of("run", self.model, "--chat", "-p", "hello", "-n", "20", "--temperature", "1", "--top-p", "1",
                           "--min-p", "0", "--seed", "9")
        self.assertEqual(body["choices"][0]["message"]["content"], run["text"])

    def test_choices_are_those_of_run_with_the_same_seed(self):
        body = self.bodies([line("a", prompt="hello", temperature=3, seed=5, n=3), line("b", prompt="hello", temperature=3, seed=6, n=3)])
        for name, seed in (("a", "5"), ("b", "6")):
            run = self.json_of("run", self.model, "--raw", "-p", "hello", "-n", "12", "--temperature", "3", "--seed", seed, "--n", "3")
            self.assertEqual([choice["text"] for choice in body[name]["choices"]], [choice["text"] for choice in run["choices"]])
        self.assertEqual(len({choice["text"] for name in "ab" for choice in body[name]["choices"]}), 6)

    def test_min_tokens_is_that_of_run(self):
        stop = self.text_of(prompt="hello")[0]
        self.assertEqual(self.text_of(prompt="hello", stop=stop), "")
        longer = self.text_of(prompt="hello", stop=stop, min_tokens=6)
        self.assertGreater(len(longer), 3)
        self.assertEqual(longer, self.generate("-p", "hello", "--stop", stop, "--min-tokens", "6")["text"])

    def test_results_without_hashes_are_taken_as_they_are_and_said(self):
        many = [line(f"{i}", prompt=[i % 200] * 400, n=128, max_tokens=1) for i in range(360)]
        few = [line("x", prompt="hello"), chat("y", "hello")]
        expected = self.batch(few)
        self.write(many + few)
        answered = {"id": "batch_req_0", "response": {"status_code": 200, "request_id": "0", "body": {}}, "error": None}
        self.results.write_text("".join(json.dumps({**answered, "custom_id": f"{i}"}) + "\n" for i in range(360)))
        before = self.results.read_bytes()
        self.expect_error("found 360 results whose id does not say which request and model it answers", *self.command("--resume", "strict"))
        self.assertEqual(self.results.read_bytes(), before)
        message = self.rafter(*self.command()).stderr.decode()
        self.assertIn("360 results do not say which request and model they answer; they are taken as they are\n", message)
        results = [json.loads(text) for text in self.results.read_text().split("\n")[360:-1]]
        self.assertEqual([without_identity(result) for result in sorted(results, key=lambda result: result["custom_id"])],
                         [without_identity(expected[name]) for name in "xy"])

    def test_stop_texts_and_end_tokens(self):
        whole = self.generate("-p", "hello", "-n", "40")["text"]
        stop = whole[8:11]
        for given in (stop, ["never there", stop]):
            body = self.bodies([line("a", prompt="hello", max_tokens=40, stop=given, logprobs=0)])["a"]
            (choice,) = body["choices"]
            self.assertEqual((choice["text"], choice["finish_reason"]), (whole[: whole.index(stop)], "stop"))
            self.assertLessEqual(max(choice["logprobs"]["text_offset"]), len(choice["text"]) - 1)
        eos = max(self.generate("-p", "x", "-n", "1", "--logprobs", "1000")["logprobs"][0]["top"])[0]
        body = self.bodies([chat("a", logit_bias={str(eos): 1000}, logprobs=True)])["a"]
        (choice,) = body["choices"]
        self.assertEqual((choice["message"]["content"], choice["finish_reason"], choice["logprobs"]["content"]), ("", "stop", []))
        self.assertEqual(body["usage"]["completion_tokens"], 1)

    def test_most_tokens(self):
        for body, n in [({"max_tokens": 3}, 3), ({"max_tokens": None}, 7), ({"max_tokens": None, "max_completion_tokens": 4}, 4),
                        ({"max_tokens": 5, "max_completion_tokens": 5}, 5), ({"max_tokens": 2.0}, 2)]:
            self.assertEqual(self.bodies([chat("a", **body)], "-n", "7")["a"]["usage"]["completion_tokens"], n, body)

    def test_a_full_context_ends_an_answer(self):
        body = self.bodies([line("a", prompt="hello", max_tokens=4000000000)], "--context", "20")["a"]
        self.assertEqual((body["usage"]["total_tokens"], body["choices"][0]["finish_reason"]), (20, "length"))
        body = self.bodies([line("a", prompt="hello", max_tokens=4000000000)])["a"]
        self.assertEqual(body["usage"]["total_tokens"], 512)
        self.assertEqual(self.rafter(*self.command("--context", "513"), status=0).stdout, b"")  # nothing is left to do

    def test_results_do_not_depend_on_what_runs_beside(self):
        lines = [line(f"r{i}", prompt=f"text {i * i}", max_tokens=1 + 7 * i % 30, temperature=i % 3, logprobs=1) for i in range(20)]
        lines += [chat(f"c{i}", f"say {i}", temperature=1, n=1 + i % 3) for i in range(5)]
        one = {name: without_identity(result) for name, result in self.batch(lines, "--batch", "1", "--threads", "1").items()}
        self.assertEqual(len(one), 25)
        for arguments in (["--batch", "3"], ["--batch", "100", "--threads", "2"]):
            self.assertEqual({name: without_identity(result) for name, result in self.batch(lines, *arguments).items()}, one, arguments)

    def test_without_a_seed_each_line_has_its_own_in_every_run(self):
        lines = [line(name, prompt="hello", temperature=3) for name in ("a", "b", "c")]
        texts = {name: body["choices"][0]["text"] for name, body in self.bodies(lines).items()}
        self.assertEqual(len(set(texts.values())), 3)
        self.assertEqual({name: body["choices"][0]["text"] for name, body in self.bodies(lines).items()}, texts)

    def test_the_summary_counts(self):
        self.write([line("a", prompt="hello"), line("b", prompt=""), line("c", prompt=7), line("d", prompt="x", foo=1, user="u")])
        message = self.rafter(*self.command()).stderr.decode()
        self.assertIn('unknown keys in request bodies are ignored: "foo"\n', message)
        self.assertIn("line 2: body: prompt: the prompt is empty", message)
        self.assertRegex(message, r"\n4 requests answered \(2 with an error\) · \d+ prompt tokens · 24 generated · .*, [\d.,]+ tok/s\n$")
        self.assertEqual(message.count("\n"), 3, "no progress bar in a pipe")
        message = self.rafter(*self.command()).stderr.decode()
        self.assertRegex(message, r"^0 requests answered, 4 by an earlier run · 0 prompt tokens · 0 generated\n$")
        self.write([line("one", prompt=[5])])
        self.results.unlink()
        self.assertRegex(self.rafter(*self.command()).stderr.decode(), r"^1 request answered · 1 prompt token · 12 generated · ")


    def test_help_says_which_temperature_a_request_without_one_has(self):
        self.assertRegex(self.rafter("batch", "--help").stdout.decode(), r"temperature 1 unless a request says otherwise")


class Echo(BatchCase):
    def test_the_prompt_comes_first(self):
        plain = self.text_of(prompt="hello")
        self.assertEqual(self.text_of(prompt="hello", echo=True), "hello" + plain)
        choices = self.bodies([line("a", prompt=["hello", "other"], n=2, echo=True)])["a"]["choices"]
        self.assertEqual([choice["text"][:5] for choice in choices], ["hello", "hello", "other", "other"])
        tokens = self.generate("-p", "hello")["prompt_tokens"]
        self.assertEqual(self.text_of(prompt=tokens, echo=True), "hello" + plain)

    def test_log_probabilities_of_the_prompt_are_those_of_an_answer(self):
        # What the model answers greedily, asked again as a prompt, has the log-probabilities that it had as an answer.
        tokens = self.generate("-p", "hello")["prompt_tokens"]
        run = self.generate("-p", "hello", "--logprobs", "2")
        answer = [entry["id"] for entry in run["logprobs"]]
        bodies = self.bodies([line("score", prompt=tokens + answer, echo=True, logprobs=2, max_tokens=0),
                              line("both", prompt=tokens, echo=True, logprobs=2, n=2), line("plain", prompt=tokens, logprobs=2)])
        n = len(tokens)
        score, plain = bodies["score"]["choices"][0], bodies["plain"]["choices"][0]
        self.assertEqual((bodies["score"]["usage"]["completion_tokens"], score["finish_reason"]), (0, "length"))
        self.assertEqual(score["text"], "hello" + run["text"])
        self.assertIsNone(score["logprobs"]["token_logprobs"][0])
        self.assertIsNone(score["logprobs"]["top_logprobs"][0])
        for key in ("tokens", "token_logprobs", "top_logprobs"):
            self.assertEqual(score["logprobs"][key][n:], plain["logprobs"][key])
            for choice in bodies["both"]["choices"]:
                self.assertEqual(choice["logprobs"][key], score["logprobs"][key])
        offsets = score["logprobs"]["text_offset"]
        self.assertEqual(offsets, sorted(offsets))
        self.assertEqual(offsets[n], len("hello"))
        for offset, name in zip(offsets, score["logprobs"]["tokens"], strict=True):
            if not name.startswith("bytes:"):
                self.assertEqual(score["text"][offset : offset + len(name)], name)

    def test_one_token_alone_and_no_answer(self):
        body = self.bodies([line("a", prompt=[5], echo=True, logprobs=1, max_tokens=0), line("b", prompt=[5], echo=True, max_tokens=0)])
        self.assertEqual(body["a"]["choices"][0]["logprobs"]["token_logprobs"], [None])
        self.assertIsNone(body["b"]["choices"][0]["logprobs"])
        self.assertEqual(body["b"]["choices"][0]["text"], body["a"]["choices"][0]["text"])

    def test_bos_that_the_model_puts_first_is_a_token_without_characters(self):
        model = program.with_bos(self.model, self.folder / "bos.gguf")
        self.write([line("a", prompt="hello", echo=True, logprobs=0, max_tokens=2)])
        self.rafter("batch", model, "--in", str(self.requests), "--out", str(self.results))
        choice = self.read()["a"]["response"]["body"]["choices"][0]
        self.assertTrue(choice["text"].startswith("hello"), choice["text"])
        self.assertEqual(choice["logprobs"]["text_offset"][:2], [0, 0])
        self.assertEqual(choice["text"][: len(choice["logprobs"]["tokens"][1])], choice["logprobs"]["tokens"][1])


class BadLines(BatchCase):
    def test_what_cannot_be_served_is_said_line_by_line_and_the_rest_answered(self):
        hello = [{"role": "user", "content": "hello"}]
        post = {"method": "POST", "url": TEXT}
        cases = [
            ("method: expected POST, found no such key", {"url": TEXT, "body": {"prompt": "x"}}),
            ('method: expected POST, found "GET"', {"method": "GET", "url": TEXT, "body": {"prompt": "x"}}),
            ("method: expected a text, found 7", {"method": 7, "url": TEXT, "body": {"prompt": "x"}}),
            ('found "/v1/embeddings"', {"method": "POST", "url": "/v1/embeddings", "body": {"input": "x"}}),
            ("url: expected", {"method": "POST", "body": {"prompt": "x"}}),
            ("body: expected an object, found no such key", post),
            ("body: expected an object, found [1]", {**post, "body": [1]}),
        ]
        cases += [(words, line("", **body)) for words, body in [
            ("prompt: expected a text or token ids, found no such key", {}),
            ("prompt: expected a text or token ids, found 5", {"prompt": 5}),
            ("prompt: expected a text or token ids, found {}", {"prompt": {}}),
            ("prompt: expected at least one prompt", {"prompt": []}),
            ("prompt[1]: expected a text or token ids, found null", {"prompt": ["x", None]}),
            ("prompt[1]: expected at least one token", {"prompt": ["x", []]}),
            ("prompt: expected token ids from 0 to", {"prompt": [1, -1]}),
            ("prompt: expected token ids from 0 to", {"prompt": [1, 10**30]}),
            ("prompt: expected token ids from 0 to", {"prompt": [1, 1.5]}),
            ("prompt: expected token ids from 0 to", {"prompt": [1, "x"]}),
            ("the prompt is too long: expected at most 511 tokens in a context of 512", {"prompt": "xy" * 5000}),
            ("max_tokens: expected a whole number from 1 to 4294967295, found -1", {"prompt": "x", "max_tokens": -1}),
            ("max_tokens: expected", {"prompt": "x", "max_tokens": 0}),
            ("min_tokens: expected a whole number", {"prompt": "x", "min_tokens": -1}),
            ("min_tokens: expected at most the 12 of max_tokens, found 13", {"prompt": "x", "min_tokens": 13}),
            ("max_tokens: expected", {"prompt": "x", "max_tokens": 10**30}),
            ("max_tokens: expected", {"prompt": "x", "max_tokens": 1.5}),
            ("max_tokens: expected", {"prompt": "x", "max_tokens": "5"}),
            ("max_tokens: expected", {"prompt": "x", "max_tokens": True}),
            ("temperature: expected a number from 0", {"prompt": "x", "temperature": -1}),
            ("temperature: expected", {"prompt": "x", "temperature": 1e300}),
            ("temperature: expected", {"prompt": "x", "temperature": "hot"}),
            ("top_p: expected a number from 0 to 1, found 1.5", {"prompt": "x", "top_p": 1.5}),
            ("min_p: expected a number from 0 to 1, found -0.5", {"prompt": "x", "min_p": -0.5}),
            ("top_k: expected a whole number", {"prompt": "x", "top_k": -2}),
            ("top_k: expected a whole number", {"prompt": "x", "top_k": 1.5}),
            ("repetition_penalty: expected", {"prompt": "x", "repetition_penalty": 0}),
            ("presence_penalty: expected", {"prompt": "x", "presence_penalty": [1]}),
            ("frequency_penalty: expected", {"prompt": "x", "frequency_penalty": 1e9}),
            ("seed: expected a whole number of at most 64 bits", {"prompt": "x", "seed": 1.5}),
            ("seed: expected a whole number of at most 64 bits", {"prompt": "x", "seed": 2**64}),
            ("seed: expected a whole number of at most 64 bits", {"prompt": "x", "seed": "1"}),
            ("stop: expected a text or a list", {"prompt": "x", "stop": 5}),
            ("stop: expected texts that are not empty", {"prompt": "x", "stop": ["a", ""]}),
            ("stop: expected texts that are not empty", {"prompt": "x", "stop": [None]}),
            ("stop: expected at most 64 texts, found 65", {"prompt": "x", "stop": ["a"] * 65}),
            ("logit_bias: expected an object", {"prompt": "x", "logit_bias": [1]}),
            ("logit_bias: expected token ids from 0 to", {"prompt": "x", "logit_bias": {"100000": 1}}),
            ("logit_bias: expected token ids from 0 to", {"prompt": "x", "logit_bias": {"-1": 1}}),
            ("logit_bias: expected token ids from 0 to", {"prompt": "x", "logit_bias": {"5x": 1}}),
            ("logit_bias: 5: expected a number", {"prompt": "x", "logit_bias": {"5": "much"}}),
            ("logprobs: expected a whole number from 0 to 20", {"prompt": "x", "logprobs": 21}),
            ("logprobs: expected a whole number", {"prompt": "x", "logprobs": True}),
            ("n: expected a whole number from 1 to 128, found 0", {"prompt": "x", "n": 0}),
            ("n: expected a whole number from 1 to 128, found 129", {"prompt": "x", "n": 129}),
            ("expected at most 2048 choices", {"prompt": ["x"] * 100, "n": 100}),
            ("model: expected a text, found 5", {"prompt": "x", "model": 5}),
            ("stream: expected false", {"prompt": "x", "stream": True}),
            ("best_of: expected 1", {"prompt": "x", "best_of": 2}),
            ("echo: expected true or false", {"prompt": "x", "echo": "yes"}),
            ("max_tokens: expected a whole number from 1", {"prompt": "x", "echo": False, "max_tokens": 0}),
            ("suffix: expected no such key", {"prompt": "x", "suffix": "y"}),
        ]]
        cases += [(words, line("", CHAT, **body)) for words, body in [
            ("messages: expected a list of at least one message, found no such key", {}),
            ("messages: expected a list of at least one message, found []", {"messages": []}),
            ("messages: expected a list of at least one message", {"messages": "hello"}),
            ('messages[0]: expected an object, found "hello"', {"messages": ["hello"]}),
            ("messages[0]: role: expected system, developer, user, assistant or tool", {"messages": [{"content": "x"}]}),
            ('tool_call_id: expected the id of a call', {"messages": [*hello, {"role": "tool", "content": "x"}]}),
            ("messages[1]: content: expected a text", {"messages": [*hello, {"role": "user"}]}),
            ("messages[0]: content: expected a text", {"messages": [{"role": "user", "content": 5}]}),
            ('content[0]: type: expected "text"', {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            ("content[0]: text: expected a text", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            ("tool_calls[0]: function: expected an object", {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]}),
            ("echo: expected no such key", {"messages": hello, "echo": True}),
            ("tools[0]: function: expected an object", {"messages": hello, "tools": [{"type": "function"}]}),
            ("tool_choice: expected", {"messages": hello, "tool_choice": "required"}),
            ('response_format: type: expected "text"', {"messages": hello, "response_format": {"type": "yaml"}}),
            ("response_format: expected an object", {"messages": hello, "response_format": "json"}),
            ("modalities: expected", {"messages": hello, "modalities": ["text", "audio"]}),
            ("max_completion_tokens: expected", {"messages": hello, "max_completion_tokens": 5}),
            ("top_logprobs: expected logprobs to be true", {"messages": hello, "top_logprobs": 5}),
            ("logprobs: expected true or false", {"messages": hello, "logprobs": 5}),
            ("chat_template_kwargs: expected an object", {"messages": hello, "chat_template_kwargs": 5}),
            ('expected names of variables that the template does not have already, found "messages"', {"messages": hello, "chat_template_kwargs": {"messages": None}}),
        ]]
        lines = []
        for i, (_, wrong) in enumerate(cases):
            lines += [{**wrong, "custom_id": f"wrong {i}"}, line(f"right {i}", prompt="hello", max_tokens=2)]
        results = self.batch(lines)
        self.assertEqual(len(results), 2 * len(cases))
        for i, (words, wrong) in enumerate(cases):
            with self.subTest(wrong=wrong):
                response = results[f"wrong {i}"]["response"]
                self.assertEqual(response["status_code"], 400)
                error = response["body"]["error"]
                self.assertEqual(list(error), ["message", "type", "param", "code"])
                self.assertEqual(error["type"], "invalid_request_error")
                self.assertIn(words, error["message"])
                self.assertLess(len(error["message"]), 300)
                self.assertEqual(results[f"right {i}"]["response"]["status_code"], 200)

    def test_features_that_say_nothing_are_no_error(self):
        self.bodies([chat("a", tools=[], tool_choice="none", response_format={"type": "text"}, stop=None, logit_bias=None, n=None, stream=False,
                          modalities=["text"], seed=None, metadata={"k": "v"}, chat_template_kwargs={"x": None}, reasoning_effort="low"),
                     line("b", prompt="x", echo=False, suffix=None, best_of=1, min_tokens=0, tools=None)])

    def test_any_characters_in_texts_and_ids(self):
        ids = ["caf\u00e9 \u65e5\u672c", "nul \0 inside", 'quotes " \\ \n', "x" * 10000, "\U0001F600"]
        lines = [chat(name, name) for name in ids] + [line("p" + name, prompt="p" + name) for name in ids[:3]]
        results = self.batch(lines)
        self.assertEqual(set(results), set(ids) | {"p" + name for name in ids[:3]})
        too_long = [name for name, result in results.items() if result["response"]["status_code"] == 400]
        self.assertEqual(too_long, [ids[3]])

    def test_blank_lines_line_ends_and_byte_order_marks(self):
        self.write([b"\xef\xbb\xbf" + json.dumps(line("a", prompt="x")).encode() + b"\r\n", b"\n", b"  \t\r\n", line("b", prompt="x"), b"\n\n",
                    json.dumps(line("c", prompt="x")).encode()])
        self.rafter(*self.command())
        self.assertEqual(set(self.read()), {"a", "b", "c"})

    def test_nothing_to_do(self):
        for data in (b"", b"\n\n"):
            self.write([data])
            self.assertIn("0 requests answered", self.rafter(*self.command()).stderr.decode())
            self.assertEqual(self.read(), {})

    def test_lines_that_have_no_name_are_said_before_any_work(self):
        good = json.dumps(line("good", prompt="x")).encode() + b"\n"
        for words, bad in [
            ("line 2: custom_id: expected a text, found no such key", b'{"method": "POST"}'),
            ("line 2: custom_id: expected a text, found no such key", b'{"custom_id": null}'),
            ("line 2: custom_id: expected a text, found 7", b'{"custom_id": 7}'),
            ('line 2: custom_id: expected a text that is not empty, found ""', b'{"custom_id": ""}'),
            ('line 2: custom_id "good" is already used on line 1', good.strip()),
            ("line 2: expected an object, found [1]", b"[1]"),
            ("line 2: expected JSON", b"hello"),
            ("line 2: expected JSON", b"\0\0\0"),
            ("line 2: expected JSON", b'{"custom_id": "\\ud800", "body": {}}'),
            ("line 2: expected JSON", b'{"custom_id": "caf\xc3", "body": {}}'),
            ("line 2: expected JSON", b'{"custom_id": "", "body": \xff}'),
            ("line 2: expected JSON", b'{"body": {"custom_id": "a"}, "x": "\xff"}'),
            ("line 2: expected JSON", b'{"body": NaN, "custom_id": "a"}'),
            ("line 2: expected JSON", b'[{"custom_id": "a"}'),
            ("line 2: expected JSON", b'["custom_id", "a"'),
        ]:
            with self.subTest(bad=bad[:80]):
                self.write([good, bad + b"\n"])
                self.expect_error(words, *self.command())
                self.assertFalse(self.results.exists())
        self.write([b"x\n", good, b"y\n", good])
        self.expect_error("line 1: expected JSON", *self.command())
        self.assertIn("(the first of 2 such lines); 1 line has another fault\n", self.expect_error("line 1", *self.command()))
        self.write([b"x\n", good, good, b"[]\n"])
        self.assertIn("; 2 lines have other faults\n", self.expect_error("line 1", *self.command()))

    def test_a_line_that_is_no_json_is_one_400_where_its_custom_id_can_be_read(self):
        cases = [
            b'{"custom_id": "a"} {}',
            b'{"custom_id": "a", "body": {"prompt": "\xff\xfe"}}',
            b'{"custom_id": "a", "body": {"prompt": "caf\xc3"}}',
            b'{"custom_id": "a", "body": {"prompt": "\\ud800"}}',
            b'{"body": {"prompt": "\\ud83d"}, "custom_id": "a"}',
            b'{"body": {"prompt": "\\ude00\\ud83d\\n"}, "custom_id": "a"}',
            b'{"body": {"prompt": "\\\\\xf0\x9f"}, "custom_id": "a"}',
            b'{"custom_id": "a", "body": {"prompt": "a\0b"}}',
            b'{"custom_id": "a", "body": {"temperature": NaN}}',
            b'{"custom_id": "a", "body": {"temperature": 1e999}}',
            b'{"custom_id": "a", "body": {',
            b'{"custom_id": "a", "body": ' + b"[" * 100000 + b"]" * 100000 + b"}",
        ]
        for bad in cases:
            with self.subTest(bad=bad[:80]):
                results = self.batch([line("before", prompt="x"), bad + b"\n", line("after", prompt="x")])
                self.assertEqual({name: result["response"]["status_code"] for name, result in results.items()},
                                 {"before": 200, "a": 400, "after": 200})
                self.assertIn("expected JSON", results["a"]["response"]["body"]["error"]["message"])
                data = self.results.read_bytes()
                self.rafter(*self.command())
                self.assertEqual(self.results.read_bytes(), data)

    def test_a_pair_of_surrogates_is_a_character(self):
        start = b'{"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"max_tokens": 4, "prompt": "'
        escaped, plain = (self.batch([start + prompt + b'"}}\n'])["a"]["response"]["body"] for prompt in (b"\\ud83d\\ude00", "\U0001F600".encode()))
        self.assertEqual((escaped["choices"], escaped["usage"]["prompt_tokens"]), (plain["choices"], plain["usage"]["prompt_tokens"]))


class Files(BatchCase):
    def setUp(self):
        super().setUp()
        self.write([line(f"r{i}", prompt=f"text {i}") for i in range(5)])

    def test_in_and_out_may_not_be_one_file(self):
        before = self.requests.read_bytes()
        link, hard = self.folder / "link.jsonl", self.folder / "hard.jsonl"
        link.symlink_to(self.requests)
        hard.hardlink_to(self.requests)
        for path in (self.requests, link, hard, self.folder / "." / "prompts.jsonl"):
            done = self.rafter("batch", self.model, "--in", str(self.requests), "--out", str(path), status=2)
            self.assertIn("--out: expected another file than --in", done.stderr.decode())
        self.assertEqual(self.requests.read_bytes(), before)
        link.unlink()
        hard.unlink()

    def test_files_that_are_not_there(self):
        self.expect_error("nowhere.jsonl: cannot be read", "batch", self.model, "--in", str(self.folder / "nowhere.jsonl"), "--out", str(self.results))
        self.expect_error("cannot be read", "batch", self.model, "--in", str(self.folder), "--out", str(self.results))
        for out in (self.folder, self.folder / "nowhere" / "out.jsonl"):
            self.expect_error("cannot write", "batch", self.model, "--in", str(self.requests), "--out", str(out))
        self.expect_error("no such file or folder", "batch", "nowhere/model.gguf", "--in", str(self.requests), "--out", str(self.results))

    def test_only_results_are_gone_on_from(self):
        for words, data in [
            ("line 1: expected JSON", b"my notes\n"),
            ("line 2: custom_id: expected a text", b'{"custom_id": "r0"}\n{"a": 1}\n'),
            ("a last line without an end", b"my notes"),
            ("a last line without an end", b'{"custom_id": "r0"}\n{"a": 1'),
        ]:
            self.results.write_bytes(data)
            self.expect_error(words, *self.command())
            self.assertEqual(self.results.read_bytes(), data)

    def test_two_runs_do_not_write_into_one_file(self):
        with open(self.results, "wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.expect_error("another process is writing to this file", *self.command())
        self.rafter(*self.command())
        self.assertEqual(len(self.read()), 5)

    def test_results_may_go_into_a_pipe_and_requests_come_from_one(self):
        done = self.rafter("batch", self.model, "--in", "/dev/stdin", "--out", "/dev/stdout", stdin=None, input=self.requests.read_bytes())
        self.assertEqual({json.loads(text)["custom_id"] for text in done.stdout.splitlines()}, {f"r{i}" for i in range(5)})

    def test_a_full_disk(self):
        self.expect_error("/dev/full: cannot write: No space left on device", "batch", self.model, "--in", str(self.requests), "--out", "/dev/full")

    def test_a_disk_that_fills_up_leaves_whole_lines_and_the_run_goes_on_later(self):
        whole = {name: without_identity(result) for name, result in self.batch([line(f"r{i}", prompt=f"text {i}") for i in range(5)]).items()}
        size = self.results.stat().st_size
        self.results.unlink()
        limits = []
        for limit in (0, 1, size // 3, size // 2, size - 1):
            # Python ignores SIGXFSZ, and its children do when the signals are not restored: then a write stops short and the next one fails.
            done = self.rafter(*self.command("--batch", "2"), status=1, restore_signals=False,
                               preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            self.assertIn("cannot write: File too large; run the same command again to continue", done.stderr.decode())
            limits.append(len(self.read()))
        self.assertEqual(limits, sorted(limits))
        self.assertGreater(limits[3], limits[0])
        self.rafter(*self.command())
        self.assertEqual({name: without_identity(result) for name, result in self.read().items()}, whole)


class OtherResults(BatchCase):
    """--out has results that do not answer these requests with this model."""

    def setUp(self):
        super().setUp()
        self.replaced = self.folder / "results.jsonl.replaced"
        self.replaced.unlink(missing_ok=True)
        self.first = [line(f"q{i}", prompt=f"count {i}") for i in range(6)]
        self.batch(self.first)
        self.data = self.results.read_bytes()

    def expect_fresh(self, lines, *arguments, model=None):
        """The same command again leaves what a run with a new results' file gives."""
        self.write(lines)
        message = self.rafter("batch", model or self.model, "--in", str(self.requests), "--out", str(self.results), *arguments).stderr.decode()
        resumed = {name: without_identity(result) for name, result in self.read().items()}
        self.results.rename(self.folder / "resumed.jsonl")
        self.rafter("batch", model or self.model, "--in", str(self.requests), "--out", str(self.results), *arguments)
        self.assertEqual(resumed, {name: without_identity(result) for name, result in self.read().items()})
        return message

    def test_changed_requests_are_asked_again(self):
        changed = [line("q0", prompt="name a colour"), *self.first[1:5], line("q5", prompt="count 5", max_tokens=3)]
        message = self.expect_fresh(changed)
        self.assertIn("found 2 results of a request that has changed since; moved to", message)
        self.assertIn("2 requests answered, 4 by an earlier run", message)
        self.assertEqual({json.loads(text)["custom_id"] for text in self.replaced.read_text().splitlines()}, {"q0", "q5"})
        self.assertTrue(all(text in self.data.splitlines() for text in self.replaced.read_bytes().splitlines()))

    def test_results_of_another_model_are_asked_again(self):
        other = program.make_tiny_model(self.folder / "other.gguf", "qwen3")
        message = self.expect_fresh(self.first, model=other)
        self.assertIn("found 6 results of another model; moved to", message)
        self.assertEqual(self.replaced.read_bytes(), self.data)
        # The same file under another name is the same model.
        copy = self.folder / "copy.gguf"
        copy.write_bytes(Path(other).read_bytes())
        before = self.results.read_bytes()
        self.rafter("batch", str(copy), "--in", str(self.requests), "--out", str(self.results))
        self.assertEqual(self.results.read_bytes(), before)
        # One weight makes another model.
        data = bytearray(copy.read_bytes())
        data[-5] ^= 1
        copy.write_bytes(data)
        self.assertIn("6 results of another model", self.rafter("batch", str(copy), "--in", str(self.requests), "--out", str(self.results)).stderr.decode())

    def test_strict_refuses_and_changes_nothing(self):
        self.write([line("q0", prompt="name a colour"), *self.first[1:]])
        self.expect_error("found 1 result of a request that has changed since; name another --out", *self.command("--resume", "strict"))
        self.assertEqual(self.results.read_bytes(), self.data)
        self.assertFalse(self.replaced.exists())
        self.write(self.first)
        self.rafter(*self.command("--resume", "strict"))
        self.assertEqual(self.results.read_bytes(), self.data)
        self.expect_error("--resume: expected one of again, strict", *self.command("--resume", "no"), status=2)

    def test_white_space_order_and_settings_that_decide_nothing_are_no_change(self):
        self.write([json.dumps(dict(reversed(one.items())), indent=None, separators=(" , ", " : ")).encode() + b"\n" for one in self.first])
        self.rafter(*self.command("--threads", "1", "--context", "100", "-n", "77"))
        self.assertEqual(self.results.read_bytes(), self.data)

    def test_settings_that_decide_an_answer_are_a_change(self):
        lines = [line("long", prompt="hello", max_tokens=400), line("open", prompt="hello", max_tokens=None), line("both", prompt="hello")]
        self.batch(lines, "--context", "50", "-n", "5")
        self.assertIn("1 request answered, 2 by", self.rafter(*self.command("--context", "50", "-n", "6")).stderr.decode())
        self.assertIn("1 request answered, 2 by", self.rafter(*self.command("--context", "60", "-n", "6")).stderr.decode())
        template = self.folder / "t.jinja"
        template.write_text("{{ messages[0].content }}")
        self.batch([chat("a")])
        self.assertIn("1 request answered ·", self.rafter(*self.command("--chat-template", str(template))).stderr.decode())

    def test_results_of_other_lines_stay(self):
        self.write([line("q0", prompt="name a colour")])
        self.rafter(*self.command())
        self.assertEqual(set(self.read()), {f"q{i}" for i in range(6)})

    def test_a_link_stays_a_link_and_a_full_disk_changes_nothing(self):
        link = self.folder / "link.jsonl"
        link.symlink_to(self.results)
        self.write([line("q0", prompt="name a colour")])
        self.rafter("batch", self.model, "--in", str(self.requests), "--out", str(link))
        self.assertTrue(link.is_symlink())
        self.assertEqual(set(self.read()), {f"q{i}" for i in range(6)})
        link.unlink()
        self.results.write_bytes(self.data)
        self.rafter(*self.command(), status=1, restore_signals=False,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
        self.assertEqual(self.results.read_bytes(), self.data)
        self.assertFalse((self.folder / "results.jsonl.new").exists())


class Resume(BatchCase):
    N = 40

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lines = [line(f"r{i}", prompt=f"text {i * i}", max_tokens=30 + 37 * i % 90, temperature=i % 2, logprobs=i % 2 or None) for i in range(cls.N)]
        cls.lines[7]["body"]["prompt"] = 7
        cls.lines[11]["body"]["n"] = 3
        cls.lines[20] = chat("r20", "hello", max_tokens=60)
        cls.data = None

    def setUp(self):
        super().setUp()
        if self.data is None:
            type(self).whole = {name: without_identity(result) for name, result in self.batch(self.lines, "--batch", "4").items()}
            self.assertEqual(len(self.whole), self.N)
            type(self).data = self.results.read_bytes()
        self.write(self.lines)
        self.results.write_bytes(self.data)

    def expect_whole_after_resuming(self):
        """What is there stays as it is to the byte, and the rest comes as if nothing had happened."""
        before = self.results.read_bytes()
        kept = before[: before.rfind(b"\n") + 1]
        self.rafter(*self.command("--batch", "4"))
        self.assertTrue(self.results.read_bytes().startswith(kept))
        self.assertEqual({name: without_identity(result) for name, result in self.read().items()}, self.whole)

    def start(self, *arguments):
        return subprocess.Popen([program.BINARY, *self.command("--batch", "4", *arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment)

    def stop_at(self, n_bytes, number):
        """Starts a run anew, and ends it with a signal once so much is written. Its status and whether it came before the end."""
        self.results.unlink(missing_ok=True)
        process = self.start("--threads", "1")
        while process.poll() is None and not (self.results.exists() and self.results.stat().st_size >= n_bytes):
            pass
        process.send_signal(number)
        _, message = process.communicate(timeout=60)
        return process.returncode, message.decode()

    def test_after_a_kill_at_any_moment(self):
        n_killed = 0
        for part in range(8):
            status, _ = self.stop_at(len(self.data) * part // 8, signal.SIGKILL)
            n_killed += status == -signal.SIGKILL
            self.expect_whole_after_resuming()
        self.assertGreater(n_killed, 4)

    def test_after_kill_upon_kill(self):
        self.results.unlink()
        sizes = []
        for _ in range(200):
            process = self.start()
            before = self.results.stat().st_size if self.results.exists() else 0
            while process.poll() is None and not (self.results.exists() and self.results.stat().st_size > before):
                pass
            process.kill()
            process.communicate(timeout=60)
            sizes.append(self.results.stat().st_size)
            if process.returncode == 0:
                break
        self.assertEqual(sizes, sorted(sizes))
        self.expect_whole_after_resuming()

    def test_after_ctrl_c(self):
        status, message = self.stop_at(len(self.data) // 3, signal.SIGINT)
        self.assertEqual(status, 130, message)
        self.assertRegex(message, r"requests answered.*, \d+ left · ")
        self.assertGreater(len(self.read()), 0)
        self.expect_whole_after_resuming()

    def test_a_torn_last_line_is_cut_off(self):
        ends = [i + 1 for i, byte in enumerate(self.data) if byte == ord("\n")]
        for size in {0, 1, 5, 12, ends[0] - 1, ends[0], ends[0] + 1, ends[3] + 17, ends[20] + 40, ends[20] + 300, ends[-1] - 1}:
            self.results.write_bytes(self.data[:size])
            self.expect_whole_after_resuming()

    def test_a_torn_last_line_with_zeros_for_what_the_disk_did_not_get(self):
        end = self.data.index(b"\n") + 1
        for tail in (b"\0" * 4096, self.data[end : end + 30] + b"\0" * 100):
            self.results.write_bytes(self.data[:end] + tail)
            self.rafter(*self.command())
            self.assertEqual({name: without_identity(result) for name, result in self.read().items()}, self.whole)

    def test_a_finished_run_does_nothing_more(self):
        self.rafter(*self.command())
        self.assertEqual(self.results.read_bytes(), self.data)

    def test_lines_added_to_the_requests_are_answered_too(self):
        self.write([*self.lines, line("new", prompt="x")])
        self.rafter(*self.command())
        self.assertEqual(set(self.read()), set(self.whole) | {"new"})


if __name__ == "__main__":
    program.main()
