"""deploy/rafter.service: systemd accepts it, it uses options that the program has, and systemd waits longer than the program drains."""
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "apps"))
import program  # noqa: E402

UNIT = program.ROOT / "deploy" / "rafter.service"


def settings(text):
    """{name: values} of the unit, over all sections."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"(\w+)=(.*)", line):
            found.setdefault(match.group(1), []).append(match.group(2))
    return found


def verify(text):
    """What systemd-analyze says of a unit: (exit status, words)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rafter.service"
        path.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


class Unit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = UNIT.read_text()
        cls.settings = settings(cls.text)

    def test_systemd_accepts_it(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        here = self.text.replace("/usr/local/bin/rafter", program.BINARY)
        self.assertEqual(verify(here), (0, ""))
        status, words = verify(here.replace("DynamicUser=yes", "DynamicUsr=yes"))
        self.assertIn("DynamicUsr", words, status)  # it does look

    def test_its_command_has_options_of_the_program(self):
        command = self.settings["ExecStart"][0].split()
        self.assertEqual(command[1:3], ["serve", "${MODEL}"])
        help_text = subprocess.run([program.BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
        for option in re.findall(r"--[a-z-]+", self.settings["ExecStart"][0]) + ["--api-key-file", "--unix-socket"]:
            self.assertIn(option, help_text)

    def test_systemd_waits_longer_than_the_program_drains(self):
        drain_seconds = int(re.search(r"--drain-seconds (\d+)", self.settings["ExecStart"][0]).group(1))
        self.assertGreaterEqual(int(self.settings["TimeoutStopSec"][0]), drain_seconds + 15)

    def test_the_key_file_is_a_credential_and_reload_is_the_signal_that_the_program_knows(self):
        name = self.settings["LoadCredential"][0].split(":")[0]
        self.assertIn(f"--api-key-file ${{CREDENTIALS_DIRECTORY}}/{name}", self.settings["ExecStart"][0])
        self.assertIn("-HUP $MAINPID", self.settings["ExecReload"][0])
        self.assertEqual(self.settings["DynamicUser"], ["yes"])
        self.assertEqual(self.settings["CapabilityBoundingSet"], [""])


if __name__ == "__main__":
    program.main()
