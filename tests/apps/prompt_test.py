"""Where a prompt comes from: options, files, standard input, and several of these; and what it is sampled with."""
import json
import os
import re
import subprocess
import time
from pathlib import Path

import program

GREEDY = ["--temperature", "0"]
CHATML = b"tokenizer.chat_template"


class Prompt(program.Case):
    def tokens(self, *arguments, **options):
        """The prompt's tokens as `run` makes them."""
        return self.json_of("run", self.model, *arguments, "-n", "1", **options)["prompt_tokens"]

    def piped(self, data, *arguments, **options):
        return self.tokens(*arguments, stdin=None, input=data, **options)

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def test_standard_input_is_one_prompt(self):
        text = "Fix this code:\ndef f(x):\n    return x+\n\nprint(f(1))"
        self.assertEqual(self.piped(text.encode()), self.tokens("-p", text))
        self.assertEqual(self.piped(text.encode() + b"\n"), self.tokens("-p", text))
        self.assertEqual(self.piped(b"/exit\n"), self.tokens("-p", "/exit"), "no command")
        answer = self.rafter("run", self.model, *GREEDY, "-n", "8", stdin=None, input=text.encode()).stdout
        self.assertEqual(answer, self.rafter("run", self.model, *GREEDY, "-n", "8", "-p", text).stdout)

    def test_a_file_and_a_dash_are_a_prompt(self):
        path = self.write("prompt.txt", b"one\ntwo\n")
        for arguments in (["-f", path], ["--file", path]):
            self.assertEqual(self.tokens(*arguments), self.tokens("-p", "one\ntwo"))
        for arguments in (["-p", "-"], ["-f", "-"], ["-"]):
            self.assertEqual(self.piped(b"one\ntwo", *arguments), self.tokens("-p", "one\ntwo"))
        self.assertEqual(self.tokens("-p", "one", "-f", self.write("two.txt", b"two")), self.tokens("-p", "one\ntwo"))
        self.expect_error("nowhere.txt: cannot be read", "run", self.model, "-f", "nowhere.txt")

    def test_text_on_standard_input_comes_after_the_prompt(self):
        self.assertEqual(self.piped(b"the text\n", "-p", "Summarize:"), self.tokens("-p", "Summarize:\nthe text"))
        self.assertEqual(self.piped(b"the text\n", "Summarize:"), self.tokens("-p", "Summarize:\nthe text"), "a prompt by its place")
        self.assertEqual(self.piped(b"", "-p", "Summarize:"), self.tokens("-p", "Summarize:"))
        self.assertEqual(self.piped(b"c", "-p", "a", "-f", self.write("b.txt", b"b")), self.tokens("-p", "a\nb\nc"))

    def test_line_ends_of_windows_and_a_byte_order_mark(self):
        expected = self.tokens("-p", "one\ntwo")
        for data in (b"one\r\ntwo\r\n", b"\xef\xbb\xbfone\r\ntwo", b"one\ntwo\n"):
            self.assertEqual(self.piped(data), expected, data)
            self.assertEqual(self.piped(data, "--raw"), self.tokens("--raw", "-p", "one\ntwo"), data)
            self.assertEqual(self.tokens("-f", self.write("crlf.txt", data)), expected, data)
        self.assertEqual(self.tokens("-p", "one\r\ntwo"), expected)

    def test_a_prompt_of_200_kb(self):
        text = b"word " * 40000 + b"end"
        for arguments, data in ((["-f", self.write("long.txt", text)], b""), (["-p", "-"], text), ([], text)):
            done = self.rafter("run", self.model, *arguments, stdin=None, input=data, status=1)
            self.assertRegex(done.stderr.decode(), r"the prompt is too long: expected at most 511 tokens in a context of 512, found [\d,]{5,}\n$")

    def test_no_prompt_at_all_is_wrong_usage(self):
        self.assertIn(b"expected a prompt: standard input is empty", self.rafter("run", self.model, status=2).stderr)
        self.assertIn(b"--raw: needs a prompt", self.rafter("run", self.model, "--raw", status=2).stderr)
        done = subprocess.run(f'exec "{program.BINARY}" run "{self.model}" <&-', shell=True, env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"standard input is empty", done.stderr)

    def test_waiting_for_standard_input_is_said(self):
        ours, theirs = os.pipe()
        process = subprocess.Popen([program.BINARY, "run", self.model, "-p", "one", "-n", "1", "--json"], stdin=ours, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment)
        os.close(ours)
        self.assertIn(b"waiting for text on standard input", process.stderr.readline())
        os.write(theirs, b"two")
        os.close(theirs)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(json.loads(out)["prompt_tokens"], self.tokens("-p", "one\ntwo"))

    def test_a_system_message_from_a_file(self):
        path = self.write("system.txt", b"be\r\nbrief\r\n")
        self.assertEqual(self.tokens("-p", "x", "--system-file", path), self.tokens("-p", "x", "--system", "be\nbrief"))
        self.expect_error("--system: cannot be combined with --system-file", "run", self.model, "-p", "x", "--system", "y", "--system-file", path, status=2)

    def test_variables_of_the_template(self):
        template = self.write("think.jinja", b"{{ messages[0].content }}|{{ enable_thinking }}|{{ name }}|{{ n + 1 if n is defined }}")
        def text(*arguments):
            ids = self.tokens("-p", "x", "--chat-template", template, *arguments)
            return self.rafter("tokenize", self.model, "--decode", stdin=None, input=" ".join(map(str, ids)).encode()).stdout.decode()
        self.assertEqual(text(), "x|||")
        self.assertEqual(text("--no-thinking"), "x|False||")
        self.assertEqual(text("--template-var", "enable_thinking=true", "--template-var", "name=a=b", "--template-var", "n=41"), "x|True|a=b|42")
        self.assertIn(b"--template-var: expected NAME=VALUE",
                      self.rafter("run", self.model, "-p", "x", "--template-var", "name", status=2).stderr)

    def test_names_that_people_type(self):
        plain = self.json_of("run", self.model, "-p", "x", "-n", "3", "--temperature", "0.5", "--context", "300", "--threads", "1", "--seed", "4")
        short = self.json_of("run", self.model, "x", "-n", "3", "--temp", "0.5", "-c", "300", "-t", "1", "--seed", "4")
        self.assertEqual(plain["tokens"], short["tokens"])

    def test_quiet_leaves_the_answer_alone(self):
        loud = self.rafter("run", self.model, *GREEDY, "-p", "x", "-n", "4")
        for flag in ("--quiet", "-q"):
            done = self.rafter("run", self.model, *GREEDY, "-p", "x", "-n", "4", flag)
            self.assertEqual((done.stdout, done.stderr), (loud.stdout, b""))
        self.assertIn(b"nowhere", self.rafter("run", "nowhere.gguf", "-p", "x", "-q", status=1).stderr)

    def test_an_answer_ends_with_one_line_end(self):
        done = self.rafter("run", self.model, "--raw", "-p", "x", "-n", "4")
        self.assertEqual(done.stdout, (self.json_of("run", self.model, "--raw", "-p", "x", "-n", "4")["text"] + "\n").encode())
        newline = subprocess.run([program.BINARY, "tokenize", self.model], input=b"\n", capture_output=True, check=True).stdout.split()[0].decode()
        done = self.rafter("run", self.model, "--raw", "-p", "x", "-n", "2", "--logit-bias", newline + "=1000")
        self.assertEqual(done.stdout, b"\n\n")
        self.assertEqual(self.rafter("run", self.model, "--raw", "-p", "x", "-n", "0").stdout, b"")

    def test_the_context_is_said_to_grow_only_where_it_can(self):
        small = self.rafter("run", self.model, "--raw", "-p", "hello", "-n", "500", "--context", "20").stderr.decode()
        self.assertIn("the context of 20 tokens is full; --context takes more, up to the model's 512", small)
        for arguments in ([], ["--context", "512"]):
            whole = self.rafter("run", self.model, "--raw", "-p", "hello", "-n", "600", *arguments).stderr.decode()
            self.assertRegex(whole, r"the context of 512 tokens is full\n")


class Sampling(program.Case):
    def run_json(self, *arguments, model=None):
        return self.json_of("run", model or self.model, "-p", "hello", "-n", "20", *arguments)

    def test_a_chat_samples_and_a_raw_prompt_does_not(self):
        first = self.run_json()
        self.assertEqual(self.run_json("--seed", str(first["seed"]))["tokens"], first["tokens"])
        self.assertEqual(self.run_json("--seed", "3")["tokens"],
                         self.run_json("--seed", "3", "--temperature", "0.8", "--top-p", "0.95", "--min-p", "0.05")["tokens"])
        self.assertGreater(len({tuple(self.run_json("--seed", str(i))["tokens"]) for i in range(4)}), 1)
        for greedy in (self.run_json("--raw"), self.run_json("--temperature", "0")):
            self.assertNotIn("seed", greedy)

    def test_a_seed_of_minus_one_is_random_and_printed(self):
        done = [self.rafter("run", self.model, "-p", "hello", "-n", "20", "--seed", "-1") for _ in range(2)]
        seeds = [re.search(r"(?m)^seed (\d+)$", one.stderr.decode()).group(1) for one in done]
        self.assertNotEqual(*seeds)
        self.assertEqual(self.rafter("run", self.model, "-p", "hello", "-n", "20", "--seed", seeds[0]).stdout, done[0].stdout)
        self.expect_error("--seed: expected a whole number from 0 to 18,446,744,073,709,551,615, or -1, found -2", "run", self.model, "-p", "x", "--seed", "-2",
                          status=2)

    def with_keys(self, name, *keys):
        """A copy of the model with more metadata: (key, float or int) each."""
        import struct

        data = Path(self.model).read_bytes()
        n_keys = struct.unpack_from("<Q", data, 16)[0]
        block = b""
        for key, value in keys:
            block += struct.pack("<Q", len(key)) + key.encode()
            block += struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<Ii", 5, value)
        # Tensor data is aligned to 32 bytes: pad with a key of just the right length.
        pad = -(len(block) + 8 + 4 + 4 + 1) % 32
        block += struct.pack("<Q", pad + 1) + b"p" * (pad + 1) + struct.pack("<II", 4, 0)
        path = self.folder / name
        path.write_bytes(data[:16] + struct.pack("<Q", n_keys + len(keys) + 1) + block + data[24:])
        return str(path)

    def test_the_files_own_sampling_counts(self):
        model = self.with_keys("sampled.gguf", ("general.sampling.temp", 0.5), ("general.sampling.top_k", 7), ("general.sampling.top_p", 0.5))
        explicit = ["--temperature", "0.5", "--top-k", "7", "--top-p", "0.5", "--min-p", "0"]
        self.assertEqual(self.run_json("--seed", "5", model=model)["tokens"], self.run_json("--seed", "5", *explicit)["tokens"])
        self.assertNotIn("seed", self.run_json("--temperature", "0", model=model))
        self.assertNotIn("seed", self.run_json(model=self.with_keys("cold.gguf", ("general.sampling.temp", 0.0))))
        bad = self.with_keys("bad.gguf", ("general.sampling.top_p", 7.0))
        done = self.rafter("run", bad, "-p", "x", "-n", "1")
        self.assertIn("general.sampling.top_p: expected a number from 0 to 1, found 7; not used", done.stderr.decode())

    def test_generation_config_beside_the_file_counts(self):
        folder = self.folder / "repository"
        folder.mkdir()
        (folder / "m.gguf").write_bytes(Path(self.model).read_bytes())
        (folder / "generation_config.json").write_text(json.dumps({"temperature": 0.6, "top_p": 0.9, "top_k": 20, "do_sample": True}))
        explicit = ["--temperature", "0.6", "--top-k", "20", "--top-p", "0.9", "--min-p", "0"]
        self.assertEqual(self.run_json("--seed", "5", model=str(folder / "m.gguf"))["tokens"], self.run_json("--seed", "5", *explicit)["tokens"])
        (folder / "generation_config.json").write_text(json.dumps({"do_sample": False}))
        self.assertNotIn("seed", self.run_json(model=str(folder / "m.gguf")))

    def test_repeat_last_n_is_the_penalties_window(self):
        bias = ["--raw", "--logit-bias", "5=1000", "--logit-bias", "9=990", "--logit-bias", "11=980", "--repeat-penalty", "1.5"]
        self.assertEqual(self.run_json(*bias)["tokens"][:4], [5, 9, 11, 5])
        self.assertEqual(self.run_json(*bias, "--repeat-last-n", "1")["tokens"][:4], [5, 9, 5, 9])
        for everything in ("-1", "0"):
            self.assertEqual(self.run_json(*bias, "--repeat-last-n", everything)["tokens"][:4], [5, 9, 11, 5])

    def test_batch_says_that_its_temperature_is_openais(self):
        self.assertIn("temperature 1", " ".join(self.rafter("batch", "--help").stdout.decode().split()))


if __name__ == "__main__":
    program.main()
