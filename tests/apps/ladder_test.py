"""rafter ladder as a person runs it: the real probe, a tiny model, and what is written where."""
import json
import os
import signal
import subprocess
import time
import unittest

import program


@unittest.skipIf(program.SANITIZED, "measures the machine, which a sanitizer makes take minutes")
class Ladder(program.Case):
    def test_reports_in_three_forms_and_compares_with_itself(self):
        page, data = self.folder / "ladder.html", self.folder / "ladder.json"
        done = self.rafter("ladder", self.model, "--quick", "--html", page, "--json", data)
        text = done.stdout.decode()
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80, line)
        ladder = json.loads(data.read_text())
        names = {rung["id"] for rung in ladder["rungs"]}
        self.assertLessEqual({"naive", "kv_cache", "fused", "flash_decode", "flash_prompt", "weights_16", "weights_8", "weights_4", "kv_8",
                              "batch_8", "paged_16", "prefix_cache", "speculation", "all"}, names)
        for rung in ladder["rungs"]:
            if not rung.get("skipped"):
                self.assertIn(rung["name"], text)
        html = page.read_text()
        self.assertNotIn("http://", html.replace("http://www.w3.org", ""))
        self.assertIn("<svg", html)

    def test_other_hardware_is_predicted_and_says_so(self):
        done = self.rafter("ladder", "llama-3.1-8b", "--hardware", "H100-SXM")
        self.assertIn("redicted", done.stdout.decode().splitlines()[1] + done.stdout.decode().splitlines()[0])

    def test_what_cannot_be_asked(self):
        self.expect_error("--quick: goes without --hardware", "ladder", "llama-3.1-8b", "--hardware", "H100-SXM", "--quick", status=2)
        self.expect_error("--devices: goes with --hardware", "ladder", self.model, "--devices", "2", status=2)
        missing = self.folder / "none.json"
        self.expect_error("none.json", "ladder", self.model, "--against", missing)
        wrong = self.folder / "wrong.json"
        wrong.write_text("{}")
        self.expect_error("wrong.json", "ladder", self.model, "--against", wrong)

    def test_stopped_early_it_reports_what_it_has(self):
        data = self.folder / "stopped.json"
        running = subprocess.Popen([program.BINARY, "ladder", self.model, "--json", data], env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(4)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 130, err)
        self.assertFalse(json.loads(data.read_text())["complete"])


if __name__ == "__main__":
    program.main()
