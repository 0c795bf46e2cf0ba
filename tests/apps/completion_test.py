"""Shell completion and the manual page offer what `rafter VERB --help` says, through a real bash and, where there is one, a real zsh."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

RAFTER = os.environ.get("RAFTER_BINARY", "build/release/rafter")
PATH = f"{Path(RAFTER).resolve().parent}:{os.environ['PATH']}"


def output(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PATH": PATH}, **options).stdout


def words(*line):
    """The candidates for a command line whose last word is begun."""
    return [row.split("\t")[0] for row in output(RAFTER, "completions", "words", "--", *line).splitlines()]


def verbs():
    text = output(RAFTER, "--help")
    return re.findall(r"^  (\w+) +\S", text[text.index("Verbs:") :], re.M)


def long_options(verb):
    return {name for row in re.findall(r"^  (-[^ ]*)", output(RAFTER, verb, "--help"), re.M) for name in row.split(",") if name.startswith("--")}


def in_bash(line):
    """What bash offers at the end of a line, as its completion function leaves it."""
    script = f"""
        source <(rafter completions bash)
        compopt() {{ :; }}
        COMP_WORDS=({line})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _rafter
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return output("bash", "-c", script).split("\n")[:-1]


class Words(unittest.TestCase):
    def test_the_verbs_are_those_of_help(self):
        self.assertEqual(words(""), verbs())
        self.assertIn("run", verbs())
        self.assertIn("completions", verbs())
        self.assertEqual(words("ru"), ["run"])

    def test_each_verb_offers_its_options(self):
        for verb in verbs():
            self.assertLessEqual(long_options(verb), set(words(verb, "--")), verb)

    def test_an_option_with_named_values_offers_those(self):
        self.assertIn("scalar", words("run", "--isa", ""))
        self.assertEqual(words("run", "--isa", "=", "sc"), ["scalar"])
        self.assertEqual(words("run", "--isa", "="), words("run", "--isa", ""))

    def test_a_free_value_offers_nothing(self):
        self.assertEqual(words("run", "--seed", ""), [])

    def test_a_model_is_a_known_name_or_a_file(self):
        offered = words("run", "--isa", "scalar", "")
        self.assertIn("SmolLM2-135M-Instruct", offered)
        self.assertIn(":files", offered)
        self.assertEqual(words("run", "model.gguf", ""), [])
        self.assertEqual(words("models", "get", "gem"), ["gemma-3-270m"])


class Shells(unittest.TestCase):
    def test_bash_completes_verbs_options_values_and_files(self):
        self.assertEqual(in_bash("rafter ru"), ["run"])
        self.assertIn("--temperature", in_bash("rafter run --te"))
        self.assertEqual(in_bash("rafter run --isa sca"), ["scalar"])
        self.assertIn("tests", in_bash("rafter info tes"))

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_takes_the_script(self):
        script = "autoload -Uz compinit && compinit -u -D && source <(rafter completions zsh) && print $_comps[rafter]"
        self.assertEqual(output("zsh", "-f", "-c", script).strip(), "_rafter")


    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish_completes_verbs_options_values_and_files(self):
        def in_fish(line):
            rows = output("fish", "--no-config", "-c", f"rafter completions fish | source; complete -C '{line}'").splitlines()
            return [row.split("\t")[0] for row in rows]
        self.assertEqual(in_fish("rafter ru"), ["run"])
        self.assertIn("--temperature", in_fish("rafter run --te"))
        self.assertEqual(in_fish("rafter run --isa sca"), ["scalar"])
        self.assertIn("tests/", in_fish("rafter info tes"))


class ManualPage(unittest.TestCase):
    def test_it_names_every_verb_and_option(self):
        page = output(RAFTER, "completions", "man").replace("\\-", "-")
        for verb in verbs():
            self.assertIn(f".SS rafter {verb}", page)
            for option in long_options(verb) - {"--help"}:
                self.assertIn(f"\\fB{option}\\fR", page)

    @unittest.skipUnless(shutil.which("man") and shutil.which("groff"), "man or groff is not installed")
    def test_man_has_nothing_to_say_against_it(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "rafter.1"
            page.write_text(output(RAFTER, "completions", "man"))
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", str(page)], capture_output=True, text=True, env=os.environ | {"MANWIDTH": "80"})
            self.assertEqual(done.stderr, "")
            self.assertIn("EXIT STATUS", re.sub(r".\b", "", done.stdout) + done.stdout)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    unittest.main()
