"""The library as others meet it: installed into an empty prefix, found by find_package, and the example's answers are those of `rafter run`."""
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "apps"))
import program

HEADER = program.ROOT / "include" / "rafter" / "rafter.h"
STANDARD = {"cstdint", "filesystem", "functional", "memory", "optional", "span", "stdexcept", "string", "string_view", "utility", "vector"}


def run(*arguments, **options):
    done = subprocess.run([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, arguments))}\n{done.stdout}")
    return done.stdout


def cached(name):
    """A setting of the build folder."""
    return re.search(rf"^{name}:\w+=(.*)$", (program.BUILD_DIR / "CMakeCache.txt").read_text(), re.M).group(1)


class Installed(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix = cls.folder / "prefix"
        run("cmake", "--install", program.BUILD_DIR, "--prefix", cls.prefix)
        # Nothing but the prefix and the source: no header or folder of this tree can help.
        example = cls.folder / "example"
        run("cp", "-r", program.ROOT / "examples", example)
        run("cmake", "-S", example, "-B", cls.folder / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={cls.prefix}", "-DCMAKE_BUILD_TYPE=Release",
            f"-DCMAKE_CXX_COMPILER={cached('CMAKE_CXX_COMPILER')}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror")
        run("cmake", "--build", cls.folder / "build")
        cls.example = cls.folder / "build" / "two_streams"

    def answers(self, *arguments):
        """Each stream's text and the words of its end, from the example's lines."""
        out = subprocess.run([self.example, self.model, *arguments], capture_output=True, timeout=120, check=True).stdout
        texts, ends = ["", ""], [None, None]
        for line in re.findall(rb'^([01]) ("(?:[^"\\]|\\.)*"|\w+ )$', out, re.M | re.S):
            number, words = int(line[0]), line[1].decode()
            self.assertIsNone(ends[number], "nothing comes after the end")
            if words.startswith('"'):
                texts[number] += re.sub(r"\\(.)", r"\1", words[1:-1], flags=re.S)
            else:
                ends[number] = words.strip()
        return list(zip(texts, ends))

    def expected(self, prompt, *sampling):
        result = self.json_of("run", self.model, "--raw", "-p", prompt, "-n", "40", *sampling)
        return result["text"], result["finish_reason"]

    def test_the_example_answers_as_the_command_does(self):
        prompts = ["hello", "Once upon a time"]
        self.assertEqual(self.answers(*prompts), [self.expected(p) for p in prompts])
        for seed in ["1", "2", "77"]:
            drawn = [self.expected(p, "--temperature", "0.8", "--seed", seed) for p in prompts]
            self.assertEqual(self.answers(*prompts, seed), drawn)
        self.assertNotEqual(drawn[0][0], self.expected("hello")[0], "the seed is used")

    def test_the_example_says_what_is_wrong(self):
        done = subprocess.run([self.example, self.folder / "none.gguf", "a", "b"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("none.gguf", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_the_installed_command_runs(self):
        done = subprocess.run([self.prefix / "bin" / "rafter", "--version"], capture_output=True, text=True, check=True)
        version = re.search(r"\d+\.\d+\.\d+", done.stdout).group(0)
        package = next(self.prefix.rglob("rafterConfigVersion.cmake")).read_text()
        self.assertIn(f'set(PACKAGE_VERSION "{version}")', package)

    def test_the_package_names_no_folder_of_the_build(self):
        for path in self.prefix.rglob("*.cmake"):
            self.assertNotIn(str(program.ROOT), path.read_text(), path.name)

    def test_the_archive_is_whole(self):
        """Every object of it can be linked, not only those that an example happens to need."""
        source = self.folder / "whole"
        source.mkdir()
        (source / "main.cpp").write_text("#include <rafter/rafter.h>\nint main() {}\n")
        (source / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(whole LANGUAGES CXX)\nfind_package(rafter 0.1 REQUIRED)\nadd_executable(whole main.cpp)\n"
            "target_link_libraries(whole PRIVATE -Wl,--whole-archive rafter::rafter -Wl,--no-whole-archive)\n")
        run("cmake", "-S", source, "-B", source / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}",
            f"-DCMAKE_CXX_COMPILER={cached('CMAKE_CXX_COMPILER')}")
        run("cmake", "--build", source / "build")


class Header(unittest.TestCase):
    def test_includes_standard_headers_only(self):
        found = re.findall(r'^\s*#\s*include\s*([<"][^">]+[">])', HEADER.read_text(), re.M)
        self.assertEqual(set(found) - {f"<{name}>" for name in STANDARD}, set())
        self.assertEqual(list((program.ROOT / "include").rglob("*.h")), [HEADER])

    def test_users_get_no_warning_from_it(self):
        use = "rafter::Request request_of(int n) { return {.prompt = {n}, .stop = {\"x\"}}; }\n"
        run(cached("CMAKE_CXX_COMPILER"), "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-fsyntax-only",
            "-I", program.ROOT / "include", "-x", "c++", "-", input=f"#include <rafter/rafter.h>\nrafter::Request request_of(int n);\n{use}")


class Example(unittest.TestCase):
    def test_is_short(self):
        for source in (program.ROOT / "examples").glob("*.cpp"):
            self.assertLessEqual(len(source.read_text().splitlines()), 60)


if __name__ == "__main__":
    if program.SANITIZED:
        print("skipped: a sanitizer says nothing about an installation; tests/library/library_test.cpp runs under it")
        sys.exit(program.SKIP)
    program.main()
