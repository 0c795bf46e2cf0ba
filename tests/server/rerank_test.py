"""/v1/rerank and /v1/score: by a reranker's yes and no, or by vectors; alone, in batches and beside others that decode, to the last bit."""
import math
import threading

import serving

DOCUMENTS = ["the cat sat", "a dog and a cat", "nothing of the kind", "x", "the the the the the the"]


def sized(text):
    return len(text).to_bytes(8, "little") + text


def make_reranker(path):
    """The tiny model with "yes" and "no" as tokens, in place of others of their sizes."""
    serving.program.make_tiny_model(path, "qwen3")
    data = path.read_bytes()
    for old, new in ((b"in", b"ye"), (b"an", b"no"), (b"and", b"yes"), (b"i n", b"y e"), (b"a n", b"n o"), (b"an d", b"ye s")):
        assert data.count(sized(old)) == 1, (old, data.count(sized(old)))
        data = data.replace(sized(old), sized(new))
    path.write_bytes(data)
    return path


class Relevance(serving.Case):
    def scores(self, documents, **more):
        status, _, body = self.server.post("/v1/rerank", query="cat", documents=documents, **more)
        self.assertEqual(status, 200, body)
        return {result["index"]: result["relevance_score"] for result in body["results"]}, body

    def check_alone_and_beside(self):
        """A document's score is the same in a batch, alone, and while others decode."""
        together, _ = self.scores(DOCUMENTS)
        for i, document in enumerate(DOCUMENTS):
            self.assertEqual(self.scores([document], cache_salt=str(i))[0], {0: together[i]})
        stop = threading.Event()

        def decode(seed):
            while not stop.is_set():
                self.server.post("/v1/completions", prompt="some words", max_tokens=40, seed=seed, ignore_eos=True)
        threads = [threading.Thread(target=decode, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        try:
            for i in range(5):
                self.assertEqual(self.scores(DOCUMENTS, cache_salt=f"beside {i}")[0], together)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertGreater(len(set(together.values())), 1)
        return together


class ByVectors(Relevance):
    def test_scores_do_not_depend_on_what_else_runs(self):
        self.check_alone_and_beside()

    def test_scores_are_cosines_of_the_embeddings(self):
        found, body = self.scores(DOCUMENTS)
        self.assertEqual(body["method"], "embedding")
        self.assertEqual([one["relevance_score"] for one in body["results"]], sorted(found.values(), reverse=True))
        answer = self.server.post("/v1/embeddings", input=["cat", *DOCUMENTS])[2]
        query, *vectors = [one["embedding"] for one in answer["data"]]
        for i, vector in enumerate(vectors):
            self.assertAlmostEqual(found[i], math.fsum(a * b for a, b in zip(query, vector)), places=6)
        self.assertEqual(body["usage"]["total_tokens"], answer["usage"]["total_tokens"])

    def test_prefixes_come_before_texts(self):
        prefixed = self.server.post("/v1/embeddings", input=["a", "b"], prefix="query: ")[2]["data"]
        whole = self.server.post("/v1/embeddings", input=["query: a", "query: b"])[2]["data"]
        self.assertEqual(prefixed, whole)
        self.assertEqual(self.server.post("/v1/embeddings", input=[1, 2], prefix="x")[0], 400)
        by_prefix, _ = self.scores(["a"], query_prefix="q: ", document_prefix="d: ")
        status, _, body = self.server.post("/v1/score", text_1="q: cat", text_2="d: a")
        self.assertEqual((status, body["data"]), (200, [{"index": 0, "object": "score", "score": by_prefix[0]}]))

    def test_the_best_come_first_with_their_documents(self):
        _, body = self.scores(DOCUMENTS, top_n=2, return_documents=True)
        self.assertEqual(len(body["results"]), 2)
        for result in body["results"]:
            self.assertEqual(result["document"]["text"], DOCUMENTS[result["index"]])
        self.assertEqual(self.server.post("/v1/rerank", query="a", documents=["b"], model="other")[0], 404)
        self.assertEqual(self.server.post("/v1/rerank", query="a", documents=["b"], method="yes_no")[0], 400)


class ByYesAndNo(Relevance):
    @classmethod
    def setUpClass(cls):
        serving.program.Case.setUpClass.__func__(cls)
        cls.model = make_reranker(cls.folder / "tiny-reranker.gguf")
        cls.server = serving.Server(cls.model, environment=cls.environment)

    def test_scores_do_not_depend_on_what_else_runs(self):
        self.check_alone_and_beside()

    def test_scores_are_of_the_last_positions_logits(self):
        found, body = self.scores(DOCUMENTS[:1])
        self.assertEqual(body["method"], "yes_no")
        prompt = ('<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note that '
                  'the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant '
                  f'passages that answer the query\n<Query>: cat\n<Document>: {DOCUMENTS[0]}<|im_end|>\n<|im_start|>assistant\n<think>\n\n'
                  '</think>\n\n')
        def logprob(word):
            whole = self.server.post("/v1/completions", prompt=prompt + word, max_tokens=1, echo=True, logprobs=0, temperature=0)[2]
            logprobs = whole["choices"][0]["logprobs"]
            place = logprobs["text_offset"].index(len(prompt))
            self.assertEqual(logprobs["tokens"][place], word)
            return logprobs["token_logprobs"][place]
        self.assertAlmostEqual(found[0], 1 / (1 + math.exp(logprob("no") - logprob("yes"))), places=9)
        self.assertEqual(body["usage"]["prompt_tokens"], len(self.server.post("/tokenize", prompt=prompt)[2]["tokens"]))

    def test_another_instruction_or_method_gives_other_scores(self):
        usual, _ = self.scores(DOCUMENTS)
        self.assertNotEqual(usual, self.scores(DOCUMENTS, instruction="Find dogs")[0])
        _, body = self.scores(DOCUMENTS, method="embedding")
        self.assertEqual(body["method"], "embedding")
        pairs = self.server.post("/v1/score", text_1=["cat"] * 2, text_2=DOCUMENTS[:2])[2]
        self.assertEqual([one["score"] for one in pairs["data"]], [usual[0], usual[1]])


serving.main()
