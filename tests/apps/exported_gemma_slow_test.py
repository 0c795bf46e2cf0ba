"""exported_real_models_test.py with Gemma 3, whose vocabulary is large: a tokenizer.json of 33 MB, whose merges convert to scores."""
import program
from exported_real_models_test import ExportedModel


class Gemma3(ExportedModel, program.Case):
    NAME = "gemma-3-270m"


if __name__ == "__main__":
    program.main()
