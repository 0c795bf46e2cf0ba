"""Checkpoint folders against transformers: the logits that tests/golden/checkpoints/*/expected*.json hold, computed by print_logits in float64
from the folder's weights. Within 1e-4 of the range of the logits; FP8 weights are held as BF16, which rounds their scales' products."""
import json
import os
import subprocess
import sys
from pathlib import Path

FOLDERS = Path(__file__).resolve().parents[1] / "golden" / "checkpoints"


def error_of(path):
    folder = path.parent
    expected = json.loads(path.read_text())
    program = Path(os.environ["RAFTER_BUILD_DIR"]) / "tests" / "tools" / "print_logits"
    done = subprocess.run([program, folder, *map(str, expected["tokens"])], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{folder.name}: {done.stderr}")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    rows = [(want, found[at]) for want, at in zip(expected["logits"], expected["positions"])]
    assert rows and all(len(want) == len(got) for want, got in rows), folder.name
    size = max(max(want) for want, _ in rows) - min(min(want) for want, _ in rows)
    return max(abs(a - b) for want, got in rows for a, b in zip(want, got)) / size


def main():
    paths = sorted(FOLDERS.glob("*/expected*.json"))
    assert len(paths) >= 20, f"{FOLDERS}: expected the checkpoints of every architecture, found {len(paths)}"
    n_wrong = 0
    for path in paths:
        error = error_of(path)
        bound = 1e-2 if "fp8" in path.parent.name else 1e-4
        n_wrong += not error < bound
        print(f"{path.parent.name}/{path.name}: {error:.1e} of the range, at most {bound:.0e}: {'ok' if error < bound else 'WRONG'}")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
