"""Several sources of a layer, of the program and of a test are compiled at a time (rafter_compile_together in cmake/RafterLayers.cmake). Which ones
changes with every new file, so no two of them may name two things in unnamed namespaces alike."""
import collections
import re
import tempfile
import unittest

import tree

LAYERS = re.compile(r'name MATCHES "\^\(([\w|]+)\)\$"\)\s*\n\s*rafter_compile_together')
BLOCK = re.compile(r"^namespace \{\n(.*?)^\}  // namespace$", re.M | re.S)
# At the start of a line: `constexpr int kName = 3;`, `struct Name {`, `enum class Name {`, `Result name_of(int a, int b) {`.
VALUE = re.compile(r"^(?:(?:constexpr|const|inline|static|thread_local) )+[^=({\n]*?\b(\w+)(?:\[\w*\])? ?(?:=|\{|;)", re.M)
TYPE = re.compile(r"^(?:enum class|struct|class|union|enum) (\w+)[^;\n]*\{", re.M)
FUNCTION = re.compile(r"^(?!using|namespace|return|struct|class|enum|static_assert)[\w:[][\w:<>,&*\[\] ]*?[ &*](\w+)\(([^{;]*?)\)(?: const| noexcept)* \{", re.M)
PARAMETER_NAME = re.compile(r"(?<=[\w>&*]) ?\b\w+(?: = [^,]*)?$")


def parameter_types(parameters):
    """The parameters without their names, so that two spellings of one signature are equal."""
    return ", ".join(PARAMETER_NAME.sub("", " ".join(one.split())).strip() for one in parameters.split(",")) if parameters.strip() else ""


def names_in(text):
    found = set()
    for block in BLOCK.findall(text):
        found |= {name for name in VALUE.findall(block)} | {name for name in TYPE.findall(block)}
        found |= {f"{name}({parameter_types(parameters)})" for name, parameters in FUNCTION.findall(block)}
    return found


def violations(root):
    layers = LAYERS.search((root / "cmake" / "RafterLayers.cmake").read_text())
    if not layers:
        return ["cmake/RafterLayers.cmake: no line says which layers are compiled together"]
    found = []
    tests = [f"tests/{folder.name}" for folder in sorted((root / "tests").glob("*")) if folder.is_dir() and folder.name != "tools"]
    for folder in [*(f"src/{layer}" for layer in layers.group(1).split("|")), "src/apps", *tests]:
        homes = collections.defaultdict(list)
        for path in tree.sources(root, (folder,), (".cpp",)):
            for name in names_in(path.read_text()):
                homes[name].append(path.relative_to(root).as_posix())
        found += [f"{name} is in the unnamed namespaces of {', '.join(files)}" for name, files in sorted(homes.items()) if len(files) > 1]
    return found


TABLE = 'if(name MATCHES "^(model|text)$")\n  rafter_compile_together(rafter_${name})\n'


class UnnamedTest(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as folder:
            return violations(tree.write_tree(folder, {"cmake/RafterLayers.cmake": TABLE, **files}))

    def both(self, first, second):
        return self.check({f"src/model/{name}.cpp": f"namespace {{\n{text}\n}}  // namespace\n" for name, text in (("a", first), ("b", second))})

    def test_finds_what_two_sources_name_alike(self):
        for one in ("constexpr int kColumns = 80;", "const std::vector<int> kSizes{1};", "struct Range {\n    int a;\n};", "enum class Kind { kA };",
                    "int twice(int a) {\n    return a;\n}", "std::vector<Op> ops_of(const Program& p,\n    int n) {\n}"):
            self.assertEqual(1, len(self.both(one, one)), one)
        self.assertEqual(1, len(self.both("int twice(int a) {\n}", "long twice(int b) {\n}")))

    def test_allows_overloads_aliases_and_other_layers(self):
        self.assertEqual([], self.both("int twice(int a) {\n}", "int twice(double a) {\n}"))
        self.assertEqual([], self.both("using json = nlohmann::json;", "using json = nlohmann::json;"))
        self.assertEqual([], self.both("struct Range;", "struct Range;"))
        text = "namespace {\nconstexpr int kA = 1;\n}  // namespace\n"
        self.assertEqual([], self.check({"src/model/a.cpp": text, "src/text/a.cpp": text}))
        self.assertEqual([], self.check({"src/server/a.cpp": text, "src/server/b.cpp": text}))

    def test_the_sources(self):
        self.assertEqual("", "\n".join(violations(tree.ROOT)))


if __name__ == "__main__":
    tree.main()
