#!/usr/bin/env python3
"""The reference forward pass: float32 numpy over dequantised weights, one plain function a step of the papers.

Slow and simple on purpose: it is what Rafter's engine is held against. It reads the same GGUF files, shares no code with the engine and
knows the same architectures.

    reference.py MODEL.gguf --prompt-ids 504,3575,282 --greedy 20      greedy continuation, a JSON object
    reference.py MODEL.gguf --cases CASES.json --greedy 24              the same for each case's prompt_tokens: how tests/golden/ was made
    reference.py MODEL.gguf --prompt-ids 504,3575,282 --logits OUT.npy  logits of every position, [n_tokens, n_vocab]
    reference.py MODEL.gguf --kl RUN.json                               mean KL of `rafter run --json --logprobs N`'s answer
    reference.py MODEL.gguf --perplexity-ids IDS.txt --context 512      perplexity in windows, second halves scored

Needs: numpy, gguf (both from PyPI).
"""
import argparse
import json
import math
import os
import sys

import gguf
import numpy as np

F32 = np.float32


# ---------------------------------------------------------------- the file

class Weights:
    """A GGUF's metadata and its tensors as float32, decoded when first asked for."""

    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.tensors = {t.name: t for t in self.reader.tensors}
        self.decoded = {}
        self.arch = self.meta("general.architecture")

    def meta(self, key, default=None):
        field = self.reader.fields.get(key)
        return default if field is None else field.contents()

    def hyper(self, key, default=None):
        return self.meta(f"{self.arch}.{key}", default)

    def has(self, name):
        return name in self.tensors

    def get(self, name, default=None):
        if name not in self.tensors:
            if default is not None:
                return default
            raise KeyError(name)
        if name not in self.decoded:
            t = self.tensors[name]
            shape = [int(n) for n in reversed(t.shape)]
            self.decoded[name] = gguf.quants.dequantize(t.data, t.tensor_type).astype(F32).reshape(shape)
        return self.decoded[name]


# ---------------------------------------------------------------- the pieces

def rms_norm(x, gain, epsilon):
    """Zhang and Sennrich 2019, over the last axis."""
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + F32(epsilon)) * gain


def silu(x):
    return x / (1 + np.exp(-x))


def gelu_tanh(x):
    return F32(0.5) * x * (1 + np.tanh(F32(math.sqrt(2 / math.pi)) * (x + F32(0.044715) * x ** 3)))


def swiglu_clamped(gate, up):
    """gpt-oss: the gate bounded above, the other side on both sides, a sharper sigmoid, one added."""
    gate = np.minimum(gate, F32(7))
    up = np.clip(up, F32(-7), F32(7))
    return gate / (1 + np.exp(F32(-1.702) * gate)) * (up + 1)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def rotate(x, positions, inverse_frequency, magnitude, interleaved):
    """RoFormer's rotation of pairs; x is [tokens, heads, head_dim], pairs beyond the table's stay as they are."""
    angle = positions[:, None].astype(np.float64) * inverse_frequency[None, :]
    cos = (np.cos(angle) * magnitude).astype(F32)[:, None, :]
    sin = (np.sin(angle) * magnitude).astype(F32)[:, None, :]
    n = 2 * len(inverse_frequency)
    turned, rest = x[..., :n], x[..., n:]
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        out = np.empty_like(turned)
        out[..., 0::2] = a * cos - b * sin
        out[..., 1::2] = a * sin + b * cos
    else:
        a, b = turned[..., : n // 2], turned[..., n // 2 :]
        out = np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
    return np.concatenate([out, rest], axis=-1)


def attention(q, k, v, scale, window, softcap, sinks):
    """Causal attention with grouped query heads; q is [tokens, heads, head_dim], k and v [tokens, kv heads, head_dim]."""
    n, n_heads, _ = q.shape
    group = n_heads // k.shape[1]
    row = np.arange(n)[:, None]
    column = np.arange(n)[None, :]
    hidden = column > row
    if window:
        hidden = hidden | (row - column >= window)
    out = np.empty_like(q)
    for h in range(n_heads):
        scores = (q[:, h] @ k[:, h // group].T) * F32(scale)
        if softcap:
            scores = F32(softcap) * np.tanh(scores / F32(softcap))
        scores = np.where(hidden, F32(-np.inf), scores)
        if sinks is None:
            p = softmax(scores)
        else:
            p = softmax(np.concatenate([scores, np.full((n, 1), sinks[h], F32)], axis=1))[:, :-1]
        out[:, h] = p @ v[:, h // group]
    return out


# ---------------------------------------------------------------- the model

class Model:
    def __init__(self, path, context=None):
        w = self.w = Weights(path)
        a = self.arch = w.arch
        self.n_layers = int(w.hyper("block_count"))
        self.d = int(w.hyper("embedding_length"))
        self.n_heads = int(w.hyper("attention.head_count"))
        self.n_kv_heads = int(w.hyper("attention.head_count_kv", self.n_heads))
        self.head_dim = int(w.hyper("attention.key_length", self.d // self.n_heads))
        self.epsilon = float(w.hyper("attention.layer_norm_rms_epsilon", 1e-5))
        self.n_context = int(w.hyper("context_length"))
        self.gemma = a in ("gemma2", "gemma3")
        self.attention_cap = float(w.hyper("attn_logit_softcapping", 50.0)) if a == "gemma2" else 0.0
        self.logit_cap = float(w.hyper("final_logit_softcapping", 30.0 if a == "gemma2" else 0.0))
        per_head = self.head_dim
        if (a, self.n_layers) in (("gemma2", 46), ("gemma3", 62)):
            per_head = self.d // self.n_heads
        self.scale = 1 / math.sqrt(per_head)
        self.interleaved = a == "llama"
        self.rope = self.rope_table(context)
        self.local_rope = self.rope
        if a == "gemma3":
            base = float(w.hyper("rope.freq_base_swa", 10000.0))
            self.local_rope = (base ** (-np.arange(0, self.head_dim, 2) / self.head_dim), 1.0)

    def window(self, layer):
        """0 where the layer sees everything."""
        size = self.w.hyper("attention.sliding_window")
        if self.arch == "gemma2":
            return int(size or 4096) if layer % 2 == 0 else 0
        if self.arch == "gemma3":
            return int(size or 1024) if layer % 6 != 5 else 0
        if self.arch == "gpt-oss":
            return int(size or 128) if layer % 2 == 0 else 0
        if self.arch == "phi3" and size and size < self.n_context:
            return int(size)
        return 0

    def rope_table(self, context):
        """(radians a position for each pair, magnitude)."""
        w = self.w
        n = int(w.hyper("rope.dimension_count", self.head_dim))
        base = float(w.hyper("rope.freq_base", 10000.0))
        f = base ** (-np.arange(0, n, 2) / n)
        if w.has("rope_freqs.weight"):
            f = f / w.get("rope_freqs.weight")
        kind = w.hyper("rope.scaling.type")
        factor = float(w.hyper("rope.scaling.factor", 1.0))
        original = int(w.hyper("rope.scaling.original_context_length", self.n_context))
        if w.has("rope_factors_long.weight"):
            use_long = (context or self.n_context) > original
            f = f / w.get("rope_factors_long.weight" if use_long else "rope_factors_short.weight")
            stretch = self.n_context / original
            own = math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0
            return f, float(w.hyper("rope.scaling.attn_factor", own))
        if kind == "yarn":
            turns = lambda count: n * math.log(original / (count * 2 * math.pi)) / (2 * math.log(base))
            low = turns(float(w.hyper("rope.scaling.yarn_beta_fast", 32.0)))
            high = turns(float(w.hyper("rope.scaling.yarn_beta_slow", 1.0)))
            if self.arch != "gpt-oss":
                low, high = math.floor(low), math.ceil(high)
            low, high = max(low, 0), min(high, n - 1)
            ramp = np.clip((np.arange(n // 2) - low) / max(high - low, 0.001), 0, 1)
            return f / factor * ramp + f * (1 - ramp), 0.1 * math.log(factor) + 1
        if kind == "linear":
            f = f / factor
        return f, 1.0

    def bias(self, x, name):
        return x + self.w.get(name) if self.w.has(name) else x

    def attention_block(self, x, layer, positions):
        w, p, n = self.w, f"blk.{layer}.", len(x)
        x = rms_norm(x, w.get(p + "attn_norm.weight"), self.epsilon)
        if w.has(p + "attn_qkv.weight"):
            qkv = x @ w.get(p + "attn_qkv.weight").T
            a, b = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
            q, k, v = qkv[:, :a], qkv[:, a : a + b], qkv[:, a + b :]
        else:
            q, k, v = (self.bias(x @ w.get(f"{p}attn_{c}.weight").T, f"{p}attn_{c}.bias") for c in "qkv")
        q = q.reshape(n, self.n_heads, self.head_dim)
        k = k.reshape(n, self.n_kv_heads, self.head_dim)
        v = v.reshape(n, self.n_kv_heads, self.head_dim)
        if w.has(p + "attn_q_norm.weight"):
            q = rms_norm(q, w.get(p + "attn_q_norm.weight"), self.epsilon)
            k = rms_norm(k, w.get(p + "attn_k_norm.weight"), self.epsilon)
        window = self.window(layer)
        f, magnitude = self.local_rope if window else self.rope
        q = rotate(q, positions, f, magnitude, self.interleaved)
        k = rotate(k, positions, f, magnitude, self.interleaved)
        sinks = w.get(p + "attn_sinks.weight") if w.has(p + "attn_sinks.weight") else None
        y = attention(q, k, v, self.scale, window, self.attention_cap, sinks).reshape(n, -1)
        return self.bias(y @ w.get(p + "attn_output.weight").T, p + "attn_output.bias")

    def dense(self, x, p):
        w = self.w
        if w.has(p + "ffn_gate.weight"):
            gate, up = x @ w.get(p + "ffn_gate.weight").T, x @ w.get(p + "ffn_up.weight").T
        else:
            gate, up = np.split(x @ w.get(p + "ffn_up.weight").T, 2, axis=1)
        act = gelu_tanh if self.gemma else silu
        return (act(gate) * up) @ w.get(p + "ffn_down.weight").T

    def experts(self, x, p):
        """Shazeer et al. 2017, with Mixtral's and Qwen's renormalised softmax, or gpt-oss's softmax over the chosen."""
        w = self.w
        k = int(w.hyper("expert_used_count"))
        scores = self.bias(x @ w.get(p + "ffn_gate_inp.weight").T, p + "ffn_gate_inp.bias")
        out = np.zeros_like(x)
        for t in range(len(x)):
            chosen = np.argsort(-scores[t], kind="stable")[:k]
            share = softmax(scores[t][chosen])  # the same as a softmax over all, renormalised over the chosen
            for e, weight in zip(chosen, share):
                side = {}
                for name in ("gate", "up"):
                    side[name] = w.get(f"{p}ffn_{name}_exps.weight")[e] @ x[t]
                    if w.has(f"{p}ffn_{name}_exps.bias"):
                        side[name] = side[name] + w.get(f"{p}ffn_{name}_exps.bias")[e]
                if self.arch == "gpt-oss":
                    y = swiglu_clamped(side["gate"], side["up"])
                else:
                    y = silu(side["gate"]) * side["up"]
                y = w.get(f"{p}ffn_down_exps.weight")[e] @ y
                if w.has(f"{p}ffn_down_exps.bias"):
                    y = y + w.get(f"{p}ffn_down_exps.bias")[e]
                out[t] += weight * y
        return out

    def hidden(self, ids):
        """[n_tokens, d_model] after the last norm."""
        w, positions = self.w, np.arange(len(ids))
        x = w.get("token_embd.weight")[np.asarray(ids)]
        if self.gemma:
            x = x * F32(math.sqrt(self.d))
        for layer in range(self.n_layers):
            p = f"blk.{layer}."
            y = self.attention_block(x, layer, positions)
            if self.gemma:
                y = rms_norm(y, w.get(p + "post_attention_norm.weight"), self.epsilon)
            x = x + y
            norm = "post_attention_norm" if self.arch == "gpt-oss" else "ffn_norm"
            y = rms_norm(x, w.get(f"{p}{norm}.weight"), self.epsilon)
            y = self.experts(y, p) if w.has(p + "ffn_gate_inp.weight") else self.dense(y, p)
            if self.gemma:
                y = rms_norm(y, w.get(p + "post_ffw_norm.weight"), self.epsilon)
            x = x + y
        return rms_norm(x, w.get("output_norm.weight"), self.epsilon)

    def logits(self, ids, first=0):
        """Logits of positions first.., [n_tokens - first, n_vocab]."""
        head = self.w.get("output.weight" if self.w.has("output.weight") else "token_embd.weight")
        y = self.hidden(ids)[first:] @ head.T
        return F32(self.logit_cap) * np.tanh(y / F32(self.logit_cap)) if self.logit_cap else y


# ---------------------------------------------------------------- what is measured with it

def greedy(model, ids, n, draft=()):
    """Each step is the five best tokens with their log-probabilities. The whole sequence is computed again for every token: no cache that could
    be wrong. `draft`, a guess at the answer, only saves time: a pass checks all of its tokens, and what follows a wrong one is thrown away."""
    out, steps = [], []
    while len(steps) < n:
        guess = list(draft[len(out):n - 1]) if list(draft[:len(out)]) == out else []
        lps = log_softmax(model.logits(list(ids) + out + guess, len(ids) + len(out) - 1))
        for lp, guessed in zip(lps, guess + [None]):
            best = np.argsort(-lp, kind="stable")[:5]
            steps.append([[int(i), round(float(lp[i]), 6)] for i in best])
            out.append(int(best[0]))
            if out[-1] != guessed:
                break
    return {"prompt_tokens": list(ids), "tokens": out, "steps": steps}


def kl_of_run(model, run):
    """Mean KL(reference || engine) a generated token, and how often both have the same best token. The run must hold logprobs of enough of
    the vocabulary; the rest of the engine's mass is spread as the reference's."""
    ids = run["prompt_tokens"] + run["tokens"]
    start = len(run["prompt_tokens"])
    truth = log_softmax(model.logits(ids[:-1], start - 1))
    kl, same = [], 0
    for lp, step in zip(truth, run["logprobs"]):
        top = np.array([i for i, _ in step["top"]])
        mine = np.array([p for _, p in step["top"]], dtype=np.float64)
        p = np.exp(lp[top])
        rest_p, rest_q = max(0.0, 1 - p.sum()), max(0.0, 1 - np.exp(mine).sum())
        k = float((p * (lp[top] - mine)).sum())
        if len(top) < len(lp) and rest_p > 1e-12:
            k += rest_p * (math.log(rest_p) - math.log(max(rest_q, 1e-12)))
        kl.append(k)
        same += int(top[0] == int(np.argmax(lp)))
    return {"tokens": len(kl), "mean_kl": float(np.mean(kl)), "max_kl": float(np.max(kl)), "top1_agreement": same / len(kl)}


def perplexity(model, ids, context, bos, progress):
    """Windows of `context` tokens; in each, the second half is scored. Where the model begins texts with BOS, so does each window."""
    total, count = 0.0, 0
    n_windows = len(ids) // context
    first = context // 2
    for i in range(n_windows):
        window = list(ids[i * context : (i + 1) * context])
        target = window[first + 1 :]
        if bos is not None:
            window[0] = bos
        lp = log_softmax(model.logits(window, first)[:-1])
        total -= float(lp[np.arange(len(target)), target].sum())
        count += len(target)
        if progress:
            print(f"window {i + 1} of {n_windows}: perplexity {math.exp(total / count):.4f}", file=sys.stderr)
    return {"perplexity": math.exp(total / count), "tokens_scored": count, "windows": n_windows}


def draft_of(case):
    return case.get("tokens") or [s["id"] for s in case.get("steps", [])]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--prompt-ids", help="token ids, parted by commas")
    p.add_argument("--cases", metavar="CASES.json", help='{"cases": [{"prompt": TEXT, "prompt_tokens": [ID...]}...]}')
    p.add_argument("--greedy", type=int, metavar="N")
    p.add_argument("--logits", metavar="OUT.npy")
    p.add_argument("--kl", metavar="RUN.json")
    p.add_argument("--perplexity-ids", metavar="FILE", help="token ids of the text, parted by spaces")
    p.add_argument("--context", type=int, default=512)
    p.add_argument("--windows", type=int, help="score only the first so many windows")
    a = p.parse_args()
    model = Model(a.model)
    if a.kl:
        with open(a.kl) as f:
            print(json.dumps(kl_of_run(model, json.load(f))))
    if a.perplexity_ids:
        with open(a.perplexity_ids) as f:
            ids = [int(i) for i in f.read().split()]
        if a.windows:
            ids = ids[: a.windows * a.context]
        bos = model.w.meta("tokenizer.ggml.bos_token_id") if model.w.meta("tokenizer.ggml.add_bos_token", False) else None
        print(json.dumps(perplexity(model, ids, a.context, bos, sys.stderr.isatty())))
    if a.cases:
        with open(a.cases) as f:
            cases = [{"prompt": c["prompt"], **greedy(model, c["prompt_tokens"], a.greedy, draft_of(c))} for c in json.load(f)["cases"]]
        command = f"tools/reference.py {os.path.basename(a.model)} --cases THIS_FILE --greedy {a.greedy}"
        print(json.dumps({"model": os.path.basename(a.model), "command": command, "cases": cases}, indent=1))
    if a.prompt_ids:
        ids = [int(i) for i in a.prompt_ids.split(",")]
        if a.logits:
            np.save(a.logits, model.logits(ids))
        if a.greedy:
            print(json.dumps(greedy(model, ids, a.greedy)))


if __name__ == "__main__":
    main()
