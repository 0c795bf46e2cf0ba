"""The two small real models against the float32 reference: greedy continuations, and the mean KL a token that each activation mode may lose.
A peer's continuations (llama.cpp's, in the shared folder beside a checkout, if there) agree up to the first near tie."""
import json
import os
import subprocess
import sys

sys.path.insert(0, "tools")
try:
    import reference
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

BINARY = os.environ["RAFTER_BINARY"]
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "rafter", "models")
FOLDERS = [f for f in (os.environ.get("RAFTER_MODELS_DIR"), CACHE) if f]
SHARED = os.environ.get("RAFTER_SHARED", os.path.join("..", "shared"))

# How activations enter matrices, and how the cache holds keys and values. The cache's types are measured beside float activations, so that
# nothing else loses (kv_types_slow_test.py).
MODES = {"q8": ("q8", "f16"), "q16": ("q16", "f16"), "f32": ("f32", "f32"),
         "KV q8": ("f32", "q8"), "KV q8,q4": ("f32", "q8,q4"), "KV q4": ("f32", "q4")}

# Mean KL a token. q8: 0.8 of what llama.cpp loses on the same tokens; q16 and f32: stated bounds, f32 with an F32 cache.
BOUNDS = {
    "SmolLM2-135M-Instruct.Q4_1.gguf": {"q8": 3.76e-3, "q16": 3e-5, "f32": 1e-6},
    "gemma-3-270m-q4_k_m.gguf": {"q8": 2.32e-3, "q16": 3e-5, "f32": 1e-6},
}
NAMES = {  # as `rafter models` stores them
    "SmolLM2-135M-Instruct.Q4_1.gguf": ["SmolLM2-135M-Instruct.gguf", "SmolLM2-135M-Instruct-Q4_1.gguf"],
    "gemma-3-270m-q4_k_m.gguf": ["gemma-3-270m.gguf", "gemma-3-270m-Q4_K_M.gguf"],
}
TIE = 0.01       # nats: closer than this, either token is right in float mode
PEER_TIE = 0.5   # nats: the peer rounds its activations, as q8 does
TOKENS_A_PROMPT = 13
TOP = 8192       # of the vocabulary; the rest is compared as one sum


def find(model):
    for folder in FOLDERS:
        for name in [model, *NAMES[model]]:
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return path
    return None


def run(path, prompt, n, mode, top):
    command = [BINARY, "run", path, "--raw", "-p", prompt, "-n", str(n), "--temperature", "0", "--json", "--logprobs", str(top),
               "--activations", MODES[mode][0], "--kv-type", MODES[mode][1]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}"
    return json.loads(done.stdout)


def first_difference(tokens, expected, gap_at, tie):
    """The first step where the tokens differ although the expected side saw no tie there; None where they agree."""
    for i, (mine, theirs) in enumerate(zip(tokens, expected)):
        if mine != theirs:
            return None if gap_at(i) <= tie else i
    return None


def check(good, text):
    print(("ok   " if good else "FAIL ") + text, flush=True)
    return 0 if good else 1


class Reference(reference.Model):
    """Computes a text once, however many modes continue it alike."""

    def __init__(self, path):
        super().__init__(path)
        self.last = {}

    def logits(self, ids, first=0):
        key = (tuple(ids), first)
        if key not in self.last:
            self.last = {**dict(list(self.last.items())[-2:]), key: super().logits(ids, first)}
        return self.last[key]


def check_model(path, golden, bounds):
    failures = 0
    model = Reference(path)
    total, same, n = dict.fromkeys(bounds, 0.0), dict.fromkeys(bounds, 0.0), dict.fromkeys(bounds, 0)
    for case in golden["cases"]:
        for mode in bounds:
            answer = run(path, case["prompt"], TOKENS_A_PROMPT, mode, TOP)
            ids = answer["prompt_tokens"]
            failures += 0 if ids == case["prompt_tokens"] else check(False, f"{case['prompt']!r}: ids {ids}, expected {case['prompt_tokens']}")
            if not answer["tokens"]:
                continue
            kl = reference.kl_of_run(model, answer)
            total[mode] += kl["mean_kl"] * kl["tokens"]
            same[mode] += kl["top1_agreement"] * kl["tokens"]
            n[mode] += kl["tokens"]
            if mode == "f32":
                steps = case["steps"]
                at = first_difference(answer["tokens"], case["tokens"], lambda i: steps[i][0][1] - steps[i][1][1], TIE)
                failures += 0 if at is None else check(False, f"{case['prompt']!r}: differs from the reference at step {at}, no tie")
    for mode, bound in bounds.items():
        failures += check(n[mode] >= 130 and total[mode] / n[mode] <= bound,
                          f"{golden['model']} {mode}: mean KL {total[mode] / n[mode]:.2e} over {n[mode]} tokens (bound {bound:.1e}), "
                          f"same best token {same[mode] / n[mode]:.1%}")
    return failures


def check_peer(path, golden):
    failures = 0
    peer_path = os.path.join(SHARED, "golden", golden["model"] + ".json")
    if not os.path.exists(peer_path):
        print(f"skipped: {peer_path} is not here, so no comparison with a peer's continuations")
        return failures
    with open(peer_path) as f:
        peer = json.load(f)
    for case in peer["cases"]:
        answer = run(path, case["prompt"], len(case["steps"]), "q8", 2)
        steps = case["steps"]
        gap = lambda i: steps[i]["top"][0][1] - steps[i]["top"][1][1]
        at = first_difference(answer["tokens"], [s["id"] for s in steps], gap, PEER_TIE)
        same_prompt = answer["prompt_tokens"] == case["prompt_tokens"]
        failures += check(at is None and same_prompt, f"{golden['model']} continues {case['prompt']!r} as the peer does" + ("" if at is None else f" until step {at}, no tie"))
    return failures


def main(all_bounds, with_peer):
    failures, tried = 0, 0
    for model, bounds in all_bounds.items():
        path = find(model)
        golden_path = os.path.join("tests", "golden", model + ".json")
        if path is None:
            print(f"skipped: {model} is in none of {', '.join(FOLDERS)}; `rafter models get` fetches it")
            continue
        with open(golden_path) as f:
            golden = json.load(f)
        failures += check_model(path, golden, bounds)
        failures += check_peer(path, golden) if with_peer else 0
        tried += 1
    print(f"{failures} failures")
    return 77 if tried == 0 else 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(BOUNDS, with_peer=True))
