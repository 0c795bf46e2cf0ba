"""rafter imatrix: its file read by the `gguf` package and held against numpy, its own text, and its failures."""
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import program

try:
    import gguf
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}; install tests/requirements.txt")
    sys.exit(program.SKIP)

CONTEXT = 32


def read(path):
    """Sums and counts by tensor, and the metadata."""
    reader = gguf.GGUFReader(path)
    entries = {}
    for tensor in reader.tensors:
        name, kind = tensor.name.rsplit(".", 1)
        n_cols, n_matrices = (int(n) for n in tensor.shape)
        entries.setdefault(name, {})[kind] = np.array(tensor.data).reshape(n_matrices, n_cols)
    return entries, {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}


def matrices(path):
    """Shapes of a model's tensors with two dimensions or more: (columns, matrices)."""
    tensors = gguf.GGUFReader(path).tensors
    return {t.name: (int(t.shape[0]), int(t.shape[2]) if len(t.shape) > 2 else 1) for t in tensors if len(t.shape) > 1}


class Imatrix(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = cls.folder / "text.txt"
        cls.text.write_text(" ".join(f"word{i * i % 97}" for i in range(120)))
        cls.float_model = program.make_tiny_model(cls.folder / "float.gguf", dtype="F32")

    def setUp(self):
        self.out = self.folder / "out.gguf"
        self.out.unlink(missing_ok=True)

    def collect(self, model, *arguments, text=None):
        self.out.unlink(missing_ok=True)
        return self.json_of("imatrix", model, "--text", str(text or self.text), "--context", str(CONTEXT), "--out", str(self.out), *arguments)

    def tokens(self, model):
        done = subprocess.run([program.BINARY, "tokenize", model], input=self.text.read_bytes(), capture_output=True, check=True)
        return [int(i) for i in done.stdout.split()]

    def left_behind(self):
        return sorted(p.name for p in self.folder.iterdir() if p.name.startswith("out.gguf"))

    def test_every_matrix_has_an_entry_of_its_shape_as_the_gguf_package_reads_it(self):
        result = self.collect(self.model)
        entries, metadata = read(self.out)
        n_windows = len(self.tokens(self.model)) // CONTEXT
        self.assertEqual((result["n_windows"], result["n_tensors"], result["complete"]), (n_windows, len(entries), True))
        self.assertEqual(metadata["general.type"], "imatrix")
        self.assertEqual(metadata["imatrix.datasets"], [str(self.text)])
        self.assertEqual((metadata["imatrix.chunk_count"], metadata["imatrix.chunk_size"]), (n_windows, CONTEXT))
        shapes = matrices(self.model)
        self.assertEqual(set(entries), set(shapes) if "output.weight" not in shapes else set(shapes) - {"token_embd.weight"})
        for name, entry in entries.items():
            self.assertEqual(entry["in_sum2"].shape, (1, shapes[name][0]))
            self.assertEqual(entry["counts"].tolist(), [[n_windows * CONTEXT]])
            self.assertGreater(entry["in_sum2"].sum(), 0)

    def test_sums_are_numpys_for_the_first_layer(self):
        """What the first layer's Q, K and V multiply is the normed embedding of each token: windows, BOS and norm, by hand."""
        model = program.with_bos(self.float_model, self.folder / "float-bos.gguf")
        reader = gguf.GGUFReader(model)
        tensors = {t.name: np.array(t.data, dtype=np.float64) for t in reader.tensors}
        bos = int(reader.fields["tokenizer.ggml.bos_token_id"].contents())
        epsilon = float(reader.fields["llama.attention.layer_norm_rms_epsilon"].contents())
        tokens = np.array([bos] + self.tokens(self.float_model))
        tokens = tokens[:len(tokens) // CONTEXT * CONTEXT]
        tokens[::CONTEXT] = bos
        x = tensors["token_embd.weight"][tokens]
        x = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + epsilon) * tensors["blk.0.attn_norm.weight"]
        self.collect(model)
        entries, _ = read(self.out)
        for name in ("attn_q", "attn_k", "attn_v"):
            np.testing.assert_allclose(entries[f"blk.0.{name}.weight"]["in_sum2"][0], (x * x).sum(axis=0), rtol=1e-5)

    def test_each_token_counts_once_for_each_expert_that_it_uses(self):
        model = program.make_tiny_model(self.folder / "experts.gguf", "mixtral")
        n_used = int(gguf.GGUFReader(model).fields["llama.expert_used_count"].contents())
        result = self.collect(model)
        entries, _ = read(self.out)
        experts = {name: entry for name, entry in entries.items() if "_exps." in name}
        self.assertTrue(experts)
        for name, entry in experts.items():
            self.assertEqual(entry["counts"].sum(), result["n_windows"] * CONTEXT * n_used)
            self.assertEqual(entry["in_sum2"].shape, matrices(model)[name][::-1])
            self.assertTrue(((entry["in_sum2"].sum(axis=1) > 0) == (entry["counts"][:, 0] > 0)).all())

    def test_threads_change_no_byte(self):
        self.collect(self.model, "--threads", "1")
        first = self.out.read_bytes()
        self.collect(self.model, "--threads", "3")
        self.assertEqual(self.out.read_bytes(), first)

    def test_fewer_windows_and_no_head(self):
        result = self.collect(self.model, "--windows", "2", "--no-head")
        entries, metadata = read(self.out)
        self.assertEqual((result["n_windows"], metadata["imatrix.chunk_count"]), (2, 2))
        self.assertEqual([name for name in entries if not name.startswith("blk.")], [])

    def test_the_model_writes_its_own_text(self):
        def write(*arguments):
            self.out.unlink(missing_ok=True)
            result = self.json_of("imatrix", self.model, "--self", "--windows", "3", "--context", "32", "--out", str(self.out), *arguments)
            return result, self.out.read_bytes()
        result, first = write()
        _, metadata = read(self.out)
        self.assertEqual(metadata["imatrix.datasets"], result["datasets"])
        self.assertRegex(result["datasets"][0], "^self: written by .* at temperature 1, seed 0$")
        self.assertEqual(result["n_windows"], 3)
        self.assertEqual(write("--threads", "1")[1], first)
        self.assertNotEqual(write("--seed", "1")[1], first)

    def test_what_cannot_be_used_is_said_in_one_line_before_anything_is_computed(self):
        arguments = ("--text", str(self.text), "--out", str(self.out))
        short = self.folder / "short.txt"
        short.write_text("word")
        self.expect_error("short.txt: expected at least 512 tokens (one window), found ", "imatrix", self.model, "--text", str(short), "--out", str(self.out))
        self.expect_error("nowhere.txt", "imatrix", self.model, "--text", "nowhere.txt", "--out", str(self.out))
        self.expect_error("nowhere.gguf", "imatrix", str(self.folder / "nowhere.gguf"), *arguments)
        self.expect_error("nowhere", "imatrix", self.model, "--text", str(self.text), "--out", str(self.folder / "nowhere" / "a.gguf"))
        before = self.text.read_bytes()
        self.expect_error("--out " + str(self.text) + ": expected another file than the text", "imatrix", self.model, "--text", str(self.text),
                          "--out", str(self.text), "--force")
        self.assertEqual(self.text.read_bytes(), before)
        self.expect_error("found the model itself", "imatrix", self.model, "--text", str(self.text), "--out", self.model, "--force")
        self.expect_error("expected --text FILE, or --self", "imatrix", self.model, status=2)
        self.expect_error("--self", "imatrix", self.model, "--self", *arguments, status=2)
        self.expect_error("expected --self", "imatrix", self.model, "--seed", "1", *arguments, status=2)
        self.expect_error("--context: expected at least 4, found 3", "imatrix", self.model, "--context", "3", *arguments, status=2)
        self.assertEqual(self.left_behind(), [])
        self.out.write_text("mine")
        self.expect_error("expected no such file yet, found one: --force replaces it", "imatrix", self.model, *arguments)
        self.assertEqual(self.out.read_text(), "mine")
        self.rafter("imatrix", self.model, "--context", "32", "--force", *arguments)
        self.assertIn("blk.0.attn_q.weight", read(self.out)[0])

    def test_a_full_disk_leaves_nothing(self):
        self.expect_error("File too large", "imatrix", self.model, "--context", "32", "--text", str(self.text), "--out", str(self.out),
                          restore_signals=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
        self.assertEqual(self.left_behind(), [])

    def interrupted(self, *arguments):
        """The program, with Ctrl-C in the middle of a long text: tried again where that came before it listened, or after the end."""
        long = self.folder / "long.txt"
        long.write_text("some words " * 200000)
        for attempt in range(8):
            self.out.unlink(missing_ok=True)
            running = subprocess.Popen([program.BINARY, "imatrix", self.model, "--text", str(long), "--context", "512", "--out", str(self.out), "--json",
                                        *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(0.2 * 2 ** attempt)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=120)
            if running.returncode == 130:
                return out, err
        self.fail(f"never interrupted: exit status {running.returncode}, {err}")

    def test_ctrl_c_writes_nothing(self):
        self.interrupted()
        self.assertEqual(self.left_behind(), [])

    def test_ctrl_c_writes_what_there_is_where_that_is_asked(self):
        self.interrupted("--partial")
        entries, metadata = read(self.out)
        n = metadata["imatrix.chunk_count"]
        self.assertGreater(n, 0)
        self.assertEqual(entries["blk.0.attn_q.weight"]["counts"].tolist(), [[n * 512]])
        self.assertEqual(self.left_behind(), ["out.gguf"])


if __name__ == "__main__":
    program.main()
