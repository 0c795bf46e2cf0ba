"""One list of instruction sets: kIsaNames in backend/cpu/isa.h. Compiler flags, kernels and their tables have the same ones."""
import re
import unittest

import tree

# Of kAmx only what uses tiles is its own: all else is shared with kAvx512.
WITH_TILES = ["src/backend/cpu/linear", "src/probe/machine_kernels"]
KERNELS = ["src/backend/cpu/linear", "src/backend/cpu/attention", "src/backend/cpu/rows", "src/backend/cpu/sampling", "src/probe/machine_kernels", "tests/backend/vec_operations"]


def names_in_header(text):
    """["scalar", ...] as the rows of kIsaNames have them."""
    return re.findall(r'IsaName\{Isa::k\w+, "(\w+)"\}', text)


def enumerators(text):
    body = re.search(r"enum class Isa \{(.*?)\};", text, re.S).group(1)
    return re.findall(r"^\s*k(\w+),", body, re.M)


def names_in_cmake(text):
    return re.findall(r"^rafter_isa\((\w+)", text, re.M)


class IsaList(unittest.TestCase):
    def setUp(self):
        self.header = (tree.ROOT / "src/backend/cpu/isa.h").read_text()
        self.names = names_in_header(self.header)

    def test_the_header_names_each_enumerator(self):
        self.assertGreater(len(self.names), 2)
        self.assertEqual([name.lower() for name in enumerators(self.header)], self.names)

    def test_cmake_has_a_row_of_flags_for_each(self):
        self.assertEqual(names_in_cmake((tree.ROOT / "cmake/RafterIsa.cmake").read_text()), self.names)

    def test_each_kernel_has_a_source_for_each(self):
        for kernel in KERNELS:
            for name in self.names:
                if name == "amx" and kernel not in WITH_TILES:
                    continue
                self.assertTrue((tree.ROOT / f"{kernel}_{name}.cpp").is_file(), f"{kernel}_{name}.cpp")

    def test_each_choice_of_a_kernel_knows_all(self):
        n_choices = 0
        for path in tree.sources(tree.ROOT):
            cases = re.findall(r"case Isa::k(\w+):", path.read_text()) if path.suffix in (".cpp", ".h") else []
            counts = {name: cases.count(name) for name in enumerators(self.header)}
            n_choices += counts["Scalar"]
            self.assertEqual(len(set(counts.values())), 1, f"{path.relative_to(tree.ROOT)}: cases of a switch by instruction set: {counts}")
        self.assertGreater(n_choices, 5)

    def test_nobody_else_lists_them(self):
        for path in tree.sources(tree.ROOT):
            text = path.read_text()
            if path.name in ("isa.h",) or not all(f'"{name}"' in re.sub(r"//.*", "", text) for name in self.names):
                continue
            self.fail(f"{path.relative_to(tree.ROOT)}: a second list of instruction sets; kIsaNames is the one")

    def test_the_checker_sees_a_missing_row(self):
        self.assertEqual(names_in_cmake("rafter_isa(scalar)\n# rafter_isa(avx2)\nrafter_isa(neon -march)\n"), ["scalar", "neon"])
        self.assertEqual(names_in_header('{IsaName{Isa::kNeon, "neon"}}'), ["neon"])
        self.assertEqual(enumerators("enum class Isa {\n    kScalar,  // x\n    kNeon,\n};"), ["Scalar", "Neon"])


if __name__ == "__main__":
    tree.main()
