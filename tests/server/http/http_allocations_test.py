"""Want of memory ends the connection that it hits and nothing else: tests/tools/http_failing_allocations makes each allocation fail in turn."""
import subprocess
import sys
import unittest

import echo

PROGRAM = echo.PROGRAM.with_name("http_failing_allocations")


class Allocations(unittest.TestCase):
    def test_each_may_fail(self):
        done = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        print(done.stdout.strip())


if __name__ == "__main__":
    if "thread" in echo.SANITIZED:  # it has an operator new of its own
        print("ThreadSanitizer and the program both replace operator new")
        sys.exit(77)
    echo.main()
