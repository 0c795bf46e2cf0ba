"""What brought other servers down or got past them, tried on this one: each gets the right status in OpenAI's form of an error, and others
go on unharmed."""
import json
import socket
import threading
import time

import serving

OK = {"prompt": "a few words", "max_tokens": 4, "temperature": 0}
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "temperature": 0}
MESSAGE = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, "temperature": 0}
NESTED = 100_000


class Attacks(serving.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = cls.server.post("/v1/completions", **OK)[2]["choices"][0]["text"]

    def tearDown(self):
        """Whatever was tried, the next request has its answer."""
        status, _, body = self.server.post("/v1/completions", **OK)
        self.assertEqual((status, body["choices"][0]["text"]), (200, self.text))

    def refused(self, path, body, status=400, param=None):
        found, _, answer = self.server.ask("POST", path, body)
        self.assertEqual(found, status, (str(body)[:200], answer))
        if path.startswith("/v1/messages"):
            self.assertEqual((set(answer), answer["type"], set(answer["error"])),
                             ({"type", "error", "request_id"}, "error", {"type", "message"}))
            if param is not None:
                self.assertTrue(answer["error"]["message"].startswith(f"body: {param}"), answer)
            return answer["error"]["message"]
        self.assertEqual(set(answer["error"]), {"message", "type", "param", "code"})
        if param is not None:
            self.assertEqual(answer["error"]["param"], param, answer)
        return answer["error"]["message"]

    def refused_by_ollama(self, path, body, status=400):
        found, _, answer = self.server.ask("POST", path, body)
        self.assertEqual(found, status, (path, str(body)[:200], answer))
        self.assertEqual(set(answer), {"error"})
        self.assertIsInstance(answer["error"], str)
        return answer["error"]

    def raw(self, data, end=True):
        """What the server says to these bytes, until it closes or is silent."""
        with socket.create_connection((self.server.host, self.server.port), timeout=serving.PATIENCE) as connection:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while piece := connection.recv(65536):
                    answer += piece
            except ConnectionResetError:
                pass
            return answer

    def status_of(self, data):
        answer = self.raw(data)
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None

    def test_numbers_out_of_every_range(self):
        for key in ("max_tokens", "n", "top_k", "min_tokens", "top_p", "temperature", "min_p", "typical_p", "presence_penalty",
                    "frequency_penalty", "repetition_penalty", "logprobs", "priority", "max_ttft_seconds"):
            for value in (-2**63 - 1, -2**31 - 1, 2**64, 1e300, -1e300, True, "1", [1], {"a": 1}):
                self.refused("/v1/completions", {**OK, key: value}, param=key)
            for text in ("1e400", "-1e400", "NaN", "Infinity", "0x10", "01", "1.", "--1"):
                body = json.dumps({**OK, key: "X"}).replace('"X"', text).encode()
                self.refused("/v1/completions", body)
        for value in (-1, 0, 129, 1.5):
            self.refused("/v1/chat/completions", {**CHAT, "n": value}, param="n")

    def test_messages_of_anthropics_form_without_sense(self):
        for key in ("max_tokens", "top_k", "min_tokens", "top_p", "temperature", "priority"):
            for value in (-2**63 - 1, -2**31 - 1, 2**64, 1e300, -1e300, True, "1", [1], {"a": 1}):
                self.refused("/v1/messages", {**MESSAGE, key: value}, param=key)
        tool = {"name": "f", "input_schema": {"type": "object"}}
        deep = {"type": "object"}
        for _ in range(50):
            deep = {"type": "object", "properties": {"a": deep}}
        call = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
        wide = {f"k{i}": i for i in range(2000)}
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            for body in (b"", b"null", b"[]", b"{", b'{"messages": ' + b"[" * NESTED, b'{"messages": [{"role": "user", "content": "\xff"}]}',
                         b'{"messages": [' + b"0," * 3_000_000 + b"0]}"):
                self.refused(path, body)
            for messages in ([], {}, "x", [1], [[]], [{"role": "user"}], [{"role": "tool", "content": "x"}], [{"role": 1, "content": "x"}],
                             [{"role": "user", "content": 1}], [{"role": "user", "content": [1]}], [{"role": "user", "content": [{}]}],
                             [{"role": "user", "content": [{"type": ["text"], "text": "x"}]}], [{"role": "user", "content": [call]}],
                             [{"role": "user", "content": [{"type": "text", "text": {"text": "x"}}]}], [{"role": "assistant", "content": "x"}],
                             [{"role": "assistant", "content": [{**call, "input": wide}]}, *MESSAGE["messages"]],
                             [{"role": "assistant", "content": [call] * 600}, *MESSAGE["messages"]],
                             [{"role": "assistant", "content": [{**call, "name": "a\0b"}]}, *MESSAGE["messages"]],
                             [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}]}],
                             [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image"}]}]}]):
                self.refused(path, {**MESSAGE, "messages": messages}, param="messages")
            for tools in ([{**tool, "type": "bash_20250124"}], [tool, tool], [{**tool, "name": f"f{i}"} for i in range(600)], {"a": 1}, "x", [1],
                          [{**tool, "name": "a b"}], [{"name": "f", "input_schema": []}], [{"name": "f", "input_schema": {"type": "string"}}]):
                self.refused(path, {**MESSAGE, "tools": tools}, param="tools")
            for choice in ("any", {"type": "any"}, {"type": "tool", "name": "g"}, {"type": 1}, 1, [1]):
                self.refused(path, {**MESSAGE, "tools": [] if choice == {"type": "any"} else [tool], "tool_choice": choice}, param="tool_choice")
            for thinking in ("on", {}, {"type": "enabled"}, {"type": "enabled", "budget_tokens": -1}, {"type": "enabled", "budget_tokens": 2**40}):
                self.refused(path, {**MESSAGE, "thinking": thinking}, param="thinking")
            for system in (1, [1], [{"type": "image"}], {"type": "text", "text": "x"}):
                self.refused(path, {**MESSAGE, "system": system}, param="system")
            self.refused(path, {**MESSAGE, "model": "../../etc/passwd"}, status=404)
            self.refused(path, {**MESSAGE, "chat_template_kwargs": {"messages": []}}, param="chat_template_kwargs")
        self.refused("/v1/messages", {**MESSAGE, "tools": [{"name": "f", "input_schema": deep}]})
        self.refused("/v1/messages", {**MESSAGE, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "not": {}}}}},
                     param="output_config")
        self.refused("/v1/messages", {**MESSAGE, "stop_sequences": ["x" * 10_000]}, param="stop_sequences")
        for name in ("GET", "PUT", "DELETE"):
            status, _, answer = self.server.ask(name, "/v1/messages")
            self.assertEqual((status, answer["type"], answer["error"]["type"]), (405, "error", "invalid_request_error"))
        for head, status, kind in ((b"Content-Length: 99999999999\r\n\r\n", 413, b"request_too_large"),
                                   (b"Content-Length: x\r\n\r\n", 400, b"invalid_request_error"),
                                   (b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400, b"invalid_request_error")):
            answer = self.raw(b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: localhost\r\n" + head)
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer)
            self.assertIn(b'{"type":"error","error":{"type":"' + kind + b'","message":"', answer)

    def test_tokens_that_are_none(self):
        for prompt in ([-1], [2**31], [2**32 + 1], [2**63], [1.5], [None], ["a", 1], [[1], ["a"]], [], [[]], [True]):
            self.refused("/v1/completions", {**OK, "prompt": prompt})
        for key in ("-1", "99999999999999999999", "1.0", "a", " 1", "+1", ""):
            self.refused("/v1/completions", {**OK, "logit_bias": {key: 1}})
        self.refused("/detokenize", {"tokens": [-1]})
        self.refused("/detokenize", {"tokens": [2**40]})

    def test_nul_and_invalid_utf8_everywhere(self):
        for body in (b'{"prompt": "\xff\xfe"}', b'{"prompt": "\xed\xa0\x80"}', b'{"prompt": "\\ud800"}', b"\x00", b'{"prompt": "a\x00b"}',
                     b'\xef\xbb\xbf', b'{"\xff": 1}', b'{"prompt": "a", "stop": "\xc0\x80"}'):
            self.refused("/v1/completions", body)
        for text in ("\u0000", "a\u0000b", "\ufffe", "\U0010ffff", "‮"):
            status, _, body = self.server.post("/v1/completions", **{**OK, "prompt": text, "stop": ["\u0000"]})
            self.assertEqual(status, 200, body)
        self.assertEqual(self.server.post("/v1/completions", **OK, model="tiny\u0000.gguf")[0], 404)

    def test_model_names_are_names(self):
        for name in ("../../etc/passwd", "/etc/passwd", "tiny/../tiny", "file:///etc/passwd", "%2e%2e%2f", "TINY", "tiny\n", "x" * 100_000):
            self.refused("/v1/completions", {**OK, "model": name}, status=404)
        self.refused("/v1/completions", {**OK, "model": 7})

    def test_json_that_is_deep_wide_or_none(self):
        for deep in ("[" * NESTED, "[" * NESTED + "]" * NESTED, '{"a":' * NESTED + "1" + "}" * NESTED):
            self.refused("/v1/completions", deep.encode())
            self.refused("/v1/chat/completions", b'{"messages": ' + deep.encode())
        self.refused("/v1/chat/completions", {**CHAT, "chat_template_kwargs": json.loads("[" * 900 + "]" * 900)})
        for body in (b"", b"null", b"[]", b"1", b'"a"', b"{", b"{}{}", b"{'prompt': 'a'}", b'{"prompt": "a",}', b"prompt=a"):
            self.refused("/v1/completions", body)
        self.refused("/v1/completions", b'{"prompt": [' + b"0," * 3_000_000 + b"0]}")

    def test_templates_and_their_arguments_stay_outside(self):
        for body in ({"chat_template": "{{ messages.__class__ }}"}, {"chat_template_kwargs": {"messages": []}},
                     {"chat_template_kwargs": {"bos_token": "x"}}, {"chat_template_kwargs": {"raise_exception": "x"}},
                     {"chat_template_kwargs": "x"}):
            status, _, answer = self.server.post("/v1/chat/completions", **{**CHAT, **body})
            self.assertEqual(status, 400, (body, answer))

    def test_ollamas_routes_meet_the_same(self):
        ok = {"/api/chat": CHAT, "/api/generate": {"prompt": "a few words"}, "/api/embed": {"input": "a"}, "/api/embeddings": {"prompt": "a"}}
        deep = "[" * NESTED + "]" * NESTED
        for path, body in ok.items():
            for key in ("num_predict", "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_penalty", "repeat_last_n", "num_ctx",
                        "presence_penalty", "frequency_penalty"):
                for value in (-2**63 - 1, 2**64, 1e300, -1e300, True, "1", [1], {"a": 1}):
                    self.assertIn(key, self.refused_by_ollama(path, {**body, "options": {key: value}}))
            for options in (1, "x", [1], {"seed": 1.5}, {"stop": [""]}, {"stop": ["x"] * 65}, {"logit_bias": {"-1": 1}}):
                self.refused_by_ollama(path, {**body, "options": options})
            for broken in (deep.encode(), b"", b"[]", b"{", b'{"prompt": "\xff"}', b'{"a": ' + b"9" * 400 + b"}"):
                self.refused_by_ollama(path, broken)
            for name in ("../../etc/passwd", "tiny\0", "", "tiny:7b", "tiny:latest:latest", "x" * 100_000, "/"):
                if name:
                    self.refused_by_ollama(path, {**body, "model": name}, status=404)
            self.refused_by_ollama(path, {**body, "model": 7})
            for keep_alive in ([1], True, {}, "", "soon", "5x", "1" * 400, "\0", "5m\n"):
                self.assertIn("keep_alive", self.refused_by_ollama(path, {**body, "keep_alive": keep_alive}))
            self.refused_by_ollama(path, {**body, "priority": 101})
        for path, key, value in (("/api/generate", "suffix", "x"), ("/api/generate", "images", ["aGk="]), ("/api/generate", "template", "{{ x }}"),
                                 ("/api/generate", "context", [-1]), ("/api/generate", "context", [2**31]), ("/api/generate", "format", 1),
                                 ("/api/generate", "prompt", ["x"]), ("/api/generate", "stream", "no"), ("/api/chat", "messages", [1]),
                                 ("/api/chat", "messages", [{"role": "user", "content": ["x"]}]), ("/api/chat", "think", "long"),
                                 ("/api/chat", "messages", [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 1}}]}]),
                                 ("/api/chat", "messages", [{"role": "assistant", "tool_calls": "x"}]), ("/api/chat", "tools", [{"type": "x"}]),
                                 ("/api/chat", "format", {"type": "object", "not": {}}), ("/api/embed", "input", [[1]]),
                                 ("/api/embed", "input", ["a"] * 2049), ("/api/embed", "dimensions", 0), ("/api/embed", "truncate", 1)):
            self.assertIn(key, self.refused_by_ollama(path, {**ok[path], key: value}))
        self.refused_by_ollama("/api/chat", {"messages": [{"role": "user", "content": "word " * 2000}]})
        self.refused_by_ollama("/api/generate", {"prompt": "word " * 4_000_000})
        self.refused_by_ollama("/api/show", {"model": "other"}, status=404)
        self.refused_by_ollama("/api/show", {"verbose": 1})
        self.refused_by_ollama("/api/pull", {"model": "tiny"}, status=404)

    def test_tools_without_sense_are_refused_by_name(self):
        function = {"name": "f", "parameters": {"type": "object"}}
        tool = {"type": "function", "function": function}
        deep = {"type": "object"}
        for _ in range(50):
            deep = {"type": "object", "properties": {"a": deep}}
        wide = {"type": "object", "properties": {f"p{i}": {} for i in range(2000)}}
        for tools in ([{**tool, "type": "x"}], [{"type": "function"}], [tool, tool], [tool] * 600, {"a": 1}, "x", [1],
                      [{"type": "function", "function": {"name": "a b"}}], [{"type": "function", "function": {"name": "a" * 65}}],
                      [{"type": "function", "function": {"name": "f", "parameters": []}}],
                      [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}],
                      [{"type": "function", "function": {"name": "f", "parameters": deep}}],
                      [{"type": "function", "function": {"name": "f", "parameters": wide}}]):
            self.refused("/v1/chat/completions", {**CHAT, "tools": tools})
        for choice in ("always", {"type": "function"}, {"type": "function", "function": {"name": "g"}}, 1, []):
            self.assertIn("tool_choice", self.refused("/v1/chat/completions", {**CHAT, "tools": [tool], "tool_choice": choice}))
        for calls in ([{"id": "a", "function": {"name": "f", "arguments": "{"}}], [{"function": {"name": "f"}}], [{"id": "a"}], "x",
                      [{"id": "a", "function": {"name": "f", "arguments": "[" * 10**5}}]):
            messages = [*CHAT["messages"], {"role": "assistant", "content": None, "tool_calls": calls}]
            self.refused("/v1/chat/completions", {**CHAT, "messages": messages})

    def test_grammars_and_tools_are_refused_by_name(self):
        deep = {"type": "string"}
        for _ in range(70):
            deep = {"type": "array", "items": deep}
        for key, value in (("guided_regex", "(a+)+$)"), ("guided_regex", "((((a{100}){100}){100}){100}){100}"), ("guided_regex", "(" * 10**5),
                           ("guided_regex", "a\0b"), ("guided_json", {"type": "object", "not": {}}), ("guided_json", json.dumps(deep)),
                           ("guided_json", {"enum": [str(i) for i in range(10**5)] * 2}), ("guided_grammar", "root ::= missing"), ("grammar", "x"),
                           ("grammar", "root ::= " + "(" * 10**5), ("guided_choice", [f"{i}" for i in range(10**5)]), ("guided_choice", [""]),
                           ("tools", [{"type": "function", "function": {"name": "f"}}]),
                           ("structured_outputs", {"regex": "a" * 10**6}), ("best_of", 3), ("suffix", "x")):
            self.assertIn(key, self.refused("/v1/completions", {**OK, key: value}))
        self.refused("/v1/chat/completions", {**CHAT, "response_format": {"type": "json_schema", "json_schema": {}}})
        # A grammar that compiles is no reason to refuse, however often a matcher could go wrong on it.
        status, _, answer = self.server.ask("POST", "/v1/completions", {**OK, "guided_regex": "(a+)+b?"})
        self.assertEqual(status, 200, answer)
        self.assertRegex(answer["choices"][0]["text"], "^a+b?$")

    def test_bodies_and_headers_without_end(self):
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        self.assertEqual(self.status_of(head + b"Content-Length: 99999999999\r\n\r\n"), 413)
        self.assertEqual(self.status_of(head + b"X: " + b"a" * 200_000 + b"\r\n\r\n"), 431)
        self.assertEqual(self.status_of(head + b"X: a\r\n" * 50_000 + b"\r\n"), 431)
        self.assertIn(self.status_of(b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"), (414, 431))

    def test_requests_that_two_servers_would_read_differently(self):
        post = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        get = b"GET /health HTTP/1.1\r\n"
        for head in (post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                     post + b"Content-Length: -5\r\n\r\nhello", post + b"Content-Length: +5\r\n\r\nhello",
                     post + b"Content-Length: 0x5\r\n\r\nhello",
                     post + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
                     post + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
                     post + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
                     post + b"Transfer-Encoding: xchunked\r\n\r\nhello",
                     get + b"Host: localhost\r\nX: a\r\n folded\r\n\r\n", get + b"Host: localhost\r\nX: a\x00b\r\n\r\n",
                     get + b"Host: localhost\r\nX y: a\r\n\r\n", get + b"Host: localhost\r\nHost: evil\r\n\r\n", get + b"\r\n",
                     b"GET  /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 300):
            self.assertIn(self.status_of(head), (400, 411, 413, 414, 431, 501, 505), head[:120])

    def test_lines_that_end_in_a_line_feed_alone_are_no_lines(self):
        self.assertEqual(self.raw(b"GET /health HTTP/1.1\r\nHost: localhost\nX: a\n\n"), b"")

    def test_nothing_of_a_request_stands_in_headers_of_its_answer(self):
        for text in (b"x\r\nSet-Cookie: a=b", b"x%0d%0aSet-Cookie: a=b"):
            answer = self.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: " + text + b"\r\n\r\n")
            self.assertNotIn(b"set-cookie: a=b", answer.lower().split(b"\r\n\r\n")[0].replace(b"%0d%0aset-cookie", b""))
        status, headers, _ = self.server.post("/v1/completions", **OK, **{"é": 1, "a\nb": 2})
        self.assertEqual((status, headers["rafter-ignored-keys"]), (200, "2 more"))

    def test_prefixes_are_not_shared_across_salts(self):
        prompt = "some words that make several blocks of the cache " * 6

        def cached(salt):
            answer = self.server.post("/v1/completions", prompt=prompt, max_tokens=1, cache_salt=salt)[2]
            return answer["usage"]["prompt_tokens_details"]["cached_tokens"]

        self.assertEqual(cached("one"), 0)
        self.assertGreater(cached("one"), 0)
        self.assertEqual(cached("two"), 0)

    def test_many_slow_and_silent_clients_keep_nobody_waiting(self):
        connections = [socket.create_connection((self.server.host, self.server.port)) for _ in range(200)]
        try:
            for i, connection in enumerate(connections):
                connection.sendall((b"POST /v1/comp", b"GET /health HTTP/1.1\r\nHost: ", b"", b"\r\n")[i % 4])
            begin = time.monotonic()
            for _ in range(20):
                self.assertEqual(self.server.get("/health")[0], 200)
            self.assertLess(time.monotonic() - begin, serving.PATIENCE / 4)
        finally:
            for connection in connections:
                connection.close()

    def test_a_prompt_beyond_the_context_is_refused_and_a_huge_one_quickly(self):
        self.refused("/v1/completions", {**OK, "prompt": "word " * 2000})
        done = threading.Event()

        def huge():
            self.refused("/v1/completions", {**OK, "prompt": "word " * 4_000_000})
            done.set()

        thread = threading.Thread(target=huge)
        thread.start()
        while not done.is_set() and thread.is_alive():
            begin = time.monotonic()
            self.assertEqual(self.server.get("/health")[0], 200)
            self.assertLess(time.monotonic() - begin, serving.PATIENCE / 4)
            done.wait(0.05)
        thread.join()
        self.assertTrue(done.is_set())


serving.main()
