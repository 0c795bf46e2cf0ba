"""Every answer of OpenAI's endpoints against the types of the official client, strictly: what it declares is there and is of its type."""
import json
import os
import subprocess
import sys
import unittest
from collections import Counter
from pathlib import Path

try:
    import jsonschema_rs
    from openai.types import Completion, CreateEmbeddingResponse, Model, responses
    from openai.types.chat import ChatCompletion, ChatCompletionChunk
    from pydantic import TypeAdapter
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

BUILD_DIR = Path(os.environ.get("RAFTER_BUILD_DIR", Path(__file__).resolve().parents[2] / "build" / "release"))
TYPES = {"ChatCompletion": ChatCompletion, "ChatCompletionChunk": ChatCompletionChunk, "Completion": Completion,
         "CreateEmbeddingResponse": CreateEmbeddingResponse, "Model": Model, "Response": responses.Response,
         "ResponseStreamEvent": responses.ResponseStreamEvent}
# What we give beyond the client's types.
OURS = {"timings", "prompt_logprobs", "max_model_len", "meta", "state", "planned_bytes", "error"}


def fill_nulls(completion):
    """OpenAI sends nulls where the client's types have none: before the last chunk, and for an echo's first token."""
    for choice in completion["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
        logprobs = choice["logprobs"]
        if logprobs and logprobs["text_offset"][0] == 0:
            assert logprobs["token_logprobs"][0] is None and logprobs["top_logprobs"][0] is None
            logprobs["token_logprobs"][0], logprobs["top_logprobs"][0] = 0.0, {}


class OpenAiTypes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tool = BUILD_DIR / "tests" / "tools" / "print_openai_answers"
        lines = subprocess.run([tool], check=True, capture_output=True, text=True, encoding="utf-8", timeout=60).stdout.splitlines()
        answers = [json.loads(line) for line in lines]
        cls.answers = [answer for answer in answers if answer["type"] != "Schemas"]
        cls.schemas = next(answer["value"] for answer in answers if answer["type"] == "Schemas")

    def test_every_answer_is_of_its_type(self):
        seen = Counter()
        for answer in self.answers:
            kind, value = answer["type"], answer["value"]
            seen[kind] += 1
            if kind == "Error":
                self.assertEqual(list(value["error"]), ["message", "type", "param", "code"])
                continue
            with self.subTest(kind=kind, value=value):
                if kind == "Completion":
                    fill_nulls(value)
                TypeAdapter(TYPES[kind]).validate_json(json.dumps(value), strict=True)
        for kind in TYPES:
            self.assertGreater(seen[kind], 0, kind)

    def test_every_answer_is_of_its_schema(self):
        def schema(name):
            return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": f"#/components/schemas/{name}",
                    "components": {"schemas": self.schemas}}

        for name in self.schemas:
            jsonschema_rs.meta.validate(schema(name))
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **self.schemas[name]})
        names = {"ResponseStreamEvent": "ResponseEvent", "CreateEmbeddingResponse": "EmbeddingList"}
        for answer in self.answers:
            name = names.get(answer["type"], answer["type"])
            with self.subTest(name=name):
                jsonschema_rs.validate(schema(name), answer["value"])
                # Not everything is of every schema.
                self.assertFalse(jsonschema_rs.is_valid(schema(name), {}))

    def test_the_events_are_those_of_a_stream(self):
        names = [answer["value"]["type"] for answer in self.answers if answer["type"] == "ResponseStreamEvent"]
        for name in ("response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
                     "response.reasoning_text.delta", "response.reasoning_text.done", "response.function_call_arguments.delta",
                     "response.function_call_arguments.done", "response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done",
                     "response.completed", "response.incomplete", "response.failed"):
            self.assertIn(name, names)

    def test_what_is_beyond_the_types_is_ours(self):
        for answer in self.answers:
            model = TYPES.get(answer["type"])
            if model is None or answer["type"] == "ResponseStreamEvent":
                continue
            extra = set(answer["value"]) - set(model.model_fields) - OURS
            if answer["type"] == "Response":
                extra -= {"presence_penalty", "frequency_penalty", "store"}
            self.assertEqual(extra, set(), answer["type"])


if __name__ == "__main__":
    unittest.main()
