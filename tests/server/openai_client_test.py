"""The official OpenAI client against `rafter serve`: chat, streams, completions, responses, embeddings, models, errors, cancelling."""
import sys
import threading
import time

import serving

try:
    import openai
except ImportError:
    print("skipped: the package openai is not installed")
    sys.exit(serving.program.SKIP)

HELLO = [{"role": "user", "content": "hello"}]


class OpenAiClient(serving.Case):
    def setUp(self):
        self.client = openai.OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0, timeout=serving.PATIENCE)
        self.model_name = self.client.models.list().data[0].id

    def tearDown(self):
        self.client.close()

    def chat(self, **options):
        return self.client.chat.completions.create(model=self.model_name, messages=HELLO, **{"temperature": 0, "max_tokens": 12, **options})

    def test_the_model_is_found_by_its_name(self):
        self.assertEqual(self.client.models.retrieve(self.model_name).id, self.model_name)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("another")

    def test_a_chat_is_answered_with_usage(self):
        answer = self.chat()
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.model, self.model_name)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertEqual(answer.choices[0].message.role, "assistant")

    def test_a_stream_is_the_whole_answer_in_pieces(self):
        whole = self.chat(seed=7, temperature=1.0)
        chunks = list(self.chat(seed=7, temperature=1.0, stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
        self.assertEqual(reasons, [whole.choices[0].finish_reason])
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)

    def test_several_choices_have_seeds_of_their_own(self):
        answer = self.chat(n=3, seed=1, temperature=2.0)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
        self.assertGreater(len({choice.message.content for choice in answer.choices}), 1)
        again = self.chat(n=3, seed=1, temperature=2.0)
        self.assertEqual([c.message.content for c in answer.choices], [c.message.content for c in again.choices])

    def test_logprobs_are_those_of_the_tokens_shown(self):
        answer = self.chat(logprobs=True, top_logprobs=2)
        content = answer.choices[0].logprobs.content
        self.assertEqual(b"".join(bytes(entry.bytes) for entry in content).decode(errors="replace"), answer.choices[0].message.content)
        for entry in content:
            self.assertLessEqual(entry.logprob, 0.0)
            self.assertEqual(len(entry.top_logprobs), 2)

    def test_an_answer_carries_its_timings(self):
        timings = self.chat().model_extra["timings"]
        self.assertGreater(timings["prefill_seconds"], 0.0)
        self.assertGreater(timings["predicted_first_token_seconds"], 0.0)
        self.assertGreater(timings["predicted_last_token_seconds"], timings["predicted_first_token_seconds"])

    def test_completions_of_several_prompts_with_echo(self):
        answer = self.client.completions.create(model=self.model_name, prompt=["ab", "cd"], echo=True, max_tokens=3, logprobs=1, temperature=0)
        self.assertEqual([choice.text[:2] for choice in answer.choices], ["ab", "cd"])
        for choice in answer.choices:
            self.assertEqual(len(choice.logprobs.tokens), len(choice.logprobs.token_logprobs))

    def test_a_response_is_answered_and_streamed(self):
        whole = self.client.responses.create(model=self.model_name, input="hello", max_output_tokens=16, temperature=0)
        self.assertEqual(whole.object, "response")
        self.assertIn(whole.status, ("completed", "incomplete"))
        events = list(self.client.responses.create(model=self.model_name, input="hello", max_output_tokens=16, temperature=0, stream=True))
        self.assertEqual(events[0].type, "response.created")
        self.assertIn(events[-1].type, ("response.completed", "response.incomplete"))
        deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        self.assertEqual(deltas, whole.output_text)
        self.assertEqual([event.sequence_number for event in events], list(range(len(events))))

    def test_embeddings_are_normalised_and_can_be_shortened(self):
        answer = self.client.embeddings.create(model=self.model_name, input=["one text", "another"])
        self.assertEqual([entry.index for entry in answer.data], [0, 1])
        for entry in answer.data:
            self.assertAlmostEqual(sum(x * x for x in entry.embedding), 1.0, places=4)
        short = self.client.embeddings.create(model=self.model_name, input="one text", dimensions=8)
        self.assertEqual(len(short.data[0].embedding), 8)

    def test_errors_are_the_clients_own_exceptions(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.chat.completions.create(model="../../etc/passwd", messages=HELLO)
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(top_p=2)
        self.assertEqual(caught.exception.param, "top_p")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}])
        self.assertIn("tools", str(caught.exception))
        with self.assertRaises(openai.BadRequestError):
            self.client.responses.create(model=self.model_name, input="hello", previous_response_id="resp_1")

    def test_a_cancelled_stream_costs_nothing_more(self):
        stream = self.chat(stream=True, max_tokens=4000, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        deadline = time.monotonic() + serving.PATIENCE
        while True:
            load = self.server.get("/load")[2]
            if load["n_running"] == 0 and load["n_free_blocks"] == load["n_blocks"]:
                break
            self.assertLess(time.monotonic(), deadline, load)
            time.sleep(0.02)

    def test_many_clients_get_each_their_own_answer(self):
        prompts = [f"number {i}" for i in range(24)]
        alone = {prompt: self.client.completions.create(model=self.model_name, prompt=prompt, max_tokens=8, temperature=0).choices[0].text
                 for prompt in prompts}
        together = {}

        def ask(prompt):
            together[prompt] = self.client.completions.create(model=self.model_name, prompt=prompt, max_tokens=8, temperature=0).choices[0].text

        threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in prompts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)


serving.main()
