"""Real models as Hugging Face folders, which tools/export_checkpoint.py writes in F32: the folder, the file that it converts to and the
original, held in F32, give the same tokens and the same log-probabilities, to the bit. Skipped where this machine has no such model."""
import subprocess
import sys
import unittest

import program

try:
    import gguf  # noqa: F401  the exporter needs it
except ImportError as error:
    print(f"skipped: {error}; install tests/requirements.txt")
    sys.exit(program.SKIP)

TEXT = (program.ROOT / "README.md").read_text()[:900]


class ExportedModel:
    NAME = ""

    def test_folder_converted_file_and_original_are_the_same_model(self):
        original = program.small_model(self.NAME)
        if original is None:
            self.skipTest(f"no {self.NAME} on this machine")
        folder, converted, text = self.folder / "exported", str(self.folder / "converted.gguf"), self.folder / "text.txt"
        text.write_text(TEXT)
        export = [sys.executable, program.ROOT / "tools" / "export_checkpoint.py", original, folder, "--type", "F32", "--shards", "2"]
        subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
        self.rafter("convert", str(folder), converted)
        answers, scores = [], []
        for model in ((original, "--weights", "F32"), (str(folder),), (converted,)):
            answer = self.json_of("run", *model, "--raw", "-n", "12", "--temp", "0", "-p", "The capital of France is", "--activations", "f32")
            answers.append((answer["prompt_tokens"], answer["tokens"], answer["text"]))
            score = self.json_of("eval", *model, "--text", str(text), "-c", "128", "--windows", "1", "--activations", "f32")
            scores.append((score["n_tokens"], score["mean_logprob"], score["perplexity"]))
        self.assertEqual(len(answers[0][1]), 12)
        self.assertGreater(scores[0][0], 100)
        self.assertEqual(answers[1:], answers[:1] * 2)
        self.assertEqual(scores[1:], scores[:1] * 2)


class SmolLM2(ExportedModel, program.Case):
    NAME = "SmolLM2-135M-Instruct"


if __name__ == "__main__":
    program.main()
