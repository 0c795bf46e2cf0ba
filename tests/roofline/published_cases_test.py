"""Published figures, given by `rafter plan --format json`: those beside this file, and the project's shared reference where it is at hand."""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
BINARY = os.environ.get("RAFTER_BINARY", str(HERE.parents[1] / "build" / "release" / "rafter"))
HARDWARE = {"name": "test", "flop_per_s": {"fp16": 312e12}, "memory_bytes": 80e9, "memory_bandwidth_bytes_per_s": 1.5e12}


def plan(model, hardware, *options):
    with tempfile.TemporaryDirectory() as folder:
        device = Path(folder) / "hw.json"
        device.write_text(json.dumps({**HARDWARE, **(hardware or {})}))
        arguments = [model]
        if isinstance(model, dict):
            (Path(folder) / "model.json").write_text(json.dumps(model))
            arguments = ["--model-json", str(Path(folder) / "model.json")]
        command = [BINARY, "plan", *arguments, "--hardware", str(device), "--format", "json", *map(str, options)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def at(answer, keys):
    for key in keys.split("."):
        answer = answer[key]
    return answer


def shared_cases():
    folder = Path(os.environ.get("RAFTER_SHARED", HERE.parents[2] / "shared"))
    path = folder / "facts" / "reference_cases.json"
    return {case["id"]: case for case in json.loads(path.read_text())["cases"]} if path.is_file() else None


class Published(unittest.TestCase):
    def near(self, found, expected, tolerance, what=""):
        self.assertLessEqual(abs(found - expected), tolerance * abs(expected), f"{what}: expected {expected}, found {found}")

    def test_own_cases(self):
        for case in json.loads((HERE / "published_cases.json").read_text())["cases"]:
            with self.subTest(source=case["source"]):
                answer = plan(case["model"], case.get("hardware"), *case.get("options", []))
                for keys, expected in case.get("expect", {}).items():
                    self.near(at(answer, keys), expected, case["rel_tol"], keys)
                if "expect_op" not in case:
                    continue
                expected = case["expect_op"]
                op = next(o for o in answer[expected["phase"]]["ops"] if o["name"] == expected["name"])
                for key in ("flops", "bytes", "intensity"):
                    self.near(op[key], expected[key], case["rel_tol"], key)
                self.assertEqual(op["bound"], expected["bound"])


class Shared(Published):
    """Every one of the shared cases, from its own inputs."""

    def setUp(self):
        self.cases = shared_cases()
        if self.cases is None:
            self.skipTest("no shared reference cases")
        self.asked = set()

    test_own_cases = None

    def case(self, name):
        self.asked.add(name)
        case = self.cases[name]
        return case["inputs"], case["value"], case["rel_tol"]

    def dims(self, inputs):
        names = {"tied": "tied_embeddings", "gated": "gated_ffn"}
        keys = ("n_layers", "d_model", "d_ff", "n_heads", "n_kv_heads", "head_dim", "n_vocab", "parameters", "kv_bytes_per_token", "tied", "gated")
        return {names.get(k, k): inputs[k] for k in keys if k in inputs}

    def device(self, inputs):
        keys = {"bandwidth_bytes_per_s": "memory_bandwidth_bytes_per_s", "link_bytes_per_s": "link_bandwidth_bytes_per_s", "message_latency_s": "link_latency_s"}
        found = {new: inputs[old] for old, new in keys.items() if old in inputs}
        if "flop_per_s" in inputs:
            found["flop_per_s"] = {"bf16": inputs["flop_per_s"]}
        if "int8_op_per_s" in inputs:
            found["flop_per_s"]["int8"] = inputs["int8_op_per_s"]
        return found

    def test_all(self):
        i, value, tol = self.case("ridge-a100-fp16")
        self.near(plan({"n_layers": 64, "d_model": 8192}, self.device(i))["ridge_batch_tokens"], value, tol)
        for name, keys in (("kv-52b", "model.kv_bytes_per_token"), ("flops-52b", "model.weight_flops_per_token"), ("latency-52b-1gpu", "decode.weights_seconds"),
                           ("opt13b-kv", "model.kv_bytes_per_token")):
            i, value, tol = self.case(name)
            self.near(at(plan(self.dims(i), self.device(i)), keys), value, tol, name)
        for name, first in (("latency-260b-16gpu-b1", "weights_seconds"), ("latency-260b-16gpu-b512", "compute_seconds")):
            i, value, tol = self.case(name)
            decode = plan(self.dims(i), self.device(i), "--devices", i["devices"], "--batch", i["batch"], "--collective", "flat")["decode"]
            self.near(decode[first], value[0], tol, name)
            self.near(decode["communication_seconds"], value[1], tol, name)
        i, value, tol = self.case("latency-13b-decode")
        for n, expected in zip((1, 2), value):
            self.near(plan(self.dims(i), self.device(i), "--devices", n)["decode"]["weights_seconds"], expected, tol)
        i, value, tol = self.case("bcrit-v5e")
        for options, expected in zip(([], ["--weights", "int8"], ["--weights", "int8", "--activations", "int8"]), value):
            self.near(plan({"n_layers": 64, "d_model": 8192}, self.device(i), *options)["ridge_batch_tokens"], expected, tol)
        i, value, tol = self.case("step-30b-v5e")
        for batch, expected in zip(i["batch"], value):
            options = ["--weights", "int8", "--devices", i["devices"], "--batch", batch, "--context", i["context"]]
            self.near(plan(self.dims(i), self.device(i), *options)["decode"]["step_seconds"], expected, tol)
        i, value, tol = self.case("llama3-70b-int8-v5e")
        for n, expected in zip(i["devices"], value[2:]):
            options = ["--weights", "int8", "--kv", "int8", "--devices", n, "--batch", i["batch"], "--context", i["context"]]
            answer = plan(self.dims(i), {"memory_bandwidth_bytes_per_s": 8.1e11}, *options)
            self.near(answer["model"]["kv_bytes_per_token"], value[0], 0)
            self.near(answer["memory"]["weights_bytes"] + answer["memory"]["kv_bytes"], value[1], tol)
            self.near(answer["decode"]["step_seconds"], expected, tol)
        i, value, tol = self.case("params-18b")
        answer = plan(self.dims(i), {}, "--kv", "int8")
        self.near(answer["model"]["parameters"], value[0], tol)
        self.near(answer["model"]["kv_bytes_per_token"], value[1], tol)
        for name, op_name in (("llm-viewer-q_proj-prefill", "attn_q"), ("llm-viewer-gate-prefill", "ffn_gate")):
            i, value, tol = self.case(name)
            answer = plan(i["model"], {"flop_per_s": {"fp16": 154.84e12}, "memory_bandwidth_bytes_per_s": 768e9}, "--no-fuse", "--prompt", i["sequence"])
            op = next(o for o in answer["prefill"]["ops"] if o["name"] == op_name)
            for key, expected in zip(("flops", "bytes", "intensity"), value):
                self.near(op[key], expected, tol, name)
            self.assertEqual(op["bound"], value[3])
        i, value, tol = self.case("leviathan-expected")
        for (alpha, gamma), expected in zip(i["alpha_gamma"], value):
            speculation = plan({"parameters": 7e9}, {}, "--alpha", alpha, "--gamma", gamma, "--draft", "c=0")["speculation"]
            self.near(speculation["expected_tokens"], expected[0], tol)
            self.near(speculation["operations_factor"], expected[1], tol)
        i, value, tol = self.case("leviathan-speedup")
        options = ["--alpha", i["alpha"], "--gamma", i["gamma"], "--draft", f"c={i['c']}"]
        self.near(plan({"parameters": 7e9}, {}, *options)["speculation"]["speedup_free_verification"], value, tol)
        i, value, tol = self.case("pope-mfu")
        options = ["--devices", i["devices"], "--prompt", i["tokens"], "--measured-prefill", i["seconds"]]
        self.near(plan(self.dims(i), self.device(i), *options)["prefill"]["measured"]["mfu"], value, tol)
        i, value, tol = self.case("databricks-mbu")
        options = ["--context", 1, "--measured-decode", i["tpot_seconds"]]
        self.near(plan(self.dims(i), self.device(i), *options)["decode"]["measured"]["mbu"], value, tol)
        self.assertEqual(self.asked, set(self.cases), "cases that no test asks for")


if __name__ == "__main__":
    unittest.main()
