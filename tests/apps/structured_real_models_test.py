"""Random answers of the real models under twenty schemas: each that ends by itself is valid by the jsonschema package, and each that is cut
short is a beginning of one. RAFTER_TEST_GENERATIONS says how many answers for each schema; with --report a table of counts is printed."""
import collections
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import jsonschema
except ImportError:
    print("skipped: no jsonschema (tests/requirements.txt)")
    sys.exit(77)

RAFTER = os.environ["RAFTER_BINARY"]
SCHEMAS = json.loads((Path(__file__).parents[1] / "golden" / "schemas" / "twenty.json").read_text())
N = int(os.environ.get("RAFTER_TEST_GENERATIONS", "2"))
MAX_TOKENS = 160
MODELS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rafter" / "models"


def answers(model, folder):
    """[(schema's name, finish reason, text)], by `rafter batch`."""
    requests, results = folder / "requests.jsonl", folder / f"{model}.jsonl"
    with requests.open("w") as out:
        for name, schema in SCHEMAS.items():
            for i in range(N):
                body = {"messages": [{"role": "user", "content": f"Give me an example of {name.replace('_', ' ')} as JSON."}], "temperature": 1.0,
                        "seed": i, "max_tokens": MAX_TOKENS, "response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}}
                out.write(json.dumps({"custom_id": f"{name}/{i}", "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n")
    subprocess.run([RAFTER, "batch", model, "--in", str(requests), "--out", str(results)], check=True, stderr=subprocess.DEVNULL)
    found = []
    for line in results.read_text().splitlines():
        result = json.loads(line)
        assert result["response"] and result["response"]["status_code"] == 200, result
        choice = result["response"]["body"]["choices"][0]
        found.append((result["custom_id"].split("/")[0], choice["finish_reason"], choice["message"]["content"]))
    return found


class StructuredTest(unittest.TestCase):
    def check(self, model):
        if not any(MODELS.glob(f"{model}*")):
            self.skipTest(f"{model} is not there: rafter models get {model}")
        counts = collections.Counter()
        with tempfile.TemporaryDirectory() as folder:
            for name, reason, text in answers(model, Path(folder)):
                counts[name, reason] += 1
                if reason != "stop":
                    continue
                errors = [e.message for e in jsonschema.Draft202012Validator(SCHEMAS[name]).iter_errors(json.loads(text))]
                self.assertEqual([], errors, (name, text))
        self.assertEqual(N * len(SCHEMAS), counts.total())
        n_ended = sum(n for (_, reason), n in counts.items() if reason == "stop")
        self.assertGreater(n_ended, counts.total() // 3)
        if "--report" in sys.argv:
            print(f"{model}: {n_ended} of {counts.total()} ended by themselves and are valid, {counts.total() - n_ended} were cut at {MAX_TOKENS} tokens")

    def test_smollm2(self):
        self.check("SmolLM2-135M-Instruct")

    def test_gemma3(self):
        self.check("gemma-3-270m")


if __name__ == "__main__":
    unittest.main(argv=[a for a in sys.argv if a != "--report"], verbosity=1)
