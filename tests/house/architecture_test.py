"""What the documents name exists: every path, identifier, option and CMake name in backticks, and ARCHITECTURE.md's table of layers.

A document that names what is gone misleads more than none. Text in backticks is read as code: paths are looked for in the tree, words in
the sources. Fenced and indented blocks are a shell's or a reader's matter and are read for paths below scripts/ and tests/ only.
"""
import re
import tempfile
import unittest

import layers_test
import tree

DOCUMENTS = ("ARCHITECTURE.md", "README.md", "CONTRIBUTING.md")
TICKED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"^[\w.*{},-]*(/[\w.*{},-]+)*/?$")
WORD = re.compile(r"(?<![\w./-])[A-Za-z_]\w{2,}")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]+")
COMMON = {"const", "auto", "int", "float", "void", "bool", "main", "std", "cpp", "origin", "git", "clone"}  # of the language or a command
BLOCK_PATH = re.compile(r"(?<![\w./-])(?:scripts|tests|src|tools|docs|bench|fuzz)/[\w./-]*\w")


def without_blocks(text):
    """The prose, and the text of the fenced and indented blocks."""
    prose, blocks, fenced = [], [], False
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            blocks.append(line)
        else:
            prose.append(line)
    return "\n".join(prose), "\n".join(blocks)


def alternatives(name):
    """'a/{b,c}.h' as ['a/b.h', 'a/c.h']."""
    match = re.search(r"\{([^{}]*)\}", name)
    if not match:
        return [name]
    return [one for part in match.group(1).split(",") for one in alternatives(name[: match.start()] + part + name[match.end() :])]


def path_exists(root, name):
    """A path from the root or from src/, with * for anything; a stem such as `server/routes` stands for its .h or .cpp; a pattern of one
    part is looked for everywhere; a layer that is built but still empty counts."""
    layers = [f"{layer}/" for layer in layers_test.read_rows(root)] if (root / "src/CMakeLists.txt").is_file() else []
    if name in layers:
        return True
    for one in alternatives(name.rstrip("/")):
        if "*" in one and "/" not in one and any(any((root / folder).rglob(one)) for folder in ("src", "tests", "fuzz", "bench")):
            continue
        candidates = [one, "src/" + one] + [f"{base}{one}{suffix}" for base in ("", "src/") for suffix in (".h", ".cpp")]
        if not any(any(root.glob(candidate)) for candidate in candidates if candidate):
            return False
    return True


def looks_like_a_path(text):
    if not PATH.match(text) or not re.search(r"[A-Za-z]", text):
        return False
    return "/" in text or bool(re.search(r"\.(h|cpp|py|md|txt|json|cmake|jinja)$", text))


def words_of_tree(root):
    """Every word of the sources, the tests and the build's files, and every --option that the programs and scripts know."""
    words, options = set(), set()
    for path in tree.tracked_files(root):
        name = path.relative_to(root).as_posix()
        if path.suffix == ".md" or "/golden/" in name or "/corpus/" in name or name in ("LICENSE", "tests/house/architecture_test.py"):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        words |= set(re.findall(r"\w+", text))
        options |= set(OPTION.findall(text))
    return words, options


def missing_names(root, text, words, options):
    """What a document's text names that the tree lacks."""
    prose, blocks = without_blocks(text)
    found = []
    for ticked in TICKED.findall(prose):
        for part in ticked.split():
            part = part.strip(",;:()")
            if looks_like_a_path(part):
                if not path_exists(root, part):
                    found.append(f"`{ticked}`: no such path: {part}")
                ticked = ticked.replace(part, " ", 1)
        for option in OPTION.findall(ticked):
            if option not in options:
                found.append(f"`{ticked.strip()}`: no such option: {option}")
        for word in WORD.findall(OPTION.sub(" ", ticked)):
            if word not in words and word not in COMMON:
                found.append(f"`{ticked.strip()}`: no such name: {word}")
    found += [f"block: no such path: {path}" for path in BLOCK_PATH.findall(blocks) if not path_exists(root, path)]
    return found


def layer_table(text):
    """{layer: what it may see} from the rows `| `x/` | ... | a, b |` of a document."""
    rows = {}
    for line in text.split("\n"):
        match = re.match(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", line)
        if match:
            rows[match.group(1)] = re.findall(r"\w+", match.group(2))
    return rows


class Checker(unittest.TestCase):
    FILES = {"src/base/result.h": "class Result {};\n--isa", "src/model/arch/llama.cpp": "int build_llama();\n", "scripts/test": "x"}

    def missing(self, text):
        with tempfile.TemporaryDirectory() as folder:
            root = tree.write_tree(folder, self.FILES)
            return missing_names(root, text, *words_of_tree(root))

    def test_accepts_what_exists(self):
        self.assertEqual(self.missing("`base/result.h`, `src/base/`, `model/arch/*`"), [])
        self.assertEqual(self.missing("`model/arch/{llama,llama}.cpp` `Result<T>` `build_llama()` `scripts/test --isa` `model/arch/llama`"), [])
        self.assertEqual(self.missing("`==` `k = 0`\n\n    scripts/test | less\n"), [])

    def test_finds_what_is_gone(self):
        for text in ("`base/gone.h`", "`gone.py`", "`Results<T>`", "`build_gone()`", "`model/arch/{llama,gone}.cpp`", "`--gone`", "    scripts/gone"):
            self.assertEqual(len(self.missing(text)), 1, text)

    def test_reads_the_table(self):
        self.assertEqual(layer_table("| `kv/` | blocks | base |\n| `base/` | x | – |\n"), {"kv": ["base"], "base": []})


class Tree(unittest.TestCase):
    def test_every_name_in_the_documents_exists(self):
        words, options = words_of_tree(tree.ROOT)
        found = []
        for document in DOCUMENTS:
            path = tree.ROOT / document
            self.assertTrue(path.is_file(), f"{document} is missing")
            found += [f"{document}: {row}" for row in missing_names(tree.ROOT, path.read_text(encoding="utf-8"), words, options)]
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_the_layers_are_those_that_are_built(self):
        documented = layer_table((tree.ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
        self.assertIn("apps", documented)
        documented.pop("apps")
        built = layers_test.read_rows(tree.ROOT)
        self.assertEqual(list(documented), list(built))
        self.assertEqual({name: set(row) for name, row in documented.items()}, {name: set(row) for name, row in built.items()})


if __name__ == "__main__":
    tree.main()
