"""Each folder of src/ includes only the layers that its row in src/CMakeLists.txt names, and rows name only rows above them. What is in a
device's folder (backend/cpu/) is included by backend/ and probe/ alone: the rest names devices by text (backend/backends.h)."""
import re
import tempfile
import unittest

import tree

ROW = re.compile(r"^rafter_layer\((\w+)(.*?)\)", re.M | re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)
# Operating-system calls have one home, base/os_*.
SYSTEM_HEADER = re.compile(r"(sys|linux|arpa|netinet)/|(unistd|fcntl|sched|pthread|dlfcn|termios|poll|signal|dirent)\.h$|csignal$")
SYSTEM_HOME = re.compile(r"base/os_\w+\.(h|cpp)$")


def read_rows(root):
    """{layer: layers it may include}, in the order of the table, from src/CMakeLists.txt."""
    rows = {}
    for match in ROW.finditer((root / "src" / "CMakeLists.txt").read_text()):
        words = match.group(2).split()
        depends = []
        if "DEPENDS" in words:
            for word in words[words.index("DEPENDS") + 1 :]:
                if word == "LINK":
                    break
                depends.append(word)
        rows[match.group(1)] = depends
    return rows


# A device's own folder, and who may look into it.
DEVICE = re.compile(r"backend/(\w+)/")
DEVICE_VIEWERS = ("backend", "probe")


def violations(root):
    rows = read_rows(root)
    found = []
    above = []
    for layer, depends in rows.items():
        found += [f"src/CMakeLists.txt: {layer} depends on {other}, which is not above it" for other in depends if other not in above]
        above.append(layer)
    rows["apps"] = list(rows)
    for path in tree.sources(root):
        name = path.relative_to(root / "src").as_posix()
        layer = name.split("/")[0]
        if layer not in rows:
            found.append(f"src/{name}: the folder {layer}/ has no row in src/CMakeLists.txt")
            continue
        for bracket, include in INCLUDE.findall(path.read_text()):
            if bracket == "<":
                if SYSTEM_HEADER.match(include) and not SYSTEM_HOME.match(name):
                    found.append(f"src/{name}: includes <{include}>; operating-system calls live in src/base/os_*")
                continue
            other = include.split("/")[0]
            if not (root / "src" / include).is_file():
                found.append(f'src/{name}: includes "{include}", expected a path from src/')
            elif DEVICE.match(include) and layer not in DEVICE_VIEWERS:
                found.append(f'src/{name}: includes "{include}", but a device\'s folder is seen only by {" and ".join(DEVICE_VIEWERS)}')
            elif other != layer and other not in rows[layer]:
                found.append(f'src/{name}: includes "{include}", but {layer} may see only: {", ".join(rows[layer]) or "nothing"}')
    return found


TABLE = """
rafter_layer(base LINK fmt::fmt)
rafter_layer(tensor DEPENDS base)
rafter_layer(files DEPENDS base
             LINK zlib)
"""
GOOD = {
    "src/CMakeLists.txt": TABLE,
    "src/base/os_file.cpp": "// x\n#include <sys/mman.h>\n#include <vector>\n",
    "src/base/result.h": "// x\n",
    "src/tensor/dtype.h": '// x\n#include "base/result.h"\n#include "tensor/shape.h"\n',
    "src/tensor/shape.h": "// x\n",
    "src/files/gguf.cpp": '// x\n#include "base/result.h"\n',
    "src/apps/main.cpp": '// x\n#include "files/gguf.cpp"\n#include "tensor/dtype.h"\n',
}


class Checker(unittest.TestCase):
    def found(self, **planted):
        with tempfile.TemporaryDirectory() as folder:
            root = tree.write_tree(folder, GOOD | {name.replace("__", "/").replace("_cpp", ".cpp").replace("_txt", ".txt"): text for name, text in planted.items()})
            return violations(root)

    def test_finds_nothing_in_a_good_tree(self):
        self.assertEqual(self.found(), [])

    def test_reads_the_rows(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(read_rows(tree.write_tree(folder, GOOD)), {"base": [], "tensor": ["base"], "files": ["base"]})

    def expect_one(self, found, words):
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_finds_a_layer_that_looks_down(self):
        self.expect_one(self.found(src__base__bad_cpp='#include "tensor/dtype.h"\n'), "base may see only: nothing")

    def test_finds_a_layer_that_looks_into_a_device(self):
        table = TABLE + "rafter_layer(backend DEPENDS base)\nrafter_layer(probe DEPENDS base backend)\nrafter_layer(engine DEPENDS base backend)\n"
        device = {"src__backend__cpu__isa.h": "// x\n", "src__backend__backends_cpp": '#include "backend/cpu/isa.h"\n', "src__CMakeLists_txt": table}
        self.assertEqual(self.found(**device, src__probe__good_cpp='#include "backend/cpu/isa.h"\n'), [])
        self.expect_one(self.found(**device, src__engine__bad_cpp='#include "backend/cpu/isa.h"\n'), "seen only by backend and probe")
        self.expect_one(self.found(**device, src__apps__bad_cpp='#include "backend/cpu/isa.h"\n'), "seen only by backend and probe")

    def test_finds_a_layer_that_looks_sideways(self):
        self.expect_one(self.found(src__files__bad_cpp='#  include "tensor/dtype.h"\n'), "files may see only: base")

    def test_finds_a_path_that_does_not_start_at_src(self):
        self.expect_one(self.found(src__tensor__bad_cpp='#include "shape.h"\n'), "expected a path from src/")
        self.expect_one(self.found(src__tensor__bad_cpp='#include "../base/result.h"\n'), "expected a path from src/")

    def test_finds_a_folder_without_a_row(self):
        self.expect_one(self.found(src__extra__new_cpp="// x\n"), "has no row")

    def test_finds_a_row_that_names_one_below(self):
        self.expect_one(self.found(src__CMakeLists_txt=TABLE.replace("(tensor DEPENDS base)", "(tensor DEPENDS base files)")), "not above it")

    def test_finds_a_system_call_outside_its_home(self):
        self.expect_one(self.found(src__files__bad_cpp="#include <unistd.h>\n"), "operating-system calls")


class Tree(unittest.TestCase):
    def test_each_folder_includes_only_layers_above_it(self):
        found = violations(tree.ROOT)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_the_table_is_the_one_that_was_read(self):
        self.assertEqual(list(read_rows(tree.ROOT))[:3], ["base", "report", "tensor"])


if __name__ == "__main__":
    tree.main()
