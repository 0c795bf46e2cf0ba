"""Structured output with the official OpenAI client: its parse helpers, streams, several choices, and the server's own spellings."""
import json
import re
import sys
from typing import List, Literal, Optional

import serving

try:
    import openai
    import pydantic
except ImportError:
    print("skipped: the package openai is not installed")
    sys.exit(serving.program.SKIP)


class Line(pydantic.BaseModel):
    sku: Literal["A1", "B2"]
    n: int = pydantic.Field(ge=1, le=9)


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    paid: bool
    note: Optional[Literal["gift", "rush"]]
    lines: List[Line] = pydantic.Field(min_length=1, max_length=2)


SCHEMA = {"type": "object", "properties": {"z": {"enum": ["x", "y"]}, "a": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["z", "a"],
          "additionalProperties": False}


class Structured(serving.Case):
    def setUp(self):
        self.client = openai.OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0, timeout=serving.PATIENCE)
        self.messages = [{"role": "user", "content": "An order."}]

    def tearDown(self):
        self.client.close()

    def ended(self, **body):
        """Answers that ended by themselves, of some seeds."""
        found = []
        for seed in range(6):
            status, _, answer = self.server.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 200, "temperature": 1, "seed": seed, **body})
            self.assertEqual(status, 200, answer)
            choice = answer["choices"][0]
            if choice["finish_reason"] == "stop":
                found.append(choice["text"])
        self.assertTrue(found)
        return found

    def test_parse_gives_objects(self):
        n_parsed = 0
        for seed in range(4):
            try:
                answer = self.client.chat.completions.parse(model="tiny", messages=self.messages, response_format=Order, max_tokens=220, seed=seed, temperature=1)
            except openai.LengthFinishReasonError:
                continue
            self.assertIsInstance(answer.choices[0].message.parsed, Order)
            n_parsed += 1
        self.assertGreater(n_parsed, 0)

    def test_responses_parse_too(self):
        n_parsed = 0
        for seed in range(6):
            asked = {"model": "tiny", "input": "An order.", "max_output_tokens": 220, "extra_body": {"seed": seed}}
            try:
                answer = self.client.responses.parse(text_format=Order, **asked)
            except pydantic.ValidationError:  # the client parses texts that were cut too
                schema = {"type": "json_schema", "name": "Order", "strict": True, "schema": Order.model_json_schema()}
                self.assertEqual(self.client.responses.create(text={"format": schema}, **asked).status, "incomplete")
                continue
            self.assertEqual(answer.status, "completed")
            self.assertIsInstance(answer.output_parsed, Order)
            self.assertEqual(answer.text.format.type, "json_schema")
            n_parsed += 1
        self.assertGreater(n_parsed, 0)

    def test_a_stream_and_several_choices_keep_to_it(self):
        text = ""
        for chunk in self.client.chat.completions.create(model="tiny", messages=self.messages, max_tokens=280, stream=True, seed=3,
                                                         response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}):
            for choice in chunk.choices:
                text += choice.delta.content or ""
        self.assertEqual(list(json.loads(text)), ["z", "a"])  # no answer by this schema is so long that it is cut
        answer = self.client.chat.completions.create(model="tiny", messages=self.messages, max_tokens=280, n=4, seed=4, temperature=1,
                                                     response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}})
        for choice in answer.choices:
            self.assertEqual(choice.finish_reason, "stop")
            self.assertEqual(list(json.loads(choice.message.content)), ["z", "a"])

    def test_every_spelling(self):
        for body in ({"guided_json": SCHEMA}, {"json_schema": SCHEMA}, {"structured_outputs": {"json": SCHEMA}}, {"guided_json": json.dumps(SCHEMA)}):
            for text in self.ended(**body):
                self.assertEqual(list(json.loads(text)), ["z", "a"])
        for body in ({"guided_regex": "[ab]{2,5}!"}, {"structured_outputs": {"regex": "[ab]{2,5}!"}}):
            for text in self.ended(**body):
                self.assertTrue(re.fullmatch("[ab]{2,5}!", text), text)
        for body in ({"guided_choice": ["yes", "no"]}, {"structured_outputs": {"choice": ["yes", "no"]}}):
            for text in self.ended(**body):
                self.assertIn(text, ("yes", "no"))
        grammar = 'root ::= "<" [0-9]{1,3} ">"'
        for body in ({"guided_grammar": grammar}, {"grammar": grammar}, {"structured_outputs": {"grammar": grammar}}):
            for text in self.ended(**body):
                self.assertTrue(re.fullmatch("<[0-9]{1,3}>", text), text)

    def test_min_tokens_stop_texts_and_speculation_do_not_break_it(self):
        for text in self.ended(guided_regex="a{3,9}", min_tokens=5):
            self.assertTrue(re.fullmatch("a{3,9}", text), text)
        status, _, answer = self.server.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 50, "guided_regex": "ab+", "stop": ["bbb"], "seed": 5})
        self.assertEqual(status, 200)
        self.assertRegex(answer["choices"][0]["text"], "^ab*$")
        status, _, answer = self.server.ask("POST", "/v1/completions", {"prompt": "x", "max_tokens": 20, "guided_choice": ["yes"], "ignore_eos": True})
        self.assertEqual((status, answer["choices"][0]["text"]), (200, "yes"))


serving.main()
