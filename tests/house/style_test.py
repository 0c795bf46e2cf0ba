"""The parts of the house style that a program can check: file sizes, opening comments, plain text, no marks of unfinished work."""
import re
import unittest

import tree

MAX_LINES = 600
TEXT_SUFFIXES = {".h", ".cpp", ".py", ".md", ".txt", ".cmake", ".json", ".sh", ".1", ""}
# Home folders and the like: the project must not know the machine it was written on.
MACHINE_PATH = re.compile("/" + r"(?:root|home/\w+|work)/\w")
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "st" + "ub", "place" + "holder"]) + r")\b", re.I)
# The environment and the terminal belong to the command line: what else needs something of them is told. Two files print by purpose.
READS_ENVIRONMENT = re.compile(r"\b(?:secure_)?getenv\b")
PRINTS = re.compile(r"\b(?:std::(?:cout|cerr|clog|puts|printf|fprintf)|fmt::print|printf|fprintf|puts|perror)\b\s*(?:\(|<<)")
MAY_PRINT = {"src/report/progress.cpp", "src/base/check.cpp"}
OPENING = {".h": "//", ".cpp": "//", ".py": ('"""', "#!", "#")}


def complaints(name, text):
    """What is wrong with one file, as 'name:line: words'."""
    suffix = "." + name.rsplit(".", 1)[1] if "." in name.rsplit("/", 1)[-1] else ""
    lines = text.split("\n")
    found = []
    in_src = name.startswith("src/")
    if in_src and len(lines) - 1 > MAX_LINES:
        found.append(f"{name}: {len(lines) - 1} lines, expected at most {MAX_LINES}: one subject a file")
    if (in_src or suffix == ".py") and suffix in OPENING and not text.startswith(OPENING[suffix]):
        found.append(f"{name}:1: expected an opening comment that says what the file is")
    if suffix == ".h" and "#pragma once" not in lines:
        found.append(f"{name}: expected #pragma once")
    if text and not text.endswith("\n"):
        found.append(f"{name}:{len(lines)}: expected a line end at the end of the file")
    for number, line in enumerate(lines, 1):
        if in_src and "\t" in line:
            found.append(f"{name}:{number}: a tab")
        if in_src and line != line.rstrip():
            found.append(f"{name}:{number}: blanks at the end of the line")
        if MACHINE_PATH.search(line):
            found.append(f"{name}:{number}: a path of one machine: {line.strip()}")
        if in_src and not name.startswith("src/apps/"):
            if READS_ENVIRONMENT.search(line):
                found.append(f"{name}:{number}: reads the environment, as apps/ alone may: {line.strip()}")
            if PRINTS.search(line) and name not in MAY_PRINT:
                found.append(f"{name}:{number}: prints, as apps/ alone may: {line.strip()}")
        if in_src and UNFINISHED.search(line):
            found.append(f"{name}:{number}: a mark of unfinished work: {line.strip()}")
    return found


class Checker(unittest.TestCase):
    def test_accepts_a_good_file(self):
        self.assertEqual(complaints("src/base/a.h", "// A.\n#pragma once\nint a();\n"), [])
        self.assertEqual(complaints("src/base/a.cpp", "// A.\n" + "int a;\n" * 599), [])

    def expect(self, name, text, words):
        found = complaints(name, text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_finds_each_fault(self):
        self.expect("src/base/a.cpp", "// A.\n" + "int a;\n" * 600, "601 lines")
        self.expect("src/base/a.cpp", "#include <vector>\n", "opening comment")
        self.expect("src/base/a.h", "// A.\nint a();\n", "#pragma once")
        self.expect("src/base/a.cpp", "// A.\n\tint a;\n", "a.cpp:2: a tab")
        self.expect("src/base/a.cpp", "// A. \n", "blanks at the end")
        self.expect("README.md", "see /" + "home/someone/x\n", "path of one machine")
        self.expect("src/base/a.cpp", "// TO" + "DO later\n", "unfinished")
        self.expect("src/base/a.cpp", "// A.", "a line end")
        self.expect("src/engine/a.cpp", '// A.\nauto home = std::getenv("HOME");\n', "reads the environment")
        self.expect("src/engine/a.cpp", '// A.\nfmt::print("{}", 1);\n', "prints")
        self.assertEqual(complaints("src/apps/a.cpp", '// A.\nfmt::print("{}", std::getenv("HOME"));\n'), [])


class Tree(unittest.TestCase):
    def test_every_file_is_in_the_house_style(self):
        found = []
        for path in tree.tracked_files():
            name = path.relative_to(tree.ROOT).as_posix()
            if path.suffix not in TEXT_SUFFIXES or "/golden/" in name or "/corpus/" in name or name == "LICENSE":
                continue
            try:
                found += complaints(name, path.read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                found.append(f"{name}: expected UTF-8 text")
        self.assertEqual(found, [], "\n" + "\n".join(found))


if __name__ == "__main__":
    tree.main()
