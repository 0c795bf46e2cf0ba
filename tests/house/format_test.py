"""Every C++ file is as clang-format 14 (Debian 12's) leaves it: clang-format -i mends a complaint."""
import re
import shutil
import subprocess
import unittest

import tree

VERSION = "14"


def clang_format():
    """The clang-format whose output counts: other versions break lines differently."""
    for name in (f"clang-format-{VERSION}", "clang-format"):
        path = shutil.which(name)
        if path:
            version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if re.search(rf"version {VERSION}\.", version):
                return path
    return None


class Format(unittest.TestCase):
    def test_every_file_is_formatted(self):
        files = [str(path) for path in tree.sources(folders=("src", "include", "examples", "tests", "fuzz", "bench", "tools"))]
        done = subprocess.run([TOOL, "--dry-run", "-Werror", *files], cwd=tree.ROOT, capture_output=True, text=True)
        wrong = sorted(set(re.findall(r"^([^:\n]+):\d+:\d+: error:", done.stderr, re.M)))
        self.assertEqual(done.returncode, 0, "\nclang-format -i " + " ".join(wrong))

    def test_finds_a_file_that_is_not(self):
        done = subprocess.run(
            [TOOL, "--dry-run", "-Werror", "--assume-filename=src/x.cpp"], input="int  x ;\n", cwd=tree.ROOT, capture_output=True, text=True
        )
        self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    TOOL = clang_format()
    if not TOOL:
        tree.skip(f"clang-format {VERSION} is not installed")
    tree.main()
