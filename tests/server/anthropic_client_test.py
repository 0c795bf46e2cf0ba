"""The official Anthropic client against `rafter serve`: messages, streams, a loop of tools, counted tokens, errors; and what /explain says of
system prompts that change."""
import json
import sys
import tempfile
from pathlib import Path

import serving

try:
    import anthropic
    from anthropic.types import Message, RawMessageStreamEvent
    from pydantic import TypeAdapter
except ImportError:
    print("skipped: the package anthropic is not installed")
    sys.exit(serving.program.SKIP)

KEY = "a-key-of-sixteen-letters"
HELLO = [{"role": "user", "content": "hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
          "required": ["city", "days"], "additionalProperties": False}
TOOLS = [{"name": "get_weather", "description": "The weather of a city", "input_schema": SCHEMA},
         {"name": "now", "input_schema": {"type": "object", "properties": {}, "additionalProperties": False}}]

# The tiny model's context is short, its tokens are bytes.
FOLDER = tempfile.TemporaryDirectory()
TEMPLATE = Path(FOLDER.name, "tools.jinja")
TEMPLATE.write_text("{# <tool_call> #}{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% for m in messages %}"
                    "{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}"
                    "{% endfor %}\n{% endfor %}")


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def total_input(usage):
    return usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens


class AnthropicClient(serving.Case):
    arguments = ("--chat-template", str(TEMPLATE))

    def setUp(self):
        self.client = anthropic.Anthropic(base_url=self.server.url, api_key="none", max_retries=0, timeout=serving.PATIENCE)

    def tearDown(self):
        self.client.close()

    def ask(self, messages=HELLO, seed=7, **options):
        options = {"max_tokens": 24, **options}
        return self.client.messages.create(model="tiny", messages=messages, extra_body={"seed": seed}, **options)

    def test_a_message_has_its_type_usage_and_reason(self):
        message = self.ask(system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
                           metadata={"user_id": "u"}, service_tier="auto")
        self.assertEqual((message.type, message.role, message.model), ("message", "assistant", "tiny"))
        self.assertTrue(message.id.startswith("msg_"))
        self.assertEqual(message.id, "msg_" + message._request_id)
        self.assertIn(message.stop_reason, ("end_turn", "max_tokens"))
        self.assertLessEqual(message.usage.output_tokens, 24)
        prompt = self.server.post("/tokenize", messages=[{"role": "system", "content": "Be brief."}, *HELLO])[2]
        self.assertEqual(total_input(message.usage), prompt["count"])
        self.assertGreater(message.model_extra["timings"]["prefill_seconds"], 0.0)
        status, headers, body = self.server.post("/v1/messages", model="tiny", max_tokens=3, messages=HELLO, timings=False)
        self.assertEqual(status, 200)
        self.assertEqual(headers["request-id"], headers["x-request-id"])
        TypeAdapter(Message).validate_json(json.dumps(body), strict=True)

    def test_what_the_cache_had_is_no_input(self):
        long = [{"role": "user", "content": "one and two and three and four and five and six and seven"}]
        first, second = self.ask(long, max_tokens=4).usage, self.ask(long, max_tokens=4).usage
        self.assertEqual(total_input(first), total_input(second))
        self.assertGreaterEqual(second.cache_read_input_tokens, 32)
        self.assertLess(second.input_tokens, total_input(second) - 31)
        self.assertEqual(second.cache_creation_input_tokens, 0)

    def test_a_stop_sequence_is_named(self):
        for seed in range(20):
            text = text_of(self.ask(seed=seed))
            letters = [c for c in text if c.isascii() and c.isprintable()]
            if letters:
                break
        stop = letters[-1]
        message = self.ask(seed=seed, stop_sequences=["no such text", stop])
        self.assertEqual((message.stop_reason, message.stop_sequence), ("stop_sequence", stop))
        self.assertEqual(text_of(message), text[:text.index(stop)])
        with self.client.messages.stream(model="tiny", messages=HELLO, max_tokens=24, stop_sequences=[stop], extra_body={"seed": seed}) as stream:
            streamed = stream.get_final_message()
        self.assertEqual((streamed.stop_reason, streamed.stop_sequence, text_of(streamed)), ("stop_sequence", stop, text_of(message)))

    def test_a_stream_is_the_whole_message_in_pieces(self):
        whole = self.ask()
        with self.client.messages.stream(model="tiny", messages=HELLO, max_tokens=24, extra_body={"seed": 7}) as stream:
            text = "".join(stream.text_stream)
            message = stream.get_final_message()
        self.assertEqual(text, text_of(whole))
        self.assertEqual([block.to_dict() for block in message.content], [block.to_dict() for block in whole.content])
        self.assertEqual(message.stop_reason, whole.stop_reason)
        self.assertEqual(message.usage.output_tokens, whole.usage.output_tokens)
        self.assertEqual(total_input(message.usage), total_input(whole.usage))

    def test_events_come_in_their_order_with_their_names(self):
        connection = self.server.connect()
        body = {"model": "tiny", "max_tokens": 24, "messages": HELLO, "seed": 7, "stream": True, "timings": False}
        connection.request("POST", "/v1/messages?beta=true", json.dumps(body),
                           {"Content-Type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "none"})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/event-stream"))
        names = []
        for block in answer.read().decode().removesuffix("\n\n").split("\n\n"):
            name, data = block.split("\n")
            names.append(name.removeprefix("event: "))
            data = data.removeprefix("data: ")
            self.assertEqual(json.loads(data)["type"], names[-1])
            TypeAdapter(RawMessageStreamEvent).validate_json(data, strict=True)
        connection.close()
        self.assertEqual(names[:2], ["message_start", "content_block_start"])
        self.assertEqual(set(names[2:-3]), {"content_block_delta"})
        self.assertEqual(names[-3:], ["content_block_stop", "message_delta", "message_stop"])

    def test_a_loop_of_tools(self):
        messages = [{"role": "user", "content": "The weather?"}]
        ids = set()
        for turn in range(3):
            message = self.ask(messages, seed=turn, tools=TOOLS, max_tokens=100, tool_choice={"type": "any", "disable_parallel_tool_use": True})
            self.assertEqual(message.stop_reason, "tool_use")
            (call,) = [block for block in message.content if block.type == "tool_use"]
            ids.add(call.id)
            self.assertTrue(call.id.startswith("toolu_"))
            self.assertIn(call.name, ("get_weather", "now"))
            if call.name == "get_weather":
                self.assertIn(call.input["city"], ("Paris", "Oslo"))
                self.assertIn(call.input["days"], range(1, 10))
            else:
                self.assertEqual(call.input, {})
            messages += [{"role": "assistant", "content": message.content},
                         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain", "is_error": turn == 1}]}]
        self.assertEqual(len(ids), 3)
        last = self.ask(messages, tools=TOOLS, tool_choice={"type": "none"})
        self.assertEqual([block.type for block in last.content if block.type != "text"], [])

    def test_a_tools_name_may_have_128_characters(self):
        name = "n" * 128
        tool = {"name": name, "input_schema": {"type": "object", "properties": {}, "additionalProperties": False}}
        message = self.ask(tools=[tool], max_tokens=200, tool_choice={"type": "tool", "name": name})
        (call,) = [block for block in message.content if block.type == "tool_use"]
        self.assertEqual((call.name, call.input), (name, {}))
        with self.assertRaises(anthropic.BadRequestError):
            self.ask(tools=[{**tool, "name": name + "n"}])

    def test_a_stream_has_the_whole_messages_call(self):
        options = {"messages": HELLO, "tools": TOOLS, "tool_choice": {"type": "tool", "name": "get_weather"}, "max_tokens": 100}
        whole = self.ask(seed=5, **options)
        with self.client.messages.stream(model="tiny", extra_body={"seed": 5}, **options) as stream:
            pieces = [event.partial_json for event in stream if event.type == "input_json"]
            message = stream.get_final_message()
        (call,) = [block for block in whole.content if block.type == "tool_use"]
        self.assertEqual(json.loads("".join(pieces)), call.input)
        self.assertGreater(len(pieces), 0)
        self.assertEqual([(block.name, block.input) for block in message.content if block.type == "tool_use"], [(call.name, call.input)])
        self.assertEqual((message.stop_reason, whole.stop_reason), ("tool_use", "tool_use"))

    def test_a_format_constrains_the_text(self):
        message = self.ask(max_tokens=100, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
        self.assertIn(json.loads(text_of(message))["city"], ("Paris", "Oslo"))

    def test_counted_tokens_are_those_of_the_message(self):
        options = {"messages": HELLO, "tools": TOOLS, "system": "Be brief."}
        counted = self.client.messages.count_tokens(model="tiny", **options)
        self.assertEqual(counted.input_tokens, total_input(self.ask(**options).usage))
        self.assertGreater(self.client.messages.count_tokens(model="tiny", messages=[{"role": "user", "content": "x" * 5000}]).input_tokens, 5000)

    def test_nothing_is_generated_for_no_tokens(self):
        message = self.ask(max_tokens=0)
        self.assertEqual((message.content, message.stop_reason, message.usage.output_tokens), ([], "max_tokens", 0))

    def test_errors_are_the_clients_own_exceptions(self):
        with self.assertRaises(anthropic.NotFoundError) as caught:
            self.client.messages.create(model="../../etc/passwd", messages=HELLO, max_tokens=3)
        self.assertEqual(caught.exception.body["error"]["type"], "not_found_error")
        self.assertEqual(caught.exception.body["request_id"], caught.exception.request_id)
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
        for options, word in (({"max_tokens": -1}, "max_tokens"), ({"messages": [{"role": "user", "content": [image]}]}, "image"),
                              ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
                              ({"messages": [{"role": "user", "content": "x" * 600}]}, "the prompt is too long")):
            for call in (self.ask, lambda **o: self.ask(stream=True, **o)):
                with self.assertRaises(anthropic.BadRequestError) as caught:
                    call(**options)
                self.assertEqual(caught.exception.body["error"]["type"], "invalid_request_error")
                self.assertIn(word, caught.exception.body["error"]["message"])
        with self.assertRaises(anthropic.RateLimitError) as caught:
            self.client.messages.create(model="tiny", max_tokens=60, messages=[{"role": "user", "content": "word " * 90}],
                                        extra_body={"max_ttft_seconds": 0.001})
        self.assertEqual(caught.exception.body["error"]["type"], "rate_limit_error")
        status, _, body = self.server.get("/v1/messages")
        self.assertEqual((status, body["error"]["type"]), (405, "invalid_request_error"))
        # Others keep their form.
        self.assertEqual(set(self.server.get("/v1/completions")[2]["error"]), {"message", "type", "param", "code"})
        self.assertEqual(set(self.server.get("/v1/messages/other")[2]["error"]), {"message", "type", "param", "code"})


class Keys(serving.Case):
    @classmethod
    def setUpClass(cls):
        serving.program.Case.setUpClass.__func__(cls)
        cls.server = serving.Server(cls.model, environment={**cls.environment, "RAFTER_API_KEY": KEY})

    def test_a_key_comes_as_either_header(self):
        for how in ({"api_key": KEY}, {"auth_token": KEY, "api_key": None}):
            with anthropic.Anthropic(base_url=self.server.url, max_retries=0, timeout=serving.PATIENCE, **how) as client:
                self.assertEqual(client.messages.create(model="tiny", messages=HELLO, max_tokens=1).usage.output_tokens, 1)
        with anthropic.Anthropic(base_url=self.server.url, api_key="another", max_retries=0, timeout=serving.PATIENCE) as client:
            for call in (lambda: client.messages.create(model="tiny", messages=HELLO, max_tokens=1),
                         lambda: client.messages.count_tokens(model="tiny", messages=HELLO)):
                with self.assertRaises(anthropic.AuthenticationError) as caught:
                    call()
                self.assertEqual(caught.exception.body["error"]["type"], "authentication_error")


class ChangingSystemPrompts(serving.Case):
    RULES = "You write programs. You read before you write. You say what you did, and what you did not. Name files by their paths."

    def test_they_are_a_reason_of_their_own_for_misses(self):
        for number in range(4):
            system = f"x-billing: {number}{number}{number}; date\n{self.RULES}"
            user = {"role": "user", "content": f"{number}?"}
            paths = {"/v1/messages": {"system": system, "messages": [user]},
                     "/v1/chat/completions": {"messages": [{"role": "system", "content": system}, user]}}
            for path, body in paths.items():
                self.assertEqual(self.server.post(path, **body, max_tokens=1)[0], 200)
        found = self.server.get("/explain", Accept="application/json")[2]["prefix_cache"]
        # The second form of each prompt has the first one's beginning from the cache.
        self.assertEqual((found["prompts"], found["changed_system_prompts"], found["changed_early_prompts"]), (8, 3, 0))
        self.assertGreater(found["changed_system_tokens"], 3 * 0.5 * len(self.RULES))
        text = " ".join(self.server.get("/explain")[2].decode().split())
        self.assertIn("3 of 8 prompts have a system prompt that differs from all earlier ones at about token", text)
        self.assertIn("Move the line that changes with each request", text)
        metrics = self.server.get("/metrics")[2].decode()
        (line,) = [line for line in metrics.splitlines() if line.startswith("rafter_prefix_cache_missed_tokens_total") and "system_changed" in line]
        self.assertEqual(float(line.split()[-1]), found["changed_system_tokens"])


serving.main()
