"""Memory that engines logged, beside what `rafter plan --engine` says. With --table: the rows as docs/plan.md has them."""
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
BINARY = os.environ.get("RAFTER_BINARY", str(HERE.parents[1] / "build" / "release" / "rafter"))
GIB = 2**30
# A model of no catalog row: Qwen2.5-14B's dimensions (huggingface.co/deepseek-ai/DeepSeek-R1-Distill-Qwen-14B/blob/main/config.json).
CONFIGS = {"R1-Distill-Qwen-14B": {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 5120, "intermediate_size": 13824,
                                   "num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "vocab_size": 152064,
                                   "max_position_embeddings": 131072, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}}


def plan(model, hardware, *arguments):
    command = [BINARY, "plan", model, "--hardware", hardware, "--format", "json", *map(str, arguments)]
    if model in CONFIGS:
        path = Path(os.environ.get("TMPDIR", "/tmp")) / f"published_memory_{os.getpid()}.json"
        path.write_text(json.dumps(CONFIGS[model]))
        command[2] = str(path)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if model in CONFIGS:
        path.unlink()
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def found(row, answer):
    memory, devices = answer["memory"], answer["hardware"]["devices"]
    per_token = answer["model"]["kv_bytes_per_token"]
    return {"kv_pool_tokens": lambda: memory["kv_pool_bytes"] / per_token / memory["kv_copies"],
            "max_sequences": lambda: memory["max_sequences"],
            "kv_pool_gib": lambda: memory["kv_pool_bytes"] / devices / GIB,
            "weights_gib_per_device": lambda: memory["weights_bytes"] / devices / GIB}[row["value"]]()


ROWS = json.loads((HERE / "published_memory.json").read_text())["rows"]


class PublishedMemory(unittest.TestCase):
    def test_rows_are_met_end_to_end(self):
        for row in ROWS:
            if row["within"] is None:
                continue
            with self.subTest(source=row["source"], model=row["model"]):
                ours = found(row, plan(row["model"], row["hardware"], *row["arguments"]))
                self.assertLess(abs(ours / row["published"] - 1), row["within"], f"published {row['published']}, found {ours}")

    def test_rows_are_met_from_their_pool(self):
        asked = 0
        for row in ROWS:
            if "pool_gib" in row:
                answer = plan(row["model"], row["hardware"], *row["arguments"])
                tokens = row["pool_gib"] * GIB * answer["hardware"]["devices"] / answer["model"]["kv_bytes_per_token"]
                self.assertLess(abs(tokens / row["published"] - 1), 0.05, row["source"])
                asked += 1
        self.assertGreater(asked, 2)

    def test_caches_that_cannot_be_split_are_copied(self):
        deepseek = ("DeepSeek-R1", "H100-SXM", "--devices", 16, "--parallel", "tp=8,pp=2", "--context", 32768, "--memory-fraction", 0.9)
        copied, ideal = plan(*deepseek, "--engine", "vllm"), plan(*deepseek)
        self.assertEqual((copied["memory"]["kv_copies"], ideal["memory"]["kv_copies"]), (8, 1))
        spread = plan(*deepseek[:4], "--parallel", "tp=8,pp=2,cp=8", *deepseek[6:], "--engine", "vllm")
        self.assertEqual(spread["memory"]["kv_copies"], 1)
        # Eight key and value heads on sixteen devices: each is held twice, and each device reads its copy.
        wide = ("Llama-3.1-70B", "H100-SXM", "--devices", 16, "--parallel", "tp=16", "--batch", 64, "--context", 32768)
        for engine in ("vllm", "sglang"):
            self.assertEqual(plan(*wide, "--engine", engine)["memory"]["kv_copies"], 2)
        self.assertAlmostEqual(plan(*wide, "--engine", "vllm")["decode"]["kv_seconds"] / plan(*wide)["decode"]["kv_seconds"], 2, places=6)

    def test_tokens_are_those_of_the_sequences_that_fit(self):
        for engine in ("ideal", "vllm", "sglang", "llama.cpp", "rafter"):
            for model in ("gemma-3-27b", "Llama-3.1-8B"):
                memory = plan(model, "H100-SXM", "--context", 16000, "--engine", engine)["memory"]
                self.assertGreaterEqual(memory["max_tokens"], 16000 * memory["max_sequences"])
                self.assertLess(memory["max_tokens"], 16000 * (memory["max_sequences"] + 1))

    def test_expert_parallel_groups_get_a_prompt_each_or_are_said_to_idle(self):
        wide = ("DeepSeek-V3", "H200", "--parallel", "tp=1,ep=8")
        self.assertEqual(plan(*wide, "--batch", 64)["prefill"]["n_sequences"], 8)
        one = plan(*wide, "--batch", 64, "--prefill-batch", 2)
        self.assertTrue(any("6 of 8" in note and "prefill" in note for note in one["notes"]), one["notes"])
        self.assertFalse(any("idle" in note for note in plan(*wide, "--batch", 64)["notes"]))


def table():
    print("| source | model and device | what | published | ours | ours / published |\n|---|---|---|---|---|---|")
    for row in ROWS:
        ours = found(row, plan(row["model"], row["hardware"], *row["arguments"]))
        digits = 0 if row["published"] > 1000 or "sequences" in row["value"] else 2
        what = row["value"].replace("_", " ").replace("gib", "GiB").replace("kv", "KV")
        print(f"| {row['source']}{' (held out)' if row.get('held_out') else ''} | {row['model']}, {row['hardware']} | {what} |"
              f" {row['published']:,} | {ours:,.{digits}f} | {ours / row['published']:.2f} |")


if __name__ == "__main__":
    if "--table" in sys.argv:
        table()
    else:
        unittest.main()
