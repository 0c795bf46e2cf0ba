"""README's examples of the server run as they are written: the curl command and the OpenAI client's program."""
import os
import re
import socket
import subprocess
import sys
import unittest

import serving

NAME = "SmolLM2-135M-Instruct"


def blocks():
    """The indented blocks of README, without their indentation."""
    text = (serving.program.ROOT / "README.md").read_text()
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.M)
    parts = [part for block in found for part in re.split(r"\n\n(?=    \S)", block)]
    return ["\n".join(line[4:] for line in part.strip("\n").split("\n")) for part in parts]


def block_with(words):
    return next(block for block in blocks() if words in block)


class Readme(serving.program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", 8080)) == 0:
                raise unittest.SkipTest("something else listens on port 8080")
        cls.server = serving.Server(cls.model, "--port", "8080", "--served-name", NAME, environment=cls.environment)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0
        super().tearDownClass()

    def test_the_curl_command(self):
        done = subprocess.run(["bash", "-c", block_with("curl http://127.0.0.1:8080/v1/chat")], capture_output=True, timeout=serving.PATIENCE)
        self.assertIn(b'"chat.completion"', done.stdout, done.stderr)

    def test_the_clients_program(self):
        try:
            import openai  # noqa: F401
        except ImportError:
            self.skipTest("the package openai is not installed")
        done = subprocess.run([sys.executable, "-c", block_with("from openai import OpenAI")], capture_output=True, timeout=serving.PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout)


serving.main()
