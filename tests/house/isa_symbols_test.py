"""What is compiled with an instruction set's own flags exports no weak symbol.

The linker keeps one copy of an inline function: if that is the copy compiled with AVX-512 flags, every caller on every machine gets it. So
everything in a *_<isa>.cpp has internal linkage. Optimisation hides the mistake by inlining, therefore the sources are compiled without it
as well: the same commands, with -O0.
"""
import json
import re
import shlex
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree

ISA_SOURCE = re.compile(r"/src/.*_(scalar|avx2|avx512|amx|neon)\.cpp$")


def weak_symbols(object_file):
    """Names of weak definitions (W, V) and unique globals (u) in an object file."""
    listed = subprocess.run(["nm", "--defined-only", "--demangle", str(object_file)], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    # DW.ref.* is data: a pointer to the exception personality, the same in every file.
    return [row[2] for row in rows if len(row) == 3 and row[1] in "WVu" and not row[2].startswith("DW.ref.")]


def isa_commands(build_dir):
    """The compile commands of the ISA sources: [(source, argument list, folder)]."""
    rows = json.loads((build_dir / "compile_commands.json").read_text())
    return [(row["file"], shlex.split(row["command"]), row["directory"]) for row in rows if ISA_SOURCE.search(row["file"])]


def compile_again(command, folder, flags, out):
    """Runs a compile command with its optimisation and output replaced."""
    kept = [word for word in command if not re.fullmatch(r"-O\w*|-g\w*|-fsanitize=\S+|-fno-sanitize-recover=\S+", word)]
    if Path(kept[0]).name == "ccache":
        kept = kept[1:]
    kept[kept.index("-o") + 1] = str(out)
    done = subprocess.run(kept + flags, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return out


class Checker(unittest.TestCase):
    def weak_in(self, text, flags):
        with tempfile.TemporaryDirectory() as folder:
            tree.write_tree(folder, {"probe.cpp": text})
            command = ["c++", "-std=c++20", "-o", "x", "-c", "probe.cpp"]
            return weak_symbols(compile_again(command, folder, flags, Path(folder) / "probe.o"))

    def test_finds_an_inline_function_and_a_template(self):
        text = "inline int twice(int x) { return 2 * x; }\ntemplate <class T> T same(T x) { return x; }\nint f(int x) { return twice(same(x)); }\n"
        self.assertEqual(sorted(self.weak_in(text, ["-O0"])), ["int same<int>(int)", "twice(int)"])

    def test_accepts_internal_linkage(self):
        text = "namespace {\ninline int twice(int x) { return 2 * x; }\n}\nint f(int x) { return twice(x); }\n"
        self.assertEqual(self.weak_in(text, ["-O0"]), [])


class Tree(unittest.TestCase):
    def expect_none(self, sources_and_objects):
        found = [f"{Path(source).name}: {name}" for source, out in sources_and_objects for name in weak_symbols(out)]
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_no_weak_symbol_unoptimised(self):
        commands = isa_commands(tree.BUILD_DIR)
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
            outs = [Path(folder) / f"{i}.o" for i in range(len(commands))]
            list(pool.map(lambda job: compile_again(job[0][1], job[0][2], ["-O0"], job[1]), zip(commands, outs)))
            self.expect_none([(source, out) for (source, _, _), out in zip(commands, outs)])

    def test_no_weak_symbol_as_built(self):
        commands = isa_commands(tree.BUILD_DIR)
        self.assertGreater(len(commands), 0)
        self.expect_none([(source, Path(folder) / words[words.index("-o") + 1]) for source, words, folder in commands])


if __name__ == "__main__":
    if not (tree.BUILD_DIR / "compile_commands.json").is_file():
        tree.skip(f"{tree.BUILD_DIR} holds no compile_commands.json")
    tree.main()
