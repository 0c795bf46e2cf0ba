"""The table of options, from end to end: every option of every verb is in its help, the manual page and completion; values out of their
ranges are refused with the range; variables and configuration files set each kind of option, and flags come before them."""
import json
import re
import subprocess
import unittest

import program

BEYOND_64_BITS = 2**64


def flag_of(option):
    return [flag for flag in option["flags"] if flag.startswith("--")][0]


def just_outside(option):
    """Values below and above the range, with the range in words."""
    least, most = option["range"]
    if option["kind"] == "whole":
        or_unset = f", or {option['unset']}" if option["unset"] and not option["default"] else ""
        words = f"expected a whole number from {least:,} to {most:,}{or_unset}, found "
        below = least - 1 if str(least - 1) != option["unset"] else least - 2
        return [(str(below), words), (str(most + 1), words)]
    words = f"expected a number from {least:g} to {most:g}, found "
    return [(repr(low), words) for low in (least - max(1e-9, abs(least) * 1e-9), most + max(1e-9, abs(most) * 1e-9))]


class Table(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        done = subprocess.run([program.BINARY, "completions", "options"], capture_output=True, check=True)
        cls.table = json.loads(done.stdout)
        cls.verbs = {verb: options for verb, options in cls.table["verbs"].items() if verb not in ("completions",)}

    def options(self):
        for verb, options in self.verbs.items():
            for option in options:
                yield verb, option

    def test_every_verb_of_help_is_in_the_table(self):
        listed = re.findall(r"^  (\w+) +\S", self.rafter("--help").stdout.decode().split("Verbs:")[1], re.M)
        self.assertEqual(set(listed), {verb for verb in self.table["verbs"] if " " not in verb})

    def test_every_row_serves_a_verb(self):
        used = {option["name"] for options in self.table["verbs"].values() for option in options}
        self.assertEqual(set(self.table["table"]) - used, set())

    def test_an_option_is_the_same_in_every_verb(self):
        rows = {}
        for verb, option in self.options():
            same = {key: option.get(key) for key in ("flags", "place", "variable", "key", "kind", "range", "help")}
            self.assertEqual(rows.setdefault(option["name"], same), same)

    def test_names_differ(self):
        for names in ("variable", "key"):
            rows = {}
            for _, option in self.options():
                if option[names]:
                    self.assertEqual(rows.setdefault(option[names], option["name"]), option["name"])

    def test_help_has_the_options_of_the_table_and_no_other(self):
        for verb, options in self.verbs.items():
            with self.subTest(verb=verb):
                text = self.rafter(*verb.split(), "--help").stdout.decode()
                shown = {name for row in re.findall(r"^  (-[^ ]*)", text, re.M) for name in row.split(",")}
                self.assertEqual(shown - {"-h", "--help"}, {flag for option in options for flag in option["flags"]})
                for option in options:
                    if option["place"]:
                        self.assertRegex(text, rf"(?m)^  {option['place']} ")

    def test_no_line_of_help_is_wider_than_100_columns(self):
        for verb in self.verbs:
            with self.subTest(verb=verb):
                for line in self.rafter(*verb.split(), "--help").stdout.decode().split("Examples:")[0].splitlines():
                    self.assertLessEqual(len(line), 100, line)

    def test_the_manual_page_has_every_option_with_its_variable_and_key(self):
        page = self.rafter("completions", "man").stdout.decode().replace("\\-", "-")
        sections = dict(re.findall(r"(?ms)^\.SS rafter (\S+(?: get| rm)?)[^\n]*\n(.*?)(?=^\.S)", page))
        for verb, option in self.options():
            for flag in option["flags"]:
                self.assertIn(f"\\fB{flag}\\fR", sections[verb])
            if option["flags"] and option["variable"]:
                self.assertIn(f"Variable {option['variable']}" + (f", key {option['key']}" if option["key"] else ""), sections[verb])

    def test_completion_offers_every_option_and_choice(self):
        for verb, options in program.enough_of(self.verbs.items()):
            def words(*line):
                return {row.split("\t")[0] for row in self.rafter("completions", "words", "--", *verb.split(), *line).stdout.decode().splitlines()}
            with self.subTest(verb=verb):
                self.assertEqual(words("-") - {"-h", "--help"}, {flag for option in options for flag in option["flags"]})
            for option in options:
                with self.subTest(verb=verb, option=option["name"]):
                    if option["flags"] and option["choices"]:
                        self.assertEqual(words(flag_of(option), ""), set(option["choices"]))

    def test_a_value_outside_its_range_exits_with_2_and_names_the_range(self):
        n_tried = 0
        ranged = [(verb, option) for verb, option in self.options() if "range" in option]
        for verb, option in program.enough_of(ranged):
            for value, words in just_outside(option):
                message = self.expect_error(words, *verb.split(), f"{flag_of(option)}={value}", *self.places(verb), status=2)
                self.assertTrue(message.startswith(f"rafter {verb}: {flag_of(option)}: {words}"), message)
                n_tried += 1
        self.assertGreater(n_tried, 20 if program.SANITIZED else 140)

    def test_other_values_that_an_option_does_not_take(self):
        for verb, option in program.enough_of(self.options()):
            if not option["flags"]:
                continue
            wrong = {"whole": "1.5x", "number": "x1", "bytes": "3XB", "flag": "perhaps"}.get(option["kind"], "no such" if option["choices"] else None)
            if wrong is None or (option["kind"] == "flag" and not option["variable"]):
                continue
            if option["kind"] == "flag":
                environment = {**self.environment, option["variable"]: wrong}
                self.expect_error(f'{option["variable"]}: expected true or false, found "perhaps"', *verb.split(), *self.places(verb),
                                  env=environment, status=2)
            else:
                self.expect_error(f'{flag_of(option)}: expected ', *verb.split(), f"{flag_of(option)}={wrong}", *self.places(verb), status=2)

    def places(self, verb):
        """What a verb needs besides, so that nothing else is wrong."""
        names = [option["place"] for option in self.verbs[verb] if option["place"] and option["required"]]
        arguments = [self.model for _ in names]
        for option in self.verbs[verb]:
            if option["required"] and option["flags"]:
                arguments += [flag_of(option), "no-such-file"]
        return arguments


class Sources(program.Case):
    """Where values come from. The tiny model's answers differ with the seed, so they tell whether an option counted."""

    def run_model(self, *arguments, variables=None, config=None, name="rafter.toml", status=0):
        if config is not None:
            path = self.folder / name
            path.write_text(config)
            arguments += ("--config", str(path))
        done = self.rafter("run", self.model, *arguments, env={**self.environment, **(variables or {})}, status=status)
        return json.loads(done.stdout) if status == 0 else done.stderr.decode()

    def both(self, sections):
        """The same settings as TOML and as JSON."""
        toml = "".join(f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()) if isinstance(keys, dict)
                       else f"{section} = {json.dumps(keys)}\n" for section, keys in sections.items())
        return [("rafter.toml", toml), ("rafter.json", json.dumps(sections))]

    FLAGS = ["--raw", "-p", "hello", "-n", "9", "--temperature", "1", "--top-p", "0.9", "--seed", "7", "--stop", "\n", "--stop", "zz", "--isa",
             "scalar", "--kv-type", "q8,q4", "--no-fuse", "norm,rope", "--kv-disk-size", "5MB", "--json"]

    def kv_disk(self):
        return str(self.folder / "kv.disk")

    def test_variables_set_every_kind_of_option(self):
        expected = self.run_model(*self.FLAGS, "--kv-disk", self.kv_disk())
        variables = {"RAFTER_RAW": "1", "RAFTER_PROMPT": "hello", "RAFTER_TOKENS": "9", "RAFTER_TEMPERATURE": "1", "RAFTER_TOP_P": "0.9",
                     "RAFTER_SEED": "7", "RAFTER_STOP": "\n", "RAFTER_ISA": "scalar", "RAFTER_KV_TYPE": "q8,q4", "RAFTER_NO_FUSE": "norm,rope",
                     "RAFTER_KV_DISK": self.kv_disk(), "RAFTER_KV_DISK_SIZE": "5MB", "RAFTER_JSON": "yes"}
        found = self.run_model(variables=variables)
        self.assertEqual(found["tokens"], expected["tokens"])
        self.assertEqual(len(found["tokens"]), 9)
        self.assertEqual(found["kv_disk"]["slots"], expected["kv_disk"]["slots"])
        without = self.run_model(*self.FLAGS, "--kv-disk", self.kv_disk(), "--seed", "8")
        self.assertNotEqual(without["tokens"], expected["tokens"], "the seed tells nothing")

    def test_files_set_every_kind_of_option(self):
        expected = self.run_model(*self.FLAGS, "--kv-disk", self.kv_disk())
        for name, text in self.both({
                "prompt": {"raw": True, "prompt": "hello"}, "answer": {"tokens": 9, "stop": ["\n", "zz"]},
                "sampling": {"temperature": 1, "top_p": 0.9, "seed": 7}, "machine": {"isa": "scalar", "no_fuse": ["norm", "rope"]},
                "cache": {"kv_type": "q8,q4", "kv_disk": self.kv_disk(), "kv_disk_size": "5MB"}, "output": {"json": True}}):
            with self.subTest(file=name):
                found = self.run_model(config=text, name=name)
                self.assertEqual(found["tokens"], expected["tokens"])
                self.assertEqual(found["kv_disk"]["slots"], expected["kv_disk"]["slots"])

    def test_the_model_can_come_from_a_variable_or_a_file(self):
        done = self.rafter("run", "--raw", "-p", "hello", "-n", "2", "--json", env={**self.environment, "RAFTER_MODEL": self.model})
        self.assertEqual(len(json.loads(done.stdout)["tokens"]), 2)
        path = self.folder / "model.toml"
        path.write_text(f"model = {json.dumps(self.model)}\nprompt.raw = true\nanswer.tokens = 2\n")
        done = self.rafter("run", "-p", "hello", "--json", env={**self.environment, "RAFTER_CONFIG": str(path)})
        self.assertEqual(len(json.loads(done.stdout)["tokens"]), 2)

    def test_flags_come_before_variables_before_files_before_defaults(self):
        toml = "[answer]\ntokens = 3\n"
        base = ["--raw", "-p", "hello", "--json", "--ignore-eos"]
        variables = {"RAFTER_TOKENS": "5"}
        self.assertEqual(len(self.run_model(*base, config=toml)["tokens"]), 3)
        self.assertEqual(len(self.run_model(*base, config=toml, variables=variables)["tokens"]), 5)
        self.assertEqual(len(self.run_model(*base, "-n", "4", config=toml, variables=variables)["tokens"]), 4)
        self.assertEqual(len(self.run_model(*base, variables={"RAFTER_TOKENS": ""}, config=toml)["tokens"]), 3, "an empty variable is none")

    def test_a_nearer_option_displaces_one_that_it_excludes(self):
        self.run_model("--raw", "-p", "hello", "--json", "-n", "1", variables={"RAFTER_CHAT": "1"})
        self.assertIn("--chat: cannot be combined with --raw", self.run_model("--raw", "--chat", "-p", "hello", status=2))
        self.assertIn("RAFTER_CHAT: cannot be combined with RAFTER_RAW",
                      self.run_model("-p", "hello", variables={"RAFTER_CHAT": "1", "RAFTER_RAW": "1"}, status=2))

    def test_a_wrong_value_is_told_with_where_it_stood(self):
        words = "expected a number from 0 to 100, found "
        self.assertIn(f"rafter run: RAFTER_TEMPERATURE: {words}-1\n", self.run_model("-p", "x", variables={"RAFTER_TEMPERATURE": "-1"}, status=2))
        for name, text in self.both({"sampling": {"temperature": -1}}):
            self.assertIn(f"{name}: sampling.temperature: {words}-1\n", self.run_model("-p", "x", config=text, name=name, status=2))
        for name, text in self.both({"sampling": {"temperature": "hot"}}):
            self.assertIn(f'{name}: sampling.temperature: {words}"hot"\n', self.run_model("-p", "x", config=text, name=name, status=2))
        for name, text in self.both({"sampling": {"temperature": [1, 2]}}):
            self.assertIn("found a list of 2 values", self.run_model("-p", "x", config=text, name=name, status=2))

    def test_an_unknown_key_gets_a_suggestion(self):
        for sections, words in [({"sampling": {"temprature": 1}}, 'unknown key "sampling.temprature"; did you mean sampling.temperature?'),
                                ({"samplign": {"top_p": 1}}, 'unknown key "samplign.top_p"; did you mean sampling.top_p?'),
                                ({"temperature": 1}, 'unknown key "temperature"; did you mean sampling.temperature?'),
                                ({"machine": {"xyzzy_plugh_foo": 1}}, 'unknown key "machine.xyzzy_plugh_foo"\n')]:
            for name, text in self.both(sections):
                with self.subTest(file=name, text=text):
                    self.assertIn(f"{name}: {words}", self.run_model("-p", "x", config=text, name=name, status=2))

    def test_keys_of_other_verbs_and_with_hyphens_are_taken(self):
        for name, text in self.both({"workload": {"rate": 3}, "sampling": {"top-p": 2}}):
            self.assertIn("sampling.top_p: expected a number from 0 to 1, found 2", self.run_model("-p", "x", config=text, name=name, status=2))

    def test_files_that_cannot_be_read(self):
        self.assertIn("rafter.toml:2: ", self.run_model("-p", "x", config="[sampling]\ntemperature = \n", status=2))
        self.assertIn("rafter.toml:1: ", self.run_model("-p", "x", config="machine.threads = 2 4\n", status=2))
        self.assertIn("found a date", self.run_model("-p", "x", config="[answer]\ntokens = 1979-05-27\n", status=2))
        self.assertIn("rafter.json", self.run_model("-p", "x", config="{", name="rafter.json", status=1))
        self.assertIn("expected an object, found [1]", self.run_model("-p", "x", config="[1]", name="rafter.json", status=2))
        self.expect_error("no-such.toml", "run", self.model, "-p", "x", "--config", "no-such.toml")

    def test_toml_as_people_write_it(self):
        found = self.run_model("--json", config=r"""# comment
prompt = { raw = true, prompt = '''hel\
lo''' }            # an inline table and a text of several lines
answer.tokens = 1_0
[answer]
stop = [
    "a\tb",   # escapes
    'c\d',
]
[sampling]
temperature = 1e-1
seed = 0x7
""".replace("answer.tokens = 1_0\n", "").replace("[answer]\n", "[answer]\ntokens = 1_0\n"))
        self.assertEqual(len(found["prompt_tokens"]), len(self.run_model("--raw", "-p", "hel\\\nlo", "--json", "-n", "1")["prompt_tokens"]))
        self.assertEqual(found["seed"], 7)

    def test_short_names_and_aliases(self):
        self.assertIn("--temperature: expected", self.run_model("--temp", "-1", "-p", "x", status=2))
        self.assertIn("--context: expected", self.run_model("-c", "0", "-p", "x", status=2))
        self.assertIn("--threads: expected", self.run_model("-t", "0", "-p", "x", status=2))
        base = ["--raw", "-n", "4", "--json"]
        self.assertEqual(self.run_model("hello", *base)["tokens"], self.run_model("-p", "hello", *base)["tokens"])

    def test_seed_of_minus_one_is_a_new_one_each_time(self):
        seeds = {self.run_model("--raw", "-p", "x", "-n", "1", "--temp", "1", "--seed", "-1", "--json")["seed"] for _ in range(3)}
        self.assertGreater(len(seeds), 1)


if __name__ == "__main__":
    program.main()
