"""rafter eval --tasks: every choice's log-likelihood against logits that the slow float64 model computes, the accuracies, and bad lines."""
import json
import math
import signal
import subprocess
import time
from pathlib import Path

import program

PRINT_LOGITS = program.BUILD_DIR / "tests" / "tools" / "print_logits"
BUILT_IN = program.ROOT / "share" / "judging" / "tasks.jsonl"

TASKS = [
    {"context": "the hand and the", "choices": ["hand", "the", "in the end", "x"], "answer": 2},
    {"question": "Which word?", "choices": ["an", "and", "anden"], "answer": 0},
    {"context": "a b c ", "choices": ["d", "e e e e e"], "answer": 1},
    {"context": "line\n", "choices": ["\tindented", "not so"], "answer": 0},
    {"context": "the hand and the", "choices": ["theta", "hand"], "answer": 1},
]


def prompt_of(task):
    return task["context"] if "context" in task else f"Question: {task['question']}\nAnswer:"


def continued(context, choice):
    return choice if context[-1:].isspace() or choice[0].isspace() else " " + choice


class EvalTasks(program.Case):
    def file_of(self, tasks, name="tasks.jsonl"):
        path = self.folder / name
        path.write_text("".join((task if isinstance(task, str) else json.dumps(task)) + "\n" for task in tasks))
        return str(path)

    def answer(self, tasks, *more, model=None):
        return self.json_of("eval", model or self.model, "--tasks", self.file_of(tasks), *more)

    def tokens(self, text, model=None):
        done = subprocess.run([program.BINARY, "tokenize", model or self.model], input=text.encode(), capture_output=True, check=True)
        return [int(i) for i in done.stdout.split()]

    def logprobs(self, tokens, first):
        """Of tokens[first:], each given those before it."""
        done = subprocess.run([PRINT_LOGITS, self.model, *map(str, tokens)], stdout=subprocess.PIPE, check=True)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        total = 0.0
        for position in range(first, len(tokens)):
            row = rows[position - 1]
            largest = max(row)
            total += row[tokens[position]] - largest - math.log(sum(math.exp(x - largest) for x in row))
        return total

    def test_scores_are_those_of_logits_computed_in_float64(self):
        result = self.answer(TASKS, "--activations", "f32", "--kv-type", "f32")
        chosen = {key: 0 for key in ("accuracy", "accuracy_by_token", "accuracy_by_sum")}
        for task, got in zip(TASKS, result["tasks"], strict=True):
            context = prompt_of(task)
            alone = self.tokens(context)
            texts = [continued(context, choice) for choice in task["choices"]]
            whole = [self.tokens(context + text) for text in texts]
            shared = min(next((i for i, (a, b) in enumerate(zip(alone, one)) if a != b), min(len(alone), len(one))) for one in whole)
            scores = []
            for text, one, choice in zip(texts, whole, got["choices"], strict=True):
                expected = self.logprobs(one, shared)
                self.assertAlmostEqual(choice["logprob"], expected, delta=1e-3)
                self.assertEqual((choice["n_tokens"], choice["n_bytes"]), (len(one) - shared, len(text.encode())))
                scores.append((expected / len(text.encode()), expected / (len(one) - shared), expected))
            for index, (chosen_key, key) in enumerate((("chosen", "accuracy"), ("chosen_by_token", "accuracy_by_token"),
                                                       ("chosen_by_sum", "accuracy_by_sum"))):
                best = max(range(len(scores)), key=lambda i: scores[i][index])
                self.assertEqual(got[chosen_key], best)
                chosen[key] += best == task["answer"]
        for key, n_right in chosen.items():
            share = n_right / len(TASKS)
            self.assertAlmostEqual(result[key], share)
            self.assertAlmostEqual(result[key + "_error"], math.sqrt(share * (1 - share) / (len(TASKS) - 1)))
        self.assertAlmostEqual(result["chance"], sum(1 / len(task["choices"]) for task in TASKS) / len(TASKS))
        self.assertEqual((result["n_tasks"], result["complete"]), (len(TASKS), True))

    def test_neither_threads_nor_company_change_a_score(self):
        many = self.answer(TASKS * 8, "--threads", "3")["tasks"]
        one = [self.answer([task], "--threads", "1")["tasks"][0] for task in TASKS]
        for i, task in enumerate(many):
            self.assertEqual(task["choices"], one[i % len(TASKS)]["choices"])
            self.assertEqual(task["line"], i + 1)

    def test_bos_stands_before_each_prompt(self):
        model = program.with_bos(self.model, self.folder / "bos.gguf")
        task = {"context": "", "choices": ["hand", "and"], "answer": 0}
        got = self.answer([task], model=model)["tasks"][0]
        self.assertEqual([c["n_tokens"] for c in got["choices"]], [len(self.tokens(c)) for c in task["choices"]])
        self.expect_error("line 1: expected a context, because", "eval", self.model, "--tasks", self.file_of([task]))

    def test_the_built_in_tasks_are_those_of_the_source_tree(self):
        built_in = self.json_of("eval", self.model, "--tasks", "built-in")
        from_file = self.json_of("eval", self.model, "--tasks", str(BUILT_IN))
        self.assertEqual(built_in["tasks"], from_file["tasks"])
        self.assertEqual(built_in["n_tasks"], len(BUILT_IN.read_text().splitlines()))

    def test_text_begins_with_the_answer(self):
        done = self.rafter("eval", self.model, "--tasks", self.file_of(TASKS))
        lines = done.stdout.decode().splitlines()
        self.assertRegex(lines[0], r"^accuracy [\d.]+% ± [\d.]+% by likelihood a byte$")
        self.assertIn("by guessing", lines[-1])
        self.assertRegex(done.stderr.decode(), r"^5 tasks in ")

    def test_an_interrupt_ends_it_with_what_was_answered(self):
        path = self.file_of(TASKS * (4000 if program.SANITIZED else 20000))
        for wait_s in (1, 3, 9, 27):  # a busy machine takes longer to begin
            process = subprocess.Popen([program.BINARY, "eval", self.model, "--tasks", path, "--json"], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env=self.environment)
            time.sleep(wait_s)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=120)
            if out:
                break
        self.assertEqual(process.returncode, 130)
        result = json.loads(out)
        self.assertFalse(result["complete"])
        self.assertEqual(len(result["tasks"]), result["n_tasks"])
        self.assertLess(result["n_tasks"], 100000)

    def test_bad_lines_are_refused_with_their_number(self):
        good = TASKS[0]
        for bad, words in [
            ("nonsense", "tasks.jsonl:3: "),
            ("[1, 2]", "tasks.jsonl:3: expected an object"),
            ({"choices": ["a", "b"], "answer": 0}, 'tasks.jsonl:3: expected either "context" or "question", found neither'),
            ({"context": "x", "question": "y", "choices": ["a", "b"], "answer": 0}, "found both"),
            ({"context": 3, "choices": ["a", "b"], "answer": 0}, "tasks.jsonl:3: context: expected"),
            ({"context": "x", "answer": 0}, "tasks.jsonl:3: choices: expected a list of 2 to 1000 texts, found none"),
            ({"context": "x", "choices": ["a"], "answer": 0}, "choices: expected a list of 2"),
            ({"context": "x", "choices": ["a", 2], "answer": 0}, "choices: expected texts that are not empty, found 2"),
            ({"context": "x", "choices": ["a", ""], "answer": 0}, "choices: expected texts that are not empty"),
            ({"context": "x", "choices": ["a", "b"]}, "tasks.jsonl:3: answer: expected"),
            ({"context": "x", "choices": ["a", "b"], "answer": 2}, "tasks.jsonl:3: answer: expected"),
            ({"context": "x", "choices": ["a", "b"], "answer": "a"}, "tasks.jsonl:3: answer: expected"),
            ({"context": "x", "choices": ["a " * 700, "b"], "answer": 0}, "tasks.jsonl: line 3: expected at most 512 tokens"),
            ({"context": "x", "choices": ["a", "b", "a"], "answer": 0}, 'tasks.jsonl:3: choices: expected different texts, found "a" twice'),
            ({"context": "x", "choices": ["a", " a"], "answer": 0}, 'choices: expected different texts, found " a" twice'),
        ]:
            with self.subTest(words=words):
                self.expect_error(words, "eval", self.model, "--tasks", self.file_of([good, "", bad]))
        self.expect_error("expected tasks, one JSON object a line, found none", "eval", self.model, "--tasks", self.file_of(["", " "]))
        self.expect_error("cannot be read", "eval", self.model, "--tasks", str(self.folder / "nowhere"))


if __name__ == "__main__":
    program.main()
