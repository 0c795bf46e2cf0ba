"""The command line: help, versions, and wrong usage told in two lines with exit status 2."""
import re

import program

VERBS = ["run", "batch", "eval", "compare", "info", "plan", "probe", "explain", "bench", "simulate", "models", "tokenize", "template", "completions"]


class Usage(program.Case):
    def test_version(self):
        self.assertRegex(self.rafter("--version").stdout.decode(), r"^rafter \d+\.\d+\.\d+\n$")
        self.assertEqual(self.rafter("-V").stdout, self.rafter("--version").stdout)

    def test_help_of_the_program_names_every_verb(self):
        text = self.rafter("--help").stdout.decode()
        for verb in VERBS:
            self.assertRegex(text, rf"(?m)^  {verb}\b")
        self.assertLessEqual(max(map(len, text.split("\n"))), 80, text)

    def test_every_verb_has_help(self):
        for verb in VERBS:
            text = self.rafter(verb, "--help").stdout.decode()
            self.assertIn("Usage: rafter " + verb, text)
            self.assertLessEqual(max(map(len, text.split("\n"))), 160, text)
            for line in text.split("\n"):
                if not re.match(" +(rafter|source) ", line):  # examples are for copying
                    self.assertLessEqual(len(line), 80, line)
        self.assertIn("NAME", self.rafter("models", "get", "--help").stdout.decode())

    def test_no_verb(self):
        self.expect_error("expected a verb", status=2)

    def test_unknown_verb_gets_a_suggestion(self):
        self.assertIn('did you mean "run"?', self.expect_error('no verb "rnu"', "rnu", status=2))
        self.assertIn('did you mean "tokenize"?', self.expect_error('no verb "tokenise"', "tokenise", "x", status=2))
        self.assertNotIn("did you mean", self.expect_error('no verb "xyzzy"', "xyzzy", status=2))

    def test_wrong_options(self):
        for words, arguments in [
            ("MODEL", ["run"]),
            ("--isa", ["run", self.model, "-p", "x", "--isa", "sse2"]),
            ("--activations", ["run", self.model, "-p", "x", "--activations", "q4"]),
            ("--kv-type", ["run", self.model, "-p", "x", "--kv-type", "q9"]),
            ("--tokens", ["run", self.model, "-p", "x", "-n", "-1"]),
            ("--tokens", ["run", self.model, "-p", "x", "-n", "many"]),
            ("--tokens", ["run", self.model, "-p", "x", "-n", "99999999999999999999"]),
            ("--threads", ["run", self.model, "-p", "x", "--threads", "0"]),
            ("--threads", ["run", self.model, "-p", "x", "--threads", "1000000"]),
            ("--raw", ["run", self.model, "-p", "x", "--chat", "--raw"]),
            ("--temperature", ["run", self.model, "-p", "x", "--temperature", "hot"]),
            ("--logit-bias: expected ID=VALUE", ["run", self.model, "-p", "x", "--logit-bias", "7"]),
            ("--logit-bias: expected ID=VALUE", ["run", self.model, "-p", "x", "--logit-bias", "7=1x"]),
            ("--logit-bias: expected ID=VALUE", ["run", self.model, "-p", "x", "--logit-bias", "=1"]),
            ("--logprobs", ["run", self.model, "-p", "x", "--logprobs", "2"]),
            ("--json", ["run", self.model, "--json"]),
            ("--raw", ["run", self.model, "--raw"]),
            ("--n:", ["run", self.model, "--n", "2", "--temperature", "1"]),
            ("--best-of:", ["run", self.model, "--best-of", "2", "--temperature", "1"]),
            ("--n", ["run", self.model, "-p", "x", "--n", "-1"]),
            ("--min-tokens: expected at most the 3 of --tokens, found 4", ["run", self.model, "-p", "x", "-n", "3", "--min-tokens", "4"]),
            ("--min-tokens: expected at most the 512 of --tokens", ["run", self.model, "-p", "x", "--min-tokens", "513"]),
            ("--system", ["run", self.model, "--raw", "-p", "x", "--system", "y"]),
            ("--in", ["batch", self.model, "--out", "x"]),
            ("--out", ["batch", self.model, "--in", "x"]),
            ("--batch", ["batch", self.model, "--in", "x", "--out", "y", "--batch", "0"]),
            ("--tokens", ["batch", self.model, "--in", "x", "--out", "y", "-n", "0"]),
            ("--windows", ["eval", self.model, "--windows", "0"]),
            ("--windows: cannot be combined with --tasks", ["eval", self.model, "--tasks", "built-in", "--windows", "2"]),
            ("--against", ["eval", self.model, "--tasks", "built-in", "--against", self.model]),
            ("--context", ["eval", self.model, "--text", "x", "--context", "3"]),
            ("--nonsense", ["info", self.model, "--nonsense"]),
            ("NAME", ["models", "get"]),
        ]:
            with self.subTest(arguments=arguments):
                done = self.rafter(*arguments, status=2)
                self.assertIn(words, done.stderr.decode())
                self.assertEqual(done.stdout, b"")

    def test_a_wrong_value_is_told_with_what_was_expected(self):
        for words, arguments in [
            ('--tokens: expected a whole number from 0 to 4,294,967,295, found "many"', ["-n", "many"]),
            ("--tokens: expected a whole number from 0 to 4,294,967,295, found -1", ["-n", "-1"]),
            ("--draft-max: expected a whole number from 1 to 64, found 65", ["--draft-max", "65"]),
            ('--draft-max: expected a whole number from 1 to 64, found "x"', ["--draft-max", "x"]),
            ("--temperature: expected a number from 0 to 100, found -1", ["--temperature", "-1"]),
            ("--temperature: expected a number from 0 to 100, found 100.5", ["--temp", "100.5"]),
            ('--temperature: expected a number from 0 to 100, found "nan"', ["--temp", "nan"]),
            ("--top-p: expected a number from 0 to 1, found 2", ["--top-p", "2"]),
            ("--repeat-penalty: expected a number from 1e-06 to 1e+06, found 1e+30", ["--repeat-penalty", "1e+30"]),
            ("--kv-disk-size: needs --kv-disk", ["--kv-disk-size", "1GB"]),
            ('--isa: expected one of scalar, avx2, avx512, amx, found "sse2"', ["--isa", "sse2"]),
        ]:
            with self.subTest(arguments=arguments):
                self.expect_error(words, "run", self.model, "-p", "x", *arguments, status=2)
        self.expect_error("--top-p: expected a number from 0 to 1, found 1.5", "bench", self.model, "--top-p", "1.5", status=2)
        self.expect_error('--temperature: expected a number from 0 to 100, found "hot"', "bench", self.model, "--temperature", "hot", status=2)
        self.expect_error('KIND: expected one of bash, zsh, fish, man, options, words, found "tcsh"', "completions", "tcsh", status=2)

    def test_an_unknown_option_gets_a_suggestion(self):
        for words, arguments in [
            ("unknown option --temprature; did you mean --temperature?", ["run", self.model, "-p", "x", "--temprature", "1"]),
            ("unknown option --temprature; did you mean --temperature?", ["run", self.model, "-p", "x", "--temprature=1"]),
            ("unknown option -temp; did you mean --temp?", ["run", self.model, "-p", "x", "-temp", "1"]),
            ("unknown option -temperature; did you mean --temperature?", ["run", self.model, "-p", "x", "-temperature", "1"]),
            ("unknown option -threads; did you mean --threads?", ["run", self.model, "-p", "x", "-threads", "1"]),
            ("unknown option -prompt; did you mean --prompt?", ["run", self.model, "-prompt", "x"]),
            ("unknown option -contxt; did you mean --context?", ["eval", self.model, "--text", "x", "-contxt", "9"]),
            ("unknown option --batchs; did you mean --batch?", ["bench", self.model, "--batchs", "1"]),
            ("unknown option --tensor; did you mean --tensors?", ["info", self.model, "--tensor"]),
            ("unknown option --yess; did you mean --yes?", ["models", "rm", "x", "--yess"]),
            ("unknown option --xyzzy-plugh\n", ["info", self.model, "--xyzzy-plugh"]),
            ("unknown option --verbose; options follow the verb", ["--verbose", "run"]),
            ('unexpected argument "the"; put a prompt of several words in quotes', ["run", self.model, "why", "the", "sky"]),
            ('unexpected argument "b"', ["info", self.model, "b"]),
            ('no verb "gte"; did you mean "get"? (there are get, rm)', ["models", "gte", "x"]),
            ("--temperature: expected a number from 0 to 100, found nothing", ["run", self.model, "-p", "x", "--temperature"]),
        ]:
            with self.subTest(arguments=arguments):
                self.expect_error(words, *arguments, status=2)

    def test_what_only_looks_like_an_unknown_option(self):
        for arguments in (["-n3"], ["-n", "3"], ["-n3", "--threads", "1", "--profile", "json"], ["-n3", "--threads=1", "--profile"],
                          ["-n3", "--stop", "-temp"], ["--stop=-x", "-n", "3"]):
            with self.subTest(arguments=arguments):
                self.rafter("run", self.model, "--raw", "-ptemp", *arguments)

    def test_help_as_a_verb(self):
        for words in (["help"], ["help", "run"], ["help", "models", "get"]):
            self.assertEqual(self.rafter(*words).stdout, self.rafter(*words[1:], "--help").stdout)
        self.expect_error('no verb "rnu"; did you mean "run"?', "help", "rnu", status=2)

    def test_an_unknown_verb_has_no_help(self):
        self.expect_error('no verb "nonsense"', "nonsense", "--help", status=2)
        self.expect_error('no verb "nonsense"', "nonsense", "-V", status=2)
        self.expect_error('did you mean "bench"?', "bnech", "--help", status=2)

    def test_help_has_no_exponents(self):
        for verb in VERBS:
            self.assertNotRegex(self.rafter(verb, "--help").stdout.decode(), r"\de[+-]\d")

    def test_a_file_that_cannot_be_made_is_named_as_it_was_given(self):
        self.expect_error("/nonexistent/plan.html: cannot create: No such file or directory",
                          "plan", "Llama-3.1-8B", "--hardware", "H100-SXM", "--format", "html", "-o", "/nonexistent/plan.html")

    def test_full_disk_under_help_and_info(self):
        with open("/dev/full", "wb") as full:
            for arguments in (["--help"], ["info", self.model], ["models"]):
                with self.subTest(arguments=arguments):
                    self.expect_error("No space left on device", *arguments, stdout=full)


if __name__ == "__main__":
    program.main()
