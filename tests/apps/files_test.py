"""Model files as people have them: what is wrong with one is said in one line, and only what needs the wrong part fails. Skipped where the
package gguf is missing."""
import json
import sys

import program

try:
    import gguf
    import numpy
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(program.SKIP)

N_VOCAB, WIDTH, N_BLOCKS = 400, 32, 2
GEMMA2 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{{ message['role'] + ':' + message['content'] + ';' }}{% endfor %}"
)
ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
    "{{ m.role + ':' + m.content + ';' }}{% endfor %}"
)


def write_model(path, ids=(), template=None, n_blocks=N_BLOCKS, more_tensors=(), byte_level=False, pre="gpt-2", merges=()):
    """A tiny random llama; ids: (name, value, "uint32" or "int32") of tokenizer.ggml.NAME_token_id."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(n_blocks)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    if byte_level:
        letters = [chr(c) for c in range(33, 127)] + ["Ġ", "Ċ", "ab", "<s>", "</s>"]
        tokens = letters + [f"w{i}" for i in range(N_VOCAB - len(letters))]
        writer.add_tokenizer_model("gpt2")
        if pre is not None:
            writer.add_tokenizer_pre(pre)
        writer.add_token_types([3 if token in ("<s>", "</s>") else 1 for token in tokens])
        writer.add_token_merges(["a b", *merges])
    else:
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
        tokens += [f"w{i}" for i in range(N_VOCAB - len(tokens))]
        writer.add_tokenizer_model("llama")
        writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (N_VOCAB - 259))
        writer.add_token_scores([0.0] * N_VOCAB)
    writer.add_token_list(tokens)
    for name, value, kind in (("bos", tokens.index("<s>"), "uint32"), ("eos", tokens.index("</s>"), "uint32")):
        if name not in [row[0] for row in ids]:
            getattr(writer, f"add_{kind}")(f"tokenizer.ggml.{name}_token_id", value)
    for name, value, kind in ids:
        getattr(writer, f"add_{kind}")(f"tokenizer.ggml.{name}_token_id", value)
    if template is not None:
        writer.add_chat_template(template)
    random = numpy.random.default_rng(1)

    def tensor(name, *shape):
        writer.add_tensor(name, (random.standard_normal(shape) * 0.2).astype(numpy.float32))

    tensor("token_embd.weight", N_VOCAB, WIDTH)
    tensor("output_norm.weight", WIDTH)
    tensor("output.weight", N_VOCAB, WIDTH)
    for block in range(N_BLOCKS):
        for name, *shape in [
            ("attn_norm", WIDTH), ("ffn_norm", WIDTH), ("attn_q", WIDTH, WIDTH), ("attn_k", WIDTH // 2, WIDTH), ("attn_v", WIDTH // 2, WIDTH),
            ("attn_output", WIDTH, WIDTH), ("ffn_gate", 2 * WIDTH, WIDTH), ("ffn_up", 2 * WIDTH, WIDTH), ("ffn_down", WIDTH, 2 * WIDTH),
        ]:  # fmt: skip
            tensor(f"blk.{block}.{name}.weight", *shape)
    for name in more_tensors:
        tensor(name, WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


class Files(program.Case):
    def write(self, **changes):
        return write_model(self.folder / "model.gguf", **changes)

    def warnings_of(self, *arguments):
        done = self.rafter(*arguments)
        return [line for line in done.stderr.decode().splitlines() if line.startswith("rafter: warning: ")]

    def one_warning(self, *words, **changes):
        """run, eval and batch each say it in one line, and do what they were asked."""
        model = self.write(**changes)
        (self.folder / "text.txt").write_text("abab " * 40)
        (self.folder / "in.jsonl").write_text(
            json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"prompt": "Hi", "max_tokens": 2}}) + "\n"
        )
        (self.folder / "out.jsonl").unlink(missing_ok=True)
        for verb in (
            ["run", model, "--raw", "-p", "Hi", "-n", "2"],
            ["eval", model, "--text", str(self.folder / "text.txt"), "--context", "32"],
            ["batch", model, "--in", str(self.folder / "in.jsonl"), "--out", str(self.folder / "out.jsonl")],
        ):
            with self.subTest(verb=verb[0]):
                found = self.warnings_of(*verb)
                self.assertEqual(len(found), 1, found)
                for word in (model, *words):
                    self.assertIn(word, found[0])

    def test_a_good_file_gives_no_warning(self):
        self.assertEqual(self.warnings_of("run", self.write(), "--raw", "-p", "Hi", "-n", "2"), [])
        self.assertEqual(self.warnings_of("run", self.write(byte_level=True), "--raw", "-p", "Hi", "-n", "2"), [])

    def test_special_ids_that_are_no_token_are_ignored(self):
        lost = 4294967295
        self.one_warning(
            f"padding_token_id {lost}", f"seperator_token_id {lost}", ids=[("padding", lost, "uint32"), ("seperator", lost, "uint32")]
        )
        self.one_warning(f"padding_token_id {N_VOCAB}", ids=[("padding", N_VOCAB, "uint32")])
        self.one_warning("mask_token_id -1", ids=[("mask", -1, "int32")])
        self.one_warning("fim_pre_token_id -1", ids=[("fim_pre", -1, "int32")])

    def test_an_eos_bos_or_eot_that_is_lost_is_named(self):
        self.one_warning("eos_token_id 4294967295 (EOS is token 2, \"</s>\", instead)", ids=[("eos", 4294967295, "uint32")])
        self.one_warning("bos_token_id -1 (BOS is token 1, \"<s>\", instead)", ids=[("bos", -1, "int32")])
        self.one_warning("eot_token_id 400 (EOT is lost)", ids=[("eot", 400, "uint32")])
        self.one_warning("eos_token_id -1 (EOS is lost)", byte_level=True, ids=[("eos", -1, "int32")])

    def test_a_template_that_does_not_parse_fails_only_what_needs_it(self):
        model = self.write(template="{% for m in messages %}{{ m.content ")
        where = "chat template, line 1, column 37: "
        self.assertEqual(self.rafter("run", model, "--raw", "-p", "Hi", "-n", "2", "--json").returncode, 0)
        self.expect_error(where, "run", model, "-p", "Hi", "-n", "2")
        (self.folder / "messages.json").write_text('[{"role": "user", "content": "Hi"}]')
        self.expect_error(where, "template", model, "--messages", str(self.folder / "messages.json"))
        (self.folder / "text.txt").write_text("abab " * 40)
        self.rafter("eval", model, "--text", str(self.folder / "text.txt"), "--context", "32")
        lines = [
            {"custom_id": "chat", "method": "POST", "url": "/v1/chat/completions",
             "body": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}},
            {"custom_id": "text", "method": "POST", "url": "/v1/completions", "body": {"prompt": "Hi", "max_tokens": 2}},
        ]  # fmt: skip
        (self.folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        out = self.folder / "template.jsonl"
        self.rafter("batch", model, "--in", str(self.folder / "in.jsonl"), "--out", str(out))
        answers = {answer["custom_id"]: answer for answer in map(json.loads, out.read_text().splitlines())}
        self.assertIn(where, json.dumps(answers["chat"]))
        self.assertEqual(answers["text"]["response"]["status_code"], 200)

    def test_another_template_replaces_the_files(self):
        model = self.write(template="{% for m in messages %}{{ m.content ")
        (self.folder / "mine.jinja").write_text("<{{ messages[0].content }}>")
        replaced = ["--chat-template", str(self.folder / "mine.jinja"), "-n", "2"]
        self.assertEqual(
            self.json_of("run", model, "-p", "Hi", *replaced)["prompt_tokens"],
            [token for token in self.json_of("run", model, "--raw", "-p", "<Hi>", "-n", "2")["prompt_tokens"] if token != 1],
        )
        (self.folder / "wrong.jinja").write_text("{{")
        self.expect_error("wrong.jinja, line 1, column 3: ", "run", model, "-p", "Hi", "--chat-template", str(self.folder / "wrong.jinja"))
        self.expect_error("nowhere.jinja", "run", model, "-p", "Hi", "--chat-template", str(self.folder / "nowhere.jinja"))

    def test_batch_moves_system_texts_too_and_says_so_once(self):
        model = self.write(template=GEMMA2)
        body = {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}], "max_tokens": 2}
        lines = [{"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": body} for i in range(3)]
        (self.folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        out = self.folder / "moved.jsonl"
        done = self.rafter("batch", model, "--in", str(self.folder / "in.jsonl"), "--out", str(out))
        self.assertEqual(done.stderr.count(b"the chat template takes no system message"), 1)
        self.assertEqual([json.loads(line)["response"]["status_code"] for line in out.read_text().splitlines()], [200] * 3)

    def test_a_template_that_refuses_the_system_role_gets_its_text_before_the_users(self):
        for template in (GEMMA2, ALTERNATING):
            model = self.write(template=template)
            messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]
            (self.folder / "messages.json").write_text(json.dumps(messages))
            done = self.rafter("template", model, "--messages", str(self.folder / "messages.json"))
            self.assertEqual(done.stdout.decode().removeprefix("<s>"), "user:S\n\nU;assistant:A;")
            self.assertEqual(done.stderr.count(b"the chat template takes no system message"), 1)
            plain = self.json_of("run", model, "-p", "x\n\nHi", "-n", "2")
            done = self.rafter("run", model, "--system", "x", "-p", "Hi", "-n", "2", "--json")
            self.assertEqual(json.loads(done.stdout)["prompt_tokens"], plain["prompt_tokens"])
            self.assertEqual(done.stderr.count(b"the chat template takes no system message"), 1)

    def test_a_doubled_bos_gets_a_warning(self):
        done = self.rafter("run", self.write(), "--raw", "-p", "<s>Hi", "-n", "2")
        self.assertIn(b'the prompt begins with two BOS tokens ("<s>")', done.stderr)
        self.assertNotIn(b"BOS", self.rafter("run", self.write(), "--raw", "-p", "Hi", "-n", "2").stderr)

    def test_an_unknown_or_missing_pre_tokenizer(self):
        self.one_warning('tokenizer.ggml.pre: "no-such-one" is unknown', byte_level=True, pre="no-such-one")
        self.one_warning("tokenizer.ggml.pre: the file names no pre-tokenizer", byte_level=True, pre=None)

    def test_merges_of_missing_tokens_are_skipped(self):
        self.one_warning('skipped 2 of 3 entries', 'entry 1 names "zz"', byte_level=True, merges=["zz a", "a c"])

    def test_tensors_and_blocks_that_are_not_used(self):
        self.one_warning('1 tensor is not used: "blk.0.attn_q.odd"', more_tensors=["blk.0.attn_q.odd"])
        self.one_warning("llama.block_count is 1, but there are tensors of 2 blocks", n_blocks=1)

    def test_a_hub_folder_with_its_model_in_a_sub_folder(self):
        snapshot = self.folder / "models--a--b" / "snapshots" / "abc" / "Q4_K_M"
        snapshot.mkdir(parents=True)
        write_model(snapshot / "m.gguf")
        self.rafter("run", str(self.folder / "models--a--b"), "--raw", "-p", "Hi", "-n", "2")


if __name__ == "__main__":
    program.main()
