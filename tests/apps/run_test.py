"""rafter run on a tiny model: one-shot text, JSON, sampling options, and everything that can be wrong with prompt, model and output."""
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import program
from terminal import Terminal


class Run(program.Case):
    def test_text_is_the_same_in_a_pipe_and_in_json(self):
        text = self.rafter("run", self.model, "--raw", "-p", "hello", "-n", "12")
        self.assertEqual(text.stdout.decode(), self.generate("-p", "hello")["text"] + "\n")
        summary = text.stderr.decode()
        self.assertRegex(summary, r"prompt \d+ tokens, [\d.,]+ tok/s · generated 12 tokens, [\d.,]+ tok/s · read [\d.]+ .?B/s of weights and KV"
                                  r"(, \d+% of [\d.]+ .?B/s measured \((fits in the L\d cache|memory)\)(: a measuring error.*)?|"
                                  r"; other programs were using the CPUs, so no percentage of the measured bandwidth is shown)\n$")
        self.assertEqual(summary.count("\n"), 1, "no progress bar in a pipe")

    def test_json_has_all_fields(self):
        result = self.generate("-p", "hello", "--logprobs", "3")
        self.assertEqual(list(result), ["prompt_tokens", "tokens", "text", "finish_reason", "logprobs", "timings"])
        self.assertEqual(len(result["tokens"]), 12)
        self.assertEqual(result["finish_reason"], "length")
        ids = subprocess.run([program.BINARY, "tokenize", self.model], input=b"hello", capture_output=True, check=True).stdout.split()
        self.assertEqual(result["prompt_tokens"], [int(i) for i in ids])
        decoded = subprocess.run([program.BINARY, "tokenize", self.model, "--decode"], input=" ".join(map(str, result["tokens"])).encode(),
                                 capture_output=True, check=True).stdout
        self.assertEqual(result["text"], decoded.decode(errors="replace"))
        timings = result["timings"]
        for name in ["load_seconds", "prefill_seconds", "prefill_tokens_per_second", "decode_seconds", "decode_tokens_per_second",
                     "bytes_per_token", "read_bytes_per_s", "bandwidth_bytes_per_s", "roof_fraction"]:
            self.assertGreater(timings[name], 0, name)
        self.assertAlmostEqual(timings["roof_fraction"], timings["read_bytes_per_s"] / timings["bandwidth_bytes_per_s"])
        self.assertAlmostEqual(timings["read_bytes_per_s"], timings["bytes_per_token"] * timings["decode_tokens_per_second"], delta=1)

    def chat_json(self, *arguments):
        return self.json_of("run", self.model, *self.asked(), *arguments)

    def asked(self):
        """A question in a short template, as the tiny model's context is short."""
        template = self.folder / "tools.jinja"
        template.write_text("{# <tool_call> #}{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}")
        return "--chat-template", str(template), "--chat", "-p", "The weather?", "-n", "300", "--temperature", "1", "--seed", "3"

    def tools_file(self):
        schema = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"enum": [1, 2]}}, "required": ["city", "days"],
                  "additionalProperties": False}
        tools = [{"type": "function", "function": {"name": "get_weather", "description": "Of a city", "parameters": schema}},
                 {"type": "function", "function": {"name": "now"}}]
        return self.write("tools.json", tools), self.write("body.json", {"messages": [], "tools": tools})

    def write(self, name, value):
        path = self.folder / name
        path.write_text(json.dumps(value))
        return str(path)

    def test_calls_are_apart_in_json(self):
        for path in self.tools_file():
            result = self.chat_json("--tools", path, "--tool-choice", "get_weather")
            (call,) = result["tool_calls"]
            self.assertEqual((call["type"], call["function"]["name"], result["finish_reason"], result["content"]), ("function", "get_weather", "tool_calls", None))
            self.assertEqual(list(json.loads(call["function"]["arguments"])), ["city", "days"])
            self.assertIn(call["function"]["arguments"], result["text"])
        self.assertNotIn("tool_calls", self.chat_json("--tools", path, "--tool-choice", "none"))
        choices = self.chat_json("--tools", path, "--tool-choice", "required", "--n", "2")["choices"]
        ids = {call["id"] for choice in choices for call in choice.get("tool_calls", [])}
        self.assertGreater(len(ids), 1)

    def test_tools_that_are_none_are_refused(self):
        tools, _ = self.tools_file()
        ask = ("run", self.model, "--chat", "-p", "x")
        self.expect_error("tools: expected a list, found 3", *ask, "--tools", self.write("number.json", 3))
        self.expect_error("tool_choice: expected the name of one of the tools, found \"rm\"", *ask, "--tools", tools, "--tool-choice", "rm")
        self.expect_error("--tool-choice: needs --tools", *ask, "--tool-choice", "required", status=2)
        self.expect_error("--tools: needs --chat", "run", self.model, "--raw", "-p", "x", "--tools", tools, status=2)
        self.expect_error("--tools: needs a prompt (-p)", "run", self.model, "--tools", tools, status=2, stdin=subprocess.PIPE)

    def test_thoughts_are_apart_in_json_and_as_written_in_a_pipe(self):
        options = ("--reasoning-parser", "think", "--thinking-tokens", "5", "--choice", "yes", "--choice", "no")
        result = self.chat_json(*options)
        self.assertIn(result["content"], ("yes", "no"))
        self.assertIn("The time for thinking is used up", result["reasoning_content"])
        self.assertNotIn("think>", result["reasoning_content"])
        piped = self.rafter("run", self.model, *self.asked(), *options).stdout.decode()
        self.assertEqual(piped, result["text"] + "\n")
        self.assertIn("</think>", piped)

    def test_thoughts_and_calls_are_apart_at_a_terminal(self):
        tools, _ = self.tools_file()
        thoughts = ("--reasoning-parser", "think", "--thinking-tokens", "5")
        for options, end in (((*thoughts, "--choice", "yes"), "yes"),
                             ((*thoughts, "--tools", tools, "--tool-choice", "get_weather"), "get_weather {\"city\"")):
            for several in ((), ("--n", "2")):
                terminal = Terminal(self.model, *self.asked(), "--quiet", *options, *several, columns=300, stdout_is_terminal=True,
                                    env={**{k: v for k, v in self.environment.items() if k != "NO_COLOR"}, "TERM": "xterm"})
                self.assertEqual(terminal.end(), 0)
                shown, found, _ = terminal.bytes.decode().partition(end)
                self.assertTrue(found, shown)
                thought, dim_end, gap = shown.rpartition("\x1b[0m")
                self.assertTrue(dim_end, shown)
                self.assertIn("\x1b[2m", thought)
                self.assertIn("I give my answer now.", re.sub(r"\x1b\[[0-9]m", "", thought))
                self.assertEqual(gap.strip("\r\n"), "")
                self.assertNotIn("think>", shown)

    def test_other_programs_on_all_cpus_are_said(self):
        spin = [sys.executable, "-c", "while True: pass"]
        others = [subprocess.Popen(spin) for _ in range(4 * os.cpu_count())]
        try:
            for _ in range(10):  # a run as short as this may by chance never be interrupted
                if self.generate("-p", "hello", "-n", "200")["timings"]["machine_busy"]:
                    return
            self.fail("ten runs beside busy programs were all called undisturbed")
        finally:
            for other in others:
                other.kill()
            for other in others:
                other.wait()

    def test_logprobs_are_of_the_chosen_tokens_and_sorted(self):
        result = self.generate("-p", "hello", "--logprobs", "5")
        for token, entry in zip(result["tokens"], result["logprobs"], strict=True):
            self.assertEqual(entry["id"], token)
            self.assertEqual(entry["top"][0], [token, entry["logprob"]])  # greedy
            self.assertEqual(len(entry["top"]), 5)
            self.assertEqual(entry["top"], sorted(entry["top"], key=lambda pair: (-pair[1], pair[0])))
            self.assertLess(sum(math.exp(logprob) for _, logprob in entry["top"]), 1 + 1e-9)
        everything = self.generate("-p", "hello", "-n", "1", "--logprobs", "1000")["logprobs"][0]["top"]
        self.assertAlmostEqual(sum(math.exp(logprob) for _, logprob in everything), 1.0, places=9)

    def test_tokens_do_not_depend_on_threads(self):
        self.assertEqual(self.generate("-p", "hello", "--threads", "1", "--logprobs", "2")["logprobs"],
                         self.generate("-p", "hello", "--threads", "3", "--logprobs", "2")["logprobs"])

    def test_every_mode_runs(self):
        for option, values in {"--activations": ["q8", "q16", "f32"], "--kv-type": ["f32", "f16", "bf16", "q8", "q4", "q8,q4", "f16,q8"], "--isa": ["scalar"]}.items():
            for value in values:
                self.assertEqual(len(self.generate("-p", "hello", option, value)["tokens"]), 12, (option, value))

    def test_same_seed_same_text(self):
        warm = ["-p", "hello", "-n", "30", "--temperature", "2"]
        first = self.generate(*warm, "--seed", "7")
        self.assertEqual(first["seed"], 7)
        self.assertEqual(first["tokens"], self.generate(*warm, "--seed", "7")["tokens"])
        self.assertNotEqual(first["tokens"], self.generate(*warm, "--seed", "8")["tokens"])
        unseeded = self.generate(*warm)
        self.assertEqual(unseeded["tokens"], self.generate(*warm, "--seed", str(unseeded["seed"]))["tokens"])

    def test_top_k_of_one_is_greedy_at_any_temperature(self):
        greedy = self.generate("-p", "hello")["tokens"]
        for cut in (["--top-k", "1"], ["--top-p", "0"], ["--min-p", "1"], ["--min-p", "1", "--typical-p", "0"]):
            self.assertEqual(self.generate("-p", "hello", "--temperature", "5", "--seed", "3", *cut)["tokens"], greedy, cut)

    def test_logit_bias_and_penalties_change_the_choice(self):
        self.assertEqual(self.generate("-p", "hello", "--logit-bias", "5=1000")["tokens"], [5] * 12)
        bias = ["-p", "hello", "--logit-bias", "5=1000", "--logit-bias", "9=990", "--logit-bias", "11=980"]
        self.assertEqual(self.generate(*bias, "--presence-penalty", "15")["tokens"][:3], [5, 9, 5])
        self.assertEqual(self.generate(*bias, "--frequency-penalty", "15")["tokens"][:4], [5, 9, 5, 11])
        self.assertEqual(self.generate(*bias, "--repeat-penalty", "1.5")["tokens"][:4], [5, 9, 11, 5])

    def test_stop_text_ends_the_answer_before_it(self):
        whole = self.generate("-p", "hello", "-n", "40")["text"]
        stop = whole[8:11]
        cut = self.generate("-p", "hello", "-n", "40", "--stop", "never there", "--stop", stop)
        self.assertEqual(cut["text"], whole[: whole.index(stop)])
        self.assertEqual(cut["finish_reason"], "stop")

    def test_end_token_ends_the_answer_and_is_not_shown(self):
        eos = str(max(self.generate("-p", "x", "-n", "1", "--logprobs", "1000")["logprobs"][0]["top"])[0])
        result = self.generate("-p", "hello", "--logit-bias", eos + "=1000")
        self.assertEqual((result["tokens"], result["text"], result["finish_reason"]), ([int(eos)], "", "stop"))

    def end_token(self):
        return str(max(self.generate("-p", "x", "-n", "1", "--logprobs", "1000")["logprobs"][0]["top"])[0])

    def test_min_tokens_puts_end_tokens_and_stop_texts_off(self):
        eos = self.end_token()
        greedy = self.generate("-p", "hello")
        result = self.generate("-p", "hello", "--logit-bias", eos + "=1000", "--min-tokens", "5")
        self.assertEqual((result["tokens"], result["finish_reason"]), (greedy["tokens"][:5] + [int(eos)], "stop"))
        whole = self.generate("-p", "hello", "-n", "40")
        stop = whole["text"][0]
        self.assertEqual(self.generate("-p", "hello", "-n", "40", "--stop", stop)["text"], "")
        late = self.generate("-p", "hello", "-n", "40", "--stop", stop, "--min-tokens", "10")
        self.assertGreater(len(late["tokens"]), 10)
        self.assertTrue(late["text"] and whole["text"].startswith(late["text"]))
        never = self.generate("-p", "hello", "-n", "40", "--stop", stop, "--min-tokens", "40")
        self.assertEqual((never["text"], never["finish_reason"]), (whole["text"], "length"))

    def test_ignore_eos_goes_on_and_does_not_show_end_tokens(self):
        eos = self.end_token()
        result = self.generate("-p", "hello", "--logit-bias", eos + "=1000", "--ignore-eos")
        self.assertEqual((result["tokens"], result["text"], result["finish_reason"]), ([int(eos)] * 12, "", "length"))

    def test_several_answers_are_each_what_their_seed_gives_alone(self):
        warm = ["-p", "hello", "--temperature", "2"]
        result = self.generate(*warm, "--seed", "7", "--n", "3", "--logprobs", "0")
        self.assertEqual(list(result), ["prompt_tokens", "choices", "timings"])
        self.assertEqual([choice["index"] for choice in result["choices"]], [0, 1, 2])
        self.assertEqual(result["choices"][0]["seed"], 7)
        self.assertEqual(len({tuple(choice["tokens"]) for choice in result["choices"]}), 3)
        for choice in result["choices"]:
            alone = self.generate(*warm, "--seed", str(choice["seed"]), "--logprobs", "0")
            for name in ("tokens", "text", "finish_reason", "seed", "logprobs"):
                self.assertEqual(choice[name], alone[name], name)
        self.assertEqual(self.generate(*warm, "--seed", "7", "--n", "20", "--logprobs", "0")["choices"][:3], result["choices"], "more than go at once")

    def test_best_of_shows_the_likeliest_a_token_first(self):
        warm = ["-p", "hello", "--temperature", "2", "--seed", "7"]
        everything = self.generate(*warm, "--n", "8", "--logprobs", "0")["choices"]
        means = [sum(entry["logprob"] for entry in choice["logprobs"]) / len(choice["logprobs"]) for choice in everything]
        best = self.generate(*warm, "--n", "3", "--best-of", "8")["choices"]
        self.assertEqual([choice["index"] for choice in best], sorted(range(8), key=lambda i: -means[i])[:3])
        for choice in best:
            self.assertEqual(choice["tokens"], everything[choice["index"]]["tokens"])
            self.assertAlmostEqual(choice["mean_logprob"], means[choice["index"]], places=12)
            self.assertNotIn("logprobs", choice)
        self.assertEqual(len(self.generate(*warm, "--best-of", "2")["choices"]), 1)

    def test_several_answers_as_text_are_parted_by_lines(self):
        warm = ["run", self.model, "--raw", "-n", "12", "-p", "hello", "--temperature", "2", "--seed", "7", "--n", "2"]
        choices = self.json_of(*warm)["choices"]
        texts = [choice["text"] for choice in choices]
        done = self.rafter(*warm)
        self.assertEqual(done.stdout.decode(), f"--- answer 1 of 2 ---\n{texts[0]}\n\n--- answer 2 of 2 ---\n{texts[1]}\n")
        self.assertIn(f"generated {sum(len(choice['tokens']) for choice in choices)} tokens, ", done.stderr.decode())
        ranked = self.rafter(*warm, "--best-of", "3").stdout.decode()
        self.assertRegex(ranked, r"^--- answer 1 of 2, mean log-probability -\d+\.\d{4} ---\n")

    def test_chat_goes_through_the_template_and_is_the_default_for_a_model_that_has_one(self):
        chat = self.json_of("run", self.model, "--chat", "-p", "hello", "-n", "4")
        self.assertEqual(chat["prompt_tokens"], self.json_of("run", self.model, "-p", "hello", "-n", "4")["prompt_tokens"])
        self.assertGreater(len(chat["prompt_tokens"]), len(self.generate("-p", "hello")["prompt_tokens"]))
        system = self.json_of("run", self.model, "-p", "hello", "-n", "4", "--system", "be brief")
        self.assertGreater(len(system["prompt_tokens"]), len(chat["prompt_tokens"]))

    def test_no_tokens_to_generate(self):
        result = self.generate("-p", "hello", "-n", "0")
        self.assertEqual((result["tokens"], result["text"], result["finish_reason"]), ([], "", "length"))

    def test_a_full_context_ends_the_answer_with_a_note(self):
        done = self.rafter("run", self.model, "--raw", "-p", "hello", "-n", "500", "--context", "20", "--json")
        result = json.loads(done.stdout)
        self.assertEqual(len(result["prompt_tokens"]) + len(result["tokens"]), 20)
        self.assertEqual(result["finish_reason"], "length")
        self.assertIn("the context of 20 tokens is full", done.stderr.decode())

    def test_context_beyond_the_models(self):
        self.expect_error("context: expected at most 512, which the model was trained for, found 513", "run", self.model, "--raw", "-p", "x",
                          "--context", "513")
        self.expect_error("the prompt is too long: expected at most 511 tokens in a context of 512", "run", self.model, "--raw", "-p", "xy" * 5000)

    def test_empty_prompt(self):
        self.expect_error("the prompt is empty, and this model has no BOS token", "run", self.model, "--raw", "-p", "")
        bos = program.with_bos(self.model, self.folder / "bos.gguf")
        result = self.json_of("run", bos, "--raw", "-p", "", "-n", "3")
        self.assertEqual((len(result["prompt_tokens"]), len(result["tokens"])), (1, 3))
        self.assertEqual(len(self.json_of("run", self.model, "--chat", "-p", "", "-n", "3", "--temperature", "0")["tokens"]), 3)

    def test_a_prompt_of_any_bytes(self):
        for prompt in (b"\xff\xfe", b"caf\xc3", "日本".encode(), b"\xed\xa0\x80", b"\x01\x1b[2J"):
            for mode in ("--raw", "--chat"):
                done = self.rafter("run", self.model, mode, "-p", prompt, "-n", "5", "--temperature", "0", "--json")
                self.assertEqual(len(json.loads(done.stdout.decode("utf-8", "strict"))["tokens"]), 5, prompt)

    def test_bad_numbers(self):
        for words, option, value in [
            ("n: several answers need a temperature above 0", "--n", "2"),
            ("best-of: several answers need a temperature above 0", "--best-of", "2"),
            ("logit bias: expected a token from 0 to", "--logit-bias", "100000=1"),
            ("logit bias: expected a token from 0 to", "--logit-bias", "-1=1"),
        ]:
            self.expect_error(words, "run", self.model, "--raw", "-p", "x", f"{option}={value}" if option != "--logit-bias" else option,
                              *([value] if option == "--logit-bias" else []))

    def test_numbers_out_of_their_ranges(self):
        for words, option, value in [
            ("--temperature: expected a number from 0 to 100, found -1", "--temperature", "-1"),
            ('--temperature: expected a number from 0 to 100, found "nan"', "--temperature", "nan"),
            ("--top-p: expected a number from 0 to 1, found 1.5", "--top-p", "1.5"),
            ("--min-p: expected a number from 0 to 1, found -0.5", "--min-p", "-0.5"),
            ("--typical-p: expected a number from 0 to 1, found 1.5", "--typical-p", "1.5"),
            ('--typical-p: expected a number from 0 to 1, found "nan"', "--typical-p", "nan"),
            ("--n: expected a whole number from 1 to 128, found 0", "--n", "0"),
            ("--n: expected a whole number from 1 to 128, found 129", "--n", "129"),
            ("--best-of: expected a whole number from 1 to 128, found 0", "--best-of", "0"),
            ("--repeat-penalty: expected a number from 1e-06 to 1e+06, found 0", "--repeat-penalty", "0"),
            ("--context: expected a whole number from 1 to 4,294,967,295, found 0", "--context", "0"),
        ]:
            self.expect_error(words, "run", self.model, "--raw", "-p", "x", f"{option}={value}", status=2)

    def test_models_that_cannot_be_read(self):
        self.expect_error("no such file or folder", "run", "nowhere/model.gguf", "-p", "x")
        self.expect_error("rafter models get SmolLM2-135M-Instruct", "run", "smollm2-135m-INSTRUCT", "-p", "x")
        broken = self.folder / "broken.gguf"
        whole = Path(self.model).read_bytes()
        for size in (0, 3, 100, len(whole) // 2, len(whole) - 1):
            broken.write_bytes(whole[:size])
            self.expect_error("broken.gguf", "run", str(broken), "--raw", "-p", "x")
        broken.unlink()
        self.expect_error("unknown", "run", self.unknown_architecture(), "-p", "x")

    def unknown_architecture(self):
        data = Path(self.model).read_bytes().replace(b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama",
                                                     b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llamb")
        path = self.folder / "unknown.gguf"
        path.write_bytes(data)
        return str(path)

    def test_folders_of_models(self):
        hub = self.folder / "models--org--tiny"
        snapshot = hub / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        self.expect_error("expected a .gguf file, or config.json and .safetensors files, in this folder", "run", str(hub), "-p", "x")
        (snapshot / "tiny.gguf").symlink_to(self.model)
        (snapshot / "mmproj-tiny.gguf").symlink_to(self.model)
        self.assertEqual(len(self.json_of("run", str(hub), "--raw", "-p", "x", "-n", "2")["tokens"]), 2)
        (snapshot / "other.gguf").symlink_to(self.model)
        done = self.rafter("run", str(hub), "-p", "x", status=1)
        self.assertIn("expected one model in this folder, found 2", done.stderr.decode())
        self.assertIn(str(snapshot / "other.gguf"), done.stderr.decode())

    def test_names_of_files_in_the_models_folder(self):
        folder = self.folder / "named"
        folder.mkdir()
        (folder / "My-Model.Q8_0.gguf").symlink_to(self.model)
        environment = {**self.environment, "RAFTER_MODELS_DIR": str(folder)}
        for name in ("my-model.q8_0", "MY-MODEL.Q8_0.GGUF"):
            self.assertEqual(len(self.json_of("run", name, "--raw", "-p", "x", "-n", "2", env=environment)["tokens"]), 2)

    def test_a_closed_pipe_ends_quietly(self):
        for arguments in (["run", self.model, "--raw", "-p", "x", "-n", "400", "--logit-bias", "5=1000"], ["info", self.model, "--tensors"]):
            process = subprocess.Popen([program.BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment)
            process.stdout.close()
            message = process.stderr.read().decode()
            process.stderr.close()
            self.assertEqual((process.wait(timeout=60), message), (0, ""))

    def test_a_full_disk_under_the_text(self):
        with open("/dev/full", "wb") as full:
            for more in ([], ["--json"]):
                self.expect_error("standard output: cannot be written: No space left on device", "run", self.model, "--raw", "-p", "x", "-n", "5",
                                  *more, stdout=full)

    def test_ctrl_c_ends_with_what_there_is(self):
        model = program.small_model()
        if model is None:
            self.skipTest("no SmolLM2-135M-Instruct on this machine: the tiny model is too fast to be interrupted")
        process = subprocess.Popen([program.BINARY, "run", model, "--raw", "-p", "One, two, three,", "-n", "4000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment)
        first = process.stdout.read(1)
        process.send_signal(2)
        start = time.monotonic()
        text, message = process.communicate(timeout=60)
        self.assertLess(time.monotonic() - start, 20)
        self.assertEqual(process.returncode, 130)
        self.assertTrue(first + text)
        self.assertIn("generated", message.decode())


if __name__ == "__main__":
    program.main()
