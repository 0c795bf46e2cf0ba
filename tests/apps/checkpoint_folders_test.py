"""Folders that transformers wrote give the logits that transformers computed in float32."""
import json
import subprocess
import sys
import unittest

from program import BUILD_DIR, ROOT

FOLDERS = ROOT / "tests" / "golden" / "checkpoints"
PRINT_LOGITS = BUILD_DIR / "tests" / "tools" / "print_logits"
# Relative to the range of the logits. FP8 weights are held in 8-bit blocks, which costs some precision.
TOLERANCE = 1e-4
TOLERANCE_FP8 = 2e-2


class CheckpointFolders(unittest.TestCase):
    def test_logits_are_those_of_transformers(self):
        folders = sorted(path.parent for path in FOLDERS.glob("*/expected.json"))
        self.assertGreater(len(folders), 20)
        for folder in folders:
            with self.subTest(folder.name):
                expected = json.loads((folder / "expected.json").read_text())
                done = subprocess.run([PRINT_LOGITS, folder, *map(str, expected["tokens"])], capture_output=True, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr.decode())
                rows = [json.loads(line) for line in done.stdout.splitlines()]
                tolerance = TOLERANCE_FP8 if "fp8" in folder.name else TOLERANCE
                for position, wanted in zip(expected["positions"], expected["logits"]):
                    found = rows[position]
                    self.assertEqual(len(found), len(wanted))
                    worst = max(abs(a - b) for a, b in zip(found, wanted)) / (max(wanted) - min(wanted))
                    self.assertLess(worst, tolerance, f"position {position}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests" / "apps"))
    unittest.main()
