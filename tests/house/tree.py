"""What the house tests share: the tree they look at, and how they end. Standard library only."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD_DIR = Path(os.environ.get("RAFTER_BUILD_DIR", ROOT / "build" / "release"))
SKIP = 77  # ctest's SKIP_RETURN_CODE


def sources(root=ROOT, folders=("src",), suffixes=(".h", ".cpp")):
    """The C++ files under these folders, in a fixed order."""
    found = []
    for folder in folders:
        found += [path for path in (root / folder).rglob("*") if path.suffix in suffixes and path.is_file()]
    return sorted(found)


def tracked_files(root=ROOT):
    """Every file that git knows; in a tree without git, every file outside build/."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return [root / name for name in listed.stdout.split("\0") if name and (root / name).is_file()]
    return sorted(p for p in root.rglob("*") if p.is_file() and p.relative_to(root).parts[0] not in ("build", ".git"))


def write_tree(root, files):
    """Lays out {path: text} under root: the fixtures that the checkers are tried on."""
    for name, text in files.items():
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Path(root)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


def main():
    """Runs the calling file's unittest cases; ctest reads the exit status."""
    unittest.main(module="__main__", verbosity=1)
