"""--kv-disk: answers are the same to the last bit with the file, without it, and with whatever a crash, a full disk or another program made of it."""
import fcntl
import itertools
import json
import random
import resource
import signal
import subprocess
import time

import program

SYSTEM = "the same beginning of every prompt, long enough for many blocks of it: " + "and so on, " * 30
RECORDS = 4096  # where the first block's record begins


class KvDisk(program.Case):
    def setUp(self):
        self.file = self.folder / "kv"
        self.file.unlink(missing_ok=True)

    def answer(self, *arguments, model=None, prompt="why?", disk=True, **options):
        """An answer with all its log-probabilities, and what the file did."""
        if disk:
            arguments = ("--kv-disk", str(self.file), *arguments)
        result = self.json_of("run", model or self.model, "--raw", "-p", SYSTEM + prompt, "-n", "8", "--logprobs", "3", "--temperature", "0",
                              *arguments, **options)
        return {key: result[key] for key in ("prompt_tokens", "tokens", "text", "logprobs")}, result.get("kv_disk")

    def filled(self, *arguments):
        """The file's bytes after one run, and the answer to expect."""
        expected, disk = self.answer(*arguments)
        self.assertGreater(disk["blocks_written"], 5)
        return self.file.read_bytes(), expected

    def test_a_second_run_reads_what_the_first_computed(self):
        _, expected = self.filled()
        again, disk = self.answer()
        self.assertEqual(again, expected)
        self.assertEqual(again, self.answer(disk=False)[0])
        self.assertEqual(disk["blocks_at_open"], disk["blocks"])
        n_prompt = len(expected["prompt_tokens"])
        self.assertIn(disk["tokens_restored"], (n_prompt - 1, n_prompt // 16 * 16))  # of full blocks, all but the prompt's last token
        self.assertEqual(disk["rejected"], {"damaged": 0, "orphaned": 0, "skipped_slow_read": 0, "skipped_slow_write": 0, "skipped_no_memory": 0})
        other, disk = self.answer(prompt="how?")
        self.assertEqual(other, self.answer(prompt="how?", disk=False)[0])
        self.assertGreater(disk["blocks_restored"], 5)
        said = self.rafter("run", self.model, "--raw", "-p", SYSTEM, "-n", "1", "--kv-disk", str(self.file)).stderr.decode()
        self.assertRegex(said, r"KV file: restored [0-9,]+ blocks? \([0-9,]+ tokens, .*\) in .* holds [0-9,]+ of at most [0-9,]+ blocks")

    def test_every_type_and_block_size_comes_back_to_the_last_bit(self):
        types = ["f32", "f16", "bf16", "q8", "q4", "q8,q4"]
        for i, (kv_type, block) in enumerate(itertools.product(types, ["16", "64", "256"])):
            options = ("--kv-type", kv_type, "--kv-block", block, "--activations", ["q8", "q16", "f32"][i % 3])
            self.file.unlink(missing_ok=True)
            _, expected = self.filled(*options) if block == "16" else (None, self.answer(*options)[0])
            again, disk = self.answer(*options)
            self.assertEqual(again, expected, options)
            self.assertGreater(disk["tokens_restored"], 250, options)
            self.assertEqual(self.answer(*options, disk=False)[0], expected, options)

    def test_what_changes_bits_is_another_file(self):
        _, _ = self.filled()
        other_weights = program.make_tiny_model(self.folder / "other.gguf", dtype="Q4_0")
        changed = self.folder / "changed.gguf"
        data = bytearray((self.folder / "tiny.gguf").read_bytes())
        data[-5] ^= 1  # one bit of one weight
        changed.write_bytes(data)
        for options in ({"model": other_weights}, {"model": str(changed)}, {"model": self.model, "arguments": ("--isa", "scalar")},
                        {"model": self.model, "arguments": ("--kv-type", "bf16")}, {"model": self.model, "arguments": ("--kv-block", "32")},
                        {"model": self.model, "arguments": ("--activations", "f32")}, {"model": self.model, "arguments": ("--no-fuse", "rows")}):
            arguments = options.get("arguments", ())
            before = self.file.read_bytes()
            said = self.rafter("run", options["model"], "--raw", "-p", "x", "-n", "1", "--kv-disk", str(self.file), *arguments).stderr.decode()
            self.assertIn("starting over", said, options)
            self.file.write_bytes(before)
            answer, disk = self.answer(*arguments, model=options["model"])
            self.assertEqual(disk["blocks_restored"], 0, options)
            self.assertEqual(answer, self.answer(*arguments, model=options["model"], disk=False)[0], options)
            self.file.write_bytes(before)
        self.assertGreater(self.answer("--threads", "1")[1]["blocks_restored"], 5)  # threads change no bit

    def test_no_damage_is_believed(self):
        whole, expected = self.filled()
        dice = random.Random(4)
        for round_ in range(12 if program.SANITIZED else 60):
            data = bytearray(whole)
            kind = round_ % 4
            if kind == 0:
                data = data[: dice.randrange(len(data))]
            elif kind == 1:
                begin = dice.randrange(len(data))
                data[begin : begin + 5000] = bytes(len(data[begin : begin + 5000]))
            else:
                places = [dice.randrange(RECORDS), RECORDS + dice.randrange(5000), dice.randrange(len(data))]
                data[places[kind - 2 if round_ % 8 < 4 else 2]] ^= 1 << dice.randrange(8)
            self.file.write_bytes(data)
            done = subprocess.run([program.BINARY, "run", self.model, "--raw", "-p", SYSTEM + "why?", "-n", "8", "--logprobs", "3",
                                   "--temperature", "0", "--json", "--kv-disk", str(self.file)], env=self.environment, capture_output=True)
            if done.returncode == 0:
                answer = json.loads(done.stdout)
                self.assertEqual({key: answer[key] for key in expected}, expected, round_)
            else:  # its first eight bytes are gone: somebody else's file
                self.assertIn(b"expected a file of KV cache blocks", done.stderr)
                self.assertNotEqual(bytes(data[:8]), whole[:8])
                self.assertEqual(self.file.read_bytes(), data)

    def test_a_kill_at_any_time_leaves_a_file_that_can_be_used(self):
        requests = self.folder / "prompts.jsonl"
        results = self.folder / "results.jsonl"
        with open(requests, "w") as file:
            for i in range(60):
                body = {"prompt": f"{i} {i * i} " + SYSTEM + str(i), "max_tokens": 12, "temperature": 0}
                print(json.dumps({"custom_id": str(i), "method": "POST", "url": "/v1/completions", "body": body}), file=file)
        command = [program.BINARY, "batch", self.model, "--in", str(requests), "--out", str(results), "--batch", "2"]

        def texts():
            lines = [json.loads(line) for line in results.read_text().splitlines()]
            return {line["custom_id"]: line["response"]["body"]["choices"][0]["text"] for line in lines}

        subprocess.run(command, check=True, env=self.environment, stderr=subprocess.DEVNULL)
        expected = texts()
        self.assertEqual(len(expected), 60)
        command += ["--kv-disk", str(self.file), "--kv-disk-size", "3MB"]
        dice = random.Random(9)
        n_killed = 0
        for _ in range(5 if program.SANITIZED else 25):
            results.unlink(missing_ok=True)
            size = self.file.stat().st_size if self.file.exists() else 0
            process = subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 30
            while process.poll() is None and self.file.exists() == (size == 0) and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(dice.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            n_killed += process.wait() == -signal.SIGKILL
        self.assertGreater(n_killed, 3)
        results.unlink(missing_ok=True)
        done = subprocess.run(command, check=True, env=self.environment, stderr=subprocess.PIPE)
        self.assertEqual(texts(), expected)
        self.assertIn(b"KV file", done.stderr)
        self.assertNotIn(b"damaged", done.stderr.split(b"KV file")[0])

    def test_a_full_disk_costs_one_line(self):
        expected, _ = self.answer(disk=False)

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

        done = self.rafter("run", self.model, "--raw", "-p", SYSTEM + "why?", "-n", "8", "--logprobs", "3", "--temperature", "0", "--json",
                           "--kv-disk", str(self.file), preexec_fn=limit)
        answer = json.loads(done.stdout)
        self.assertEqual({key: answer[key] for key in expected}, expected)
        self.assertEqual(done.stderr.count(b"--kv-disk"), 1, done.stderr)
        self.assertIn(b"cannot be written: File too large; going on without the cache on disk", done.stderr)
        again, disk = self.answer()
        self.assertEqual(again, expected)
        self.assertEqual(disk["rejected"]["damaged"], 0)

    def test_paths_that_are_no_such_file(self):
        expected, _ = self.answer(disk=False)
        for path, words in (("/dev/full", "regular file"), (str(self.folder), "cannot be opened"), (str(self.folder / "no" / "kv"), "cannot be opened")):
            done = self.rafter("run", self.model, "--raw", "-p", SYSTEM + "why?", "-n", "8", "--logprobs", "3", "--temperature", "0", "--json",
                               "--kv-disk", path)
            answer = json.loads(done.stdout)
            self.assertEqual({key: answer[key] for key in expected}, expected)
            self.assertIn(words, done.stderr.decode())
            self.assertIn("going on without the cache on disk", done.stderr.decode())
        notes = self.folder / "notes.txt"
        notes.write_text("mine")
        self.expect_error("expected a file of KV cache blocks", "run", self.model, "-p", "x", "--kv-disk", str(notes))
        self.assertEqual(notes.read_text(), "mine")
        self.rafter("run", self.model, "-p", "x", "--kv-disk", str(self.file), "--kv-disk-size", "1KB", status=2)
        self.rafter("run", self.model, "-p", "x", "--kv-disk-size", "1GB", status=2)

    def test_two_at_once(self):
        self.filled()
        with open(self.file, "rb+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            done = self.rafter("run", self.model, "--raw", "-p", "x", "-n", "1", "--kv-disk", str(self.file))
            self.assertIn(b"another process is using this file; going on without the cache on disk", done.stderr)
        self.assertGreater(self.answer()[1]["blocks_restored"], 5)

    def test_layers_with_a_window_say_so(self):
        model = program.make_tiny_model(self.folder / "gemma3.gguf", name="gemma3")
        done = self.rafter("run", model, "--raw", "-p", "x", "-n", "1", "--kv-disk", str(self.file))
        self.assertIn(b"sliding window", done.stderr)
        self.assertFalse(self.file.exists())

    def test_bench_says_what_the_file_did(self):
        work = ("bench", self.model, "--threads", "1", "--prompt", "80", "--shared-prefix", "32", "--generate", "6", "--batch", "4",
                "--requests", "24", "--kv-memory", "200KB")
        # bench saves what it measures of this machine, and for so small a model files are slow: the other tests know nothing of it.
        own = {"env": {**self.environment, "XDG_CACHE_HOME": str(self.folder / "bench-cache")}}
        plain = self.json_of(*work, **own)
        first = self.json_of(*work, "--kv-disk", str(self.file), **own)
        second = self.json_of(*work, "--kv-disk", str(self.file), **own)
        self.assertEqual({plain["tokens_hash"]}, {first["tokens_hash"], second["tokens_hash"]})
        self.assertGreater(first["kv_disk"]["blocks_written"] + first["kv_disk"]["rejected"]["skipped_slow_write"], 24)
        cache = second["prefix_cache"]
        self.assertEqual(cache["tokens_asked"], cache["tokens_found"] + cache["tokens_restored"] + sum(cache["tokens_missed"].values()))
        said = self.rafter(*work, "--kv-disk", str(self.file), **own).stdout.decode()
        self.assertIn("KV file", said)
        rows = self.json_of("bench", self.model, "--prompt", "64", "--generate", "2", "--repeat", "2", "--kv-disk", str(self.file))
        self.assertGreater(rows["kv_disk"]["blocks_restored"], 0)


if __name__ == "__main__":
    program.main()
