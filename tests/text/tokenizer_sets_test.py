"""The vocabulary sets that come with their expected ids: NAME.gguf, NAME.gguf.inp (cases) and NAME.gguf.out (ids, a line a case).

They are not part of the project: ../shared beside the checkout, or the folder that RAFTER_SHARED names. Skipped where there is none.
"""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIP = 77  # ctest's SKIP_RETURN_CODE
SEPARATOR = b"\n__ggml_vocab_test__\n"


def main():
    folder = Path(os.environ.get("RAFTER_SHARED", ROOT.parent / "shared")) / "tokenizers"
    sets = sorted(path for path in folder.glob("*.gguf") if Path(f"{path}.inp").is_file())
    if not sets:
        print(f"skipped: no vocabulary sets in {folder}")
        return SKIP
    n_wrong = 0
    for path in sets:
        cases = Path(f"{path}.inp").read_bytes().split(SEPARATOR)[:-1]
        expected = [line.split() for line in Path(f"{path}.out").read_text().splitlines()]
        done = subprocess.run([os.environ["RAFTER_BINARY"], "tokenize", path, "--null"], input=b"\0".join(cases), capture_output=True)
        found = [line.split() for line in done.stdout.decode().splitlines()]
        if done.returncode != 0 or not len(cases) == len(expected) == len(found):
            print(f"{path.name}: {len(cases)} cases, {len(expected)} expected, {len(found)} found {done.stderr.decode()}")
            n_wrong += 1
            continue
        for case, want, got in zip(cases, expected, found):
            if want != got:
                print(f"{path.name}: {case!r}\n  expected {' '.join(want)}\n  found    {' '.join(got)}")
                n_wrong += 1
        print(f"{path.name}: {len(cases)} cases")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
