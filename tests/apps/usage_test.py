"""The command line: help, versions, and wrong usage told in two lines with exit status 2."""
import program

VERBS = ["run", "batch", "eval", "info", "plan", "models", "tokenize", "template"]


class Usage(program.Case):
    def test_version(self):
        self.assertRegex(self.rafter("--version").stdout.decode(), r"^rafter \d+\.\d+\.\d+\n$")

    def test_help_of_the_program_names_every_verb(self):
        text = self.rafter("--help").stdout.decode()
        for verb in VERBS:
            self.assertRegex(text, rf"(?m)^  {verb}\b")

    def test_every_verb_has_help(self):
        for verb in VERBS:
            text = self.rafter(verb, "--help").stdout.decode()
            self.assertIn("Usage: rafter " + verb, text)
            self.assertLessEqual(max(map(len, text.split("\n"))), 160, text)
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
            ("--text", ["eval", self.model]),
            ("--context", ["eval", self.model, "--text", "x", "--context", "3"]),
            ("--nonsense", ["info", self.model, "--nonsense"]),
            ("NAME", ["models", "get"]),
        ]:
            with self.subTest(arguments=arguments):
                done = self.rafter(*arguments, status=2)
                self.assertIn(words, done.stderr.decode())
                self.assertEqual(done.stdout, b"")

    def test_full_disk_under_help_and_info(self):
        with open("/dev/full", "wb") as full:
            for arguments in (["--help"], ["info", self.model], ["models"]):
                with self.subTest(arguments=arguments):
                    self.expect_error("No space left on device", *arguments, stdout=full)


if __name__ == "__main__":
    program.main()
