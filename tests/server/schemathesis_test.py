"""Requests made from /openapi.json, valid and not: no answer with a status from 500 on, none that the description does not have."""
import os
import subprocess
import sys
from pathlib import Path

import serving

RUNNER = Path(sys.executable).with_name("schemathesis")
N_EXAMPLES = os.environ.get("RAFTER_SCHEMA_EXAMPLES", "15")


class Schema(serving.Case):
    arguments = ("--log-file", "/dev/null")

    def test_requests_made_from_the_description(self):
        done = subprocess.run([RUNNER, "run", self.server.url + "/openapi.json", "--checks",
                               "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
                               "--phases", "coverage,fuzzing", "--max-examples", N_EXAMPLES, "--seed", "1", "--workers", "1",
                               "--generation-database", "none", "--no-color"],
                              capture_output=True, text=True, timeout=800, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])


if not RUNNER.exists():
    print("skipped: the package schemathesis is not installed")
    sys.exit(serving.program.SKIP)
serving.main()
