"""The official OpenAI client against `rafter serve` with tools: calls that the answer must have, their results, streams, responses."""
import json
import sys
import tempfile
from pathlib import Path

import serving

try:
    import openai
except ImportError:
    print("skipped: the package openai is not installed")
    sys.exit(serving.program.SKIP)

SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
          "required": ["city", "days"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}},
         {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}]
NAMED = {"type": "function", "function": {"name": "get_weather"}}


# The tiny model's context is short, its tokens are bytes.
FOLDER = tempfile.TemporaryDirectory()
TEMPLATE = Path(FOLDER.name, "tools.jinja")
TEMPLATE.write_text("{# <tool_call> #}{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% for m in messages %}"
                    "{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}"
                    "{% endfor %}\n{% endfor %}")

THINKING = Path(FOLDER.name, "thinking.jinja")
THINKING.write_text("{# <tool_call> #}{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}"
                    "{% if enable_thinking %}<think>{% endif %}")
CLOSING = "The time for thinking is used up, so I give my answer now."


class Tools(serving.Case):
    arguments = ("--chat-template", str(TEMPLATE))

    def setUp(self):
        self.client = openai.OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0, timeout=serving.PATIENCE)
        self.messages = [{"role": "user", "content": "The weather of Paris?"}]

    def tearDown(self):
        self.client.close()

    def chat(self, **options):
        return self.client.chat.completions.create(model="tiny", messages=self.messages, tools=TOOLS, max_tokens=120, **options)

    def test_a_loop_of_calls_and_results(self):
        for turn in range(2):
            choice = self.chat(tool_choice=NAMED, seed=turn).choices[0]
            self.assertEqual(choice.finish_reason, "tool_calls")
            (call,) = choice.message.tool_calls
            self.assertEqual(call.function.name, "get_weather")
            arguments = json.loads(call.function.arguments)
            self.assertIn(arguments["city"], ("Paris", "Oslo"))
            self.assertIn(arguments["days"], range(1, 10))
            self.messages += [choice.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        self.messages.append({"role": "user", "content": "Thanks."})
        self.assertIsNone(self.chat(tool_choice="none").choices[0].message.tool_calls)

    def test_a_stream_has_the_whole_answers_calls(self):
        options = {"tool_choice": "required", "parallel_tool_calls": False, "seed": 5}
        (whole,) = self.chat(**options).choices[0].message.tool_calls
        name, arguments, reason, n_pieces = "", "", None, 0
        for chunk in self.chat(**options, stream=True):
            for choice in chunk.choices:
                reason = choice.finish_reason or reason
                for delta in choice.delta.tool_calls or []:
                    self.assertEqual(delta.index, 0)
                    name += delta.function.name or ""
                    arguments += delta.function.arguments or ""
                    n_pieces += 1
        self.assertEqual((name, arguments, reason), (whole.function.name, whole.function.arguments, "tool_calls"))
        self.assertGreater(n_pieces, 1)  # the name's, and the arguments' in as many as the machine's speed makes them

    def test_responses_have_calls_too(self):
        tools = [{"type": "function", **tool["function"]} for tool in TOOLS]
        items = [{"role": "user", "content": "The weather?"}]
        for _ in range(2):
            answer = self.client.responses.create(model="tiny", input=items, tools=tools, tool_choice={"type": "function", "name": "get_weather"},
                                                  max_output_tokens=120)
            (call,) = [item for item in answer.output if item.type == "function_call"]
            self.assertIn(json.loads(call.arguments)["city"], ("Paris", "Oslo"))
            items += [call.model_dump(), {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]

    def test_events_of_a_response_have_the_arguments_in_pieces(self):
        tools = [{"type": "function", **tool["function"]} for tool in TOOLS]
        pieces, done = [], []
        with self.client.responses.stream(model="tiny", input="The weather?", tools=tools, max_output_tokens=120,
                                          tool_choice={"type": "function", "name": "get_weather"}) as stream:
            for event in stream:
                pieces += [event.delta] if event.type == "response.function_call_arguments.delta" else []
                done += [event.arguments] if event.type == "response.function_call_arguments.done" else []
        self.assertEqual(done, ["".join(pieces)])
        self.assertIn(json.loads(done[0])["city"], ("Paris", "Oslo"))
        self.assertGreater(len(pieces), 0)

    def test_the_clients_parse_helper_reads_a_stream_of_calls(self):
        with self.client.chat.completions.stream(model="tiny", messages=self.messages, tools=[{**TOOLS[0], "function": {**TOOLS[0]["function"], "strict": True}}],
                                                 tool_choice="required", max_tokens=120, extra_body={"parallel_tool_calls": False}) as stream:
            deltas = [event for event in stream if event.type == "tool_calls.function.arguments.delta"]
            choice = stream.get_final_completion().choices[0]
        (call,) = choice.message.tool_calls
        self.assertIn(call.function.parsed_arguments["city"], ("Paris", "Oslo"))
        self.assertEqual("".join(delta.arguments_delta for delta in deltas), call.function.arguments)
        self.assertGreater(len(deltas), 0)

    def test_a_call_that_the_length_cuts_off_is_the_beginning_of_one_in_a_stream_and_text_in_a_whole_answer(self):
        options = {"tool_choice": NAMED, "seed": 5}
        (call,) = self.chat(**options).choices[0].message.tool_calls
        cut = False
        for limit in range(20, 60, 4):
            arguments, reason = "", None
            for chunk in self.client.chat.completions.create(model="tiny", messages=self.messages, tools=TOOLS, max_tokens=limit, stream=True, **options):
                for choice in chunk.choices:
                    reason = choice.finish_reason or reason
                    arguments += "".join(delta.function.arguments or "" for delta in choice.delta.tool_calls or [])
            self.assertTrue(call.function.arguments.startswith(arguments), arguments)
            if reason == "length" and 0 < len(arguments) < len(call.function.arguments):
                cut = True
                whole = self.client.chat.completions.create(model="tiny", messages=self.messages, tools=TOOLS, max_tokens=limit, **options)
                self.assertFalse(whole.choices[0].message.tool_calls)
                self.assertEqual(whole.choices[0].finish_reason, "length")
        self.assertTrue(cut)


class Thoughts(serving.Case):
    """Each mark of a thought is several of the tiny model's tokens."""
    arguments = ("--chat-template", str(THINKING), "--reasoning-parser", "think")

    def answers(self, budget, **options):
        """Thought, answer and reason of some seeds, where the prompt has begun the thought and where it has not."""
        for i in range(6):
            body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 170, "temperature": 1, "seed": i, "enable_thinking": i % 2 == 0,
                    "thinking_token_budget": budget, **options}
            status, _, answer = self.server.ask("POST", "/v1/chat/completions", body)
            self.assertEqual(status, 200, answer)
            (choice,) = answer["choices"]
            yield choice["message"].get("reasoning_content"), choice["message"]["content"], choice["finish_reason"]

    def test_a_thought_ends_at_its_budget_with_a_sentence(self):
        for budget in (1, 7):
            for thought, content, _ in self.answers(budget, ignore_eos=True):
                own, closing, rest = thought.partition(CLOSING)
                self.assertEqual((closing, rest.strip()), (CLOSING, ""))
                self.assertLessEqual(len(own.rstrip("\n")), 4 * (budget + 3))  # of four letters at most, and a character comes to its end
                self.assertTrue(content)
                self.assertNotIn(CLOSING, content)
                self.assertNotIn("</think>", content)

    def test_without_a_budget_left_the_answer_comes_at_once(self):
        for thought, content, _ in self.answers(0, ignore_eos=True):
            self.assertFalse(thought)
            self.assertTrue(content)

    def test_the_answer_behind_it_keeps_to_a_schema(self):
        n_ended = 0
        form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
        for thought, content, reason in self.answers(5, response_format=form):
            self.assertIn(CLOSING, thought)
            if reason != "stop":
                continue
            n_ended += 1
            answer = json.loads(content)
            self.assertIn(answer["city"], ("Paris", "Oslo"))
            self.assertIn(answer["days"], range(1, 10))
        self.assertGreater(n_ended, 0)

    def test_the_answer_behind_it_is_a_call_where_it_must_be(self):
        n_calls = 0
        for thought, content, reason in self.answers(5, tools=TOOLS, tool_choice=NAMED, max_tokens=300):
            self.assertIn(CLOSING, thought)
            if reason == "tool_calls":
                n_calls += 1
                self.assertFalse(content)
        self.assertGreater(n_calls, 0)


serving.main()
