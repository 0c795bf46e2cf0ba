"""Counts the parameters of every config in families.json with Hugging Face's own model classes, on torch's meta device (no weights are
loaded), and writes them beside the config. An oracle that shares no code with the reader that it tests.

    python3 -m venv venv && venv/bin/pip install transformers torch && venv/bin/python tests/model/hf/count.py

The file was last written with transformers 5.24.0 and torch 2.x. Not part of the test suite: the suite reads families.json.
"""
import copy
import json
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText

HERE = Path(__file__).resolve().parent
OTHER_PARTS = ("vision", "visual", "audio", "embed_audio", "embed_vision", "multi_modal_projector", "patch_embed")


def config_of(keys):
    keys = copy.deepcopy(keys)
    keys.pop("quantization_config", None)  # says how weights are stored, not how many there are
    return AutoConfig.for_model(keys.pop("model_type"), **keys)


def model_of(config):
    failed = []
    for kind in (AutoModelForCausalLM, AutoModelForImageTextToText, AutoModel):
        try:
            with torch.device("meta"):
                model = kind.from_config(config)
            model.tie_weights()
            return model
        except Exception as error:  # noqa: BLE001: the next kind of model may know it
            failed.append(f"{kind.__name__}: {error!r}"[:300])
    raise RuntimeError("; ".join(failed))


def routed_share(config):
    text = getattr(config, "text_config", config)
    values = {**text.to_dict(), **(text.to_dict().get("ffn_config") or {})}

    def first(*names):
        found = [values[n] for n in names if values.get(n)]
        return found[0] if found else None

    n = first("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    k = first("num_experts_per_tok", "num_experts_per_token", "moe_top_k", "moe_topk", "moe_k", "top_k_experts")
    n = n[0] if isinstance(n, list) else n
    k = k[0] if isinstance(k, list) else k
    return (k, n) if n and k else (1, 1)


def counts_of(keys):
    config = config_of(keys)
    model = model_of(config)
    k, n = routed_share(config)
    total = active = others = 0
    for name, parameter in model.named_parameters():
        size = parameter.numel()
        if any(part in name for part in OTHER_PARTS):
            others += size
            continue
        total += size
        routed = ".experts." in name or ".input_linear." in name or ".output_linear." in name
        routed = routed and "shared" not in name
        active += size * k // n if routed else size
    table = model.get_input_embeddings().weight.numel()
    return {"parameters": total, "active_parameters": active, "embedding": table, "other_parts": others}


def main():
    path = HERE / "families.json"
    families = json.loads(path.read_text())
    wanted = sys.argv[1:]
    for entry in families:
        if wanted and entry["name"] not in wanted:
            continue
        try:
            entry["counts"] = counts_of(entry["config"])
        except Exception as error:  # noqa: BLE001: one family less
            entry.pop("counts", None)
            print(entry["name"], repr(error)[:400], file=sys.stderr)
            continue
        print(entry["name"], json.dumps(entry["counts"]))
    path.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in families) + "\n]\n")


if __name__ == "__main__":
    main()
