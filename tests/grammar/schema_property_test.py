"""What a schema's grammar accepts is valid by the jsonschema package, and what is valid, in the schema's order of properties, is accepted.
Schemas are random; RAFTER_TEST_SCHEMAS says how many."""
import json
import os
import random
import re
import subprocess
import sys
import unittest
from pathlib import Path

try:
    import jsonschema
except ImportError:
    print("skipped: no jsonschema (tests/requirements.txt)")
    sys.exit(77)

WALK = Path(os.environ["RAFTER_BUILD_DIR"]) / "tests" / "tools" / "grammar_walk"
N_SCHEMAS = int(os.environ.get("RAFTER_TEST_SCHEMAS", "150"))


class Walker:
    """The program that walks: a line in, a line out."""

    def __init__(self):
        self.process = subprocess.Popen([WALK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **asked):
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class SchemaMaker:
    """Random schemas of what is supported, each with values that are valid by it."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def schema(self, depth=0):
        kinds = ["string", "integer", "number", "boolean", "null", "enum", "const", "pattern", "lengths", "format"]
        if depth < 3:
            kinds += ["object", "object", "array", "anyOf", "types", "tuple", "map"]
        return getattr(self, "make_" + self.random.choice(kinds))(depth)

    def make_string(self, _):
        return {"type": "string"}

    def make_lengths(self, _):
        low = self.random.randrange(0, 4)
        return {"type": "string", "minLength": low, "maxLength": low + self.random.randrange(0, 5)}

    def make_pattern(self, _):
        atoms = ["[a-z]", "[0-9]", "x", "-", "(ab|c)", ".", "[^a]", r"\d", r"\w", r"\s", r"\S", r"\W"]
        pattern = "".join(self.random.choice(atoms) + self.random.choice(["", "", "*", "+", "?", "{2}", "{1,3}"]) for _ in range(self.random.randrange(1, 4)))
        return {"type": "string", "pattern": self.random.choice(["^{}$", "{}", "^{}", "{}$"]).format(pattern)}

    def make_format(self, _):
        return {"type": "string", "format": self.random.choice(["date", "time", "date-time", "uuid", "email", "ipv4", "hostname", "uri"])}

    def make_integer(self, _):
        schema = {"type": "integer"}
        if self.random.random() < 0.5:
            schema["minimum"] = self.random.choice([-1000, -17, -1.5, 0, 1, 3])
        if self.random.random() < 0.5:
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = self.random.choice([4, 10, 99, 100, 12345, 7.5])
        return schema

    def make_number(self, _):
        schema = {"type": "number"}
        if self.random.random() < 0.6:
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = self.random.choice([-1000.5, -17, -0.25, 0, 0.001, 3])
        if self.random.random() < 0.6:
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = self.random.choice([3.5, 10, 99.99, 100, 12345])
        return schema

    def make_boolean(self, _):
        return {"type": "boolean"}

    def make_null(self, _):
        return {"type": "null"}

    def make_enum(self, _):
        values = ["a", 'quo"ted', "back\\slash", "new\nline", "é", 1, -2.5, True, None, [1, "x"], {"k": [None]}]
        return {"enum": self.random.sample(values, self.random.randrange(1, 6))}

    def make_const(self, _):
        return {"const": self.random.choice(["only", 7, {"a": 1}, [True]])}

    def make_object(self, depth):
        names = self.random.sample(["name", "age", "b", "A tag", "ünï", 'q"', "x1", "list"], self.random.randrange(1, 5))
        schema = {"type": "object", "properties": {name: self.schema(depth + 1) for name in names}}
        schema["required"] = [name for name in names if self.random.random() < 0.6]
        choice = self.random.random()
        if choice < 0.3:
            schema["additionalProperties"] = False
        elif choice < 0.5:
            schema["additionalProperties"] = self.schema(depth + 1)
        elif choice < 0.6:
            schema["additionalProperties"] = True
        if self.random.random() < 0.2 and not schema.get("additionalProperties"):
            schema["maxProperties"] = len(names) + self.random.randrange(0, 2)
        return schema

    def make_map(self, depth):
        if self.random.random() < 0.5:
            return {"type": "object", "additionalProperties": self.schema(depth + 1)}
        return {"type": "object", "patternProperties": {"^[a-c]+$": self.schema(depth + 1)}, "additionalProperties": False}

    def make_array(self, depth):
        schema = {"type": "array", "items": self.schema(depth + 1)}
        if self.random.random() < 0.5:
            schema["minItems"] = self.random.randrange(0, 3)
        if self.random.random() < 0.5:
            schema["maxItems"] = schema.get("minItems", 0) + self.random.randrange(0, 4)
        return schema

    def make_tuple(self, depth):
        schema = {"type": "array", "prefixItems": [self.schema(depth + 1) for _ in range(self.random.randrange(1, 3))]}
        if self.random.random() < 0.5:
            schema["items"] = self.random.choice([False, self.schema(depth + 1)])
        return schema

    def make_anyOf(self, depth):
        return {"anyOf": [self.schema(depth + 1) for _ in range(self.random.randrange(1, 4))]}

    def make_types(self, _):
        return {"type": self.random.sample(["string", "integer", "number", "boolean", "null", "array", "object"], self.random.randrange(1, 4))}

    def value(self, schema, depth=0):
        """A value that is valid by a schema of this class, or None and a reason to leave it out as a Skip."""
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        if "anyOf" in schema:
            return self.value(self.random.choice(schema["anyOf"]), depth)
        kind = schema.get("type", "string")
        if isinstance(kind, list):
            return self.value({"type": self.random.choice(kind)}, depth)
        if kind == "string":
            if "pattern" in schema or "format" in schema:
                raise Skip
            n = self.random.randrange(schema.get("minLength", 0), schema.get("maxLength", 6) + 1)
            return "".join(self.random.choice('ab é"\\\n日') for _ in range(n))
        if kind == "integer":
            candidates = [-999, -17, -1, 0, 1, 2, 3, 5, 9, 42, 99, 12344]
            return self.first(schema, candidates)
        if kind == "number":
            return self.first(schema, [-999.25, -3, -0.125, 0, 0.5, 1, 3, 3.25, 42, 99.5, 1234.5])
        if kind == "boolean":
            return self.random.random() < 0.5
        if kind == "null":
            return None
        if kind == "array":
            items = [self.value(one, depth + 1) for one in schema.get("prefixItems", [])]
            rest = schema.get("items", {"type": "integer"} if "prefixItems" not in schema else False)
            if rest is not False:
                while len(items) < schema.get("minItems", 0) or (len(items) < schema.get("maxItems", 3) and self.random.random() < 0.5):
                    items.append(self.value(rest, depth + 1))
            return items
        made = {}
        for name, one in schema.get("properties", {}).items():
            if name in schema.get("required", []) or self.random.random() < 0.5:
                made[name] = self.value(one, depth + 1)
        return made

    def first(self, schema, candidates):
        self.random.shuffle(candidates)
        for value in candidates:
            if jsonschema.Draft202012Validator(schema).is_valid(value):
                return value
        raise Skip


class Skip(Exception):
    pass


class SchemaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.walker = Walker()

    @classmethod
    def tearDownClass(cls):
        cls.walker.close()

    def check(self, schema, texts=(), seed=1, walks=12):
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        answer = self.walker.ask(kind="schema", text=json.dumps(schema), walks=walks, seed=seed, texts=list(texts))
        self.assertNotIn("error", answer, schema)
        ended = 0
        for walk in answer["walks"]:
            self.assertNotIn("stuck", walk, (schema, walk))
            self.assertNotIn("refused", walk, (schema, walk))
            if not walk["ended"]:
                continue
            ended += 1
            text = bytes.fromhex(walk["hex"])
            try:
                value = json.loads(text.decode())
            except ValueError as error:
                self.fail(f"{json.dumps(schema)}: accepted {text!r}, which is no JSON: {error}")
            errors = [error.message for error in validator.iter_errors(value)]
            self.assertEqual([], errors, f"{json.dumps(schema)}: accepted {text!r}")
        for given, accepted in zip(texts, answer["accepted"]):
            self.assertTrue(accepted, f"{json.dumps(schema)}: refused {given!r}")
        return ended

    def test_random_schemas(self):
        ended = 0
        for seed in range(N_SCHEMAS):
            maker = SchemaMaker(seed)
            schema = maker.schema()
            texts = []
            for _ in range(4):
                try:
                    value = maker.value(schema)
                except Skip:
                    continue
                if jsonschema.Draft202012Validator(schema).is_valid(value):
                    texts += [json.dumps(value), json.dumps(value, separators=(",", ":")), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=2)]
            with self.subTest(seed=seed):
                ended += self.check(schema, texts, seed)
        self.assertGreater(ended, 5 * N_SCHEMAS)

    def spelled(self, random, text, escape_all):
        """A JSON string of this text, each character in one of its spellings."""
        short = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
        written = ""
        for c in text:
            must = c in '"\\' or ord(c) < 32
            if not must and not escape_all and random.random() < 0.5:
                written += c
            elif c in short and random.random() < 0.5:
                written += "\\" + short[c]
            else:
                numbers = json.dumps(c)[1:-1] if ord(c) > 127 else f"\\u{ord(c):04x}"
                written += "".join(random.choice([d.lower(), d.upper()]) if d in "abcdef" else d for d in numbers)
        return '"' + written + '"'

    def test_each_escape_is_one_character_of_a_length(self):
        maker = random.Random(3)
        alphabet = 'ab c"\\\n\t/é日😀\x01'
        for _ in range(N_SCHEMAS // 3):
            low = maker.randrange(0, 17)
            schema = {"type": "string", "minLength": low}
            if maker.random() < 0.8:
                schema["maxLength"] = maker.randrange(low, 17)
            lengths = [n for n in {low - 1, low, low + 3, schema.get("maxLength", 30), schema.get("maxLength", 30) + 1} if n >= 0]
            texts = ["".join(maker.choice(alphabet) for _ in range(n)) for n in lengths for _ in range(3)]
            right = [low <= len(text) <= schema.get("maxLength", 99) for text in texts]
            spellings = [self.spelled(maker, text, i % 3 == 0) for i, text in enumerate(texts)]
            for text, spelling in zip(texts, spellings):
                self.assertEqual(text, json.loads(spelling))
            answer = self.walker.ask(kind="schema", text=json.dumps(schema), texts=spellings)
            self.assertEqual(right, answer["accepted"], (schema, spellings))
            self.check(schema, [one for one, is_right in zip(spellings, right) if is_right], walks=4)

    def test_half_a_character_is_none(self):
        for schema in ({"type": "string"}, {"type": "string", "maxLength": 9}, {"type": "string", "minLength": 1, "maxLength": 900}):
            wrong = [r'"\ud83d"', r'"\ude00"', r'"\ud83d\ud83d"', r'"\ud83dx"', r'"\uDE00\ud83d"', r'"\x41"', r'"\u12"', '"\n"', '"a']
            answer = self.walker.ask(kind="schema", text=json.dumps(schema), texts=[*wrong, r'"\uD83D\ude00"'])
            self.assertEqual([False] * len(wrong) + [True], answer["accepted"])

    def test_long_strings_with_escapes_keep_to_their_lengths(self):
        maker = random.Random(4)
        for low, high in [(0, 17), (0, 33), (1, 40), (20, 100), (17, 18), (0, 1000), (30, 10000), (17, None)]:
            schema = {"type": "string", "minLength": low, **({"maxLength": high} if high else {})}
            least = max(0, low - 1)  # of these characters, none is escaped
            room = (high or 4000) - 1
            # Each escape counts for certain with the characters before it, rounded up to a power of 2 and then to a 16th of what is left.
            runs = [[least], [least, 0], [least, 1, 3], [least] + [7] * 3, [least] + [0] * 9]
            for runs in [runs for runs in runs if 4 * (sum(runs) + len(runs)) <= room]:
                text = "".join("a" * n + maker.choice('"\n\\é') for n in runs)
                self.check(schema, [json.dumps(text), json.dumps(text + "z" * min(50, room // 3))], walks=3)
            single = "b" * room + "\n"
            self.check(schema, [json.dumps("b" * room + "c"), json.dumps(single)], walks=3)
            wrong = ["c" * least] if low else []
            if high:
                wrong += ["b" * room + "\nc", "b" * least + "\n" * (high - least + 1), "\n" + "b" * high]
            answer = self.walker.ask(kind="schema", text=json.dumps(schema), texts=[json.dumps(text) for text in wrong])
            self.assertEqual([False] * len(wrong), answer["accepted"], schema)

    def test_numbers(self):
        maker = random.Random(5)
        for _ in range(N_SCHEMAS // 2):
            low, high = sorted(round(maker.uniform(-200, 200), maker.randrange(0, 4)) for _ in range(2))
            if low < high:
                self.check({"type": "number", maker.choice(["minimum", "exclusiveMinimum"]): low, maker.choice(["maximum", "exclusiveMaximum"]): high},
                           [repr(low + (high - low) / 2)[:8]] if high - low > 1 else [], walks=6)
            bounds = {"minimum": int(low), "maximum": int(high) + 1}
            self.check({"type": "integer", **bounds}, [str(n) for n in range(int(low), int(high) + 2)], walks=4)
            of = maker.choice([2, 3, 7, 10, 25])
            self.check({"type": "integer", "multipleOf": of, **bounds}, [str(n) for n in range(int(low), int(high) + 2) if n % of == 0] or [], walks=4) if any(
                n % of == 0 for n in range(int(low), int(high) + 2)) else None
            self.check({"type": "integer", "multipleOf": of}, [str(of * 12345), "0", str(-of)], walks=4)

    def test_patterns_are_found_anywhere_in_the_text(self):
        self.check({"type": "string", "pattern": "b+"}, ['"abc"', '"b"', '"\\u00e9b\\n"'])
        self.check({"type": "string", "pattern": "^a|b$"}, ['"axx"', '"xxb"'])
        answer = self.walker.ask(kind="schema", text='{"type": "string", "pattern": "^a|b$"}', texts=['"xax"', '"bx"'])
        self.assertEqual([False, False], answer["accepted"])

    def test_formats_of_words(self):
        label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,29}[A-Za-z0-9])?"
        host = rf"{label}(\.{label}){{0,6}}"
        cases = {
            "hostname": (host, ["a", "example.com", "my-web-site.co.uk", "a-b-c-d.e", "1.2.3.4.5.6.7", "x" * 31], ["", "-a", "a-", "a..b", "a.", ".a", "a_b", "x" * 32, "1.2.3.4.5.6.7.8", "é"]),
            "email": (rf"[A-Za-z0-9_+.-]{{1,63}}@{label}(\.{label}){{1,4}}", ["a@b.c", "joe.smith+x@my-company.co.uk", "x" * 63 + "@y.z", "a.b.c.d@e.f"], ["a@b", "@b.c", "a.@b.c", ".a@b.c", "a..b@c.d", "a b@c.d", "a@b.c.d.e.f.g", "a@@b.c"]),
            "uri": (rf"(https?|ftp)://{host}(:\d{{1,4}})?(/[A-Za-z0-9_.~-]{{0,60}}){{0,20}}(\?[A-Za-z0-9_.~=&-]{{0,200}})?",
                    ["http://a", "https://my-site.org:8080/a/b.html?x=1&y=2", "ftp://a.b/", "http://a//b?", "http://a?q", "http://a" + "/b" * 20], ["a", "http:/a", "http://", "mailto:a", "http://a:b", "http://a#b", "http://a:80:80", "http://a" + "/b" * 21, "https://a/?b?c"]),
        }
        for name, (regex, right, wrong) in cases.items():
            schema = {"type": "string", "format": name}
            answer = self.walker.ask(kind="schema", text=json.dumps(schema), walks=60, seed=2, texts=[json.dumps(text) for text in right + wrong])
            self.assertEqual([True] * len(right) + [False] * len(wrong), answer["accepted"], name)
            ended = [json.loads(bytes.fromhex(walk["hex"])) for walk in answer["walks"] if walk["ended"]]
            self.assertGreater(len(ended), 20)
            for text in ended:
                self.assertTrue(re.fullmatch(regex, text), (name, text))

    def test_repeated_characters_of_a_pattern_have_escapes(self):
        self.check({"type": "string", "pattern": "^.*$"}, [r'"a\"b\\"', '""', r'"\u00e9\t"', '"日"'])
        self.check({"type": "string", "pattern": "^[^a]+x[^b]{2,}$"}, [r'"\"xac"', r'"\n\nx\n\\\""'])
        self.check({"type": "string", "pattern": "^[\\n]*(a|\\n)*$"}, [r'"\n\u000aa\n"', '""'])
        for pattern, wrong in {"^[^a]+x[^b]{2,}$": [r'"x\n\n"', r'"nxa"', r'"\"xb\n"', r'"a\"xcc"'], "^.*$": [r'"a\n"', r'"\"', '"a"b"'], "a": [r'"\n"', r'"\u0062"']}.items():
            answer = self.walker.ask(kind="schema", text=json.dumps({"type": "string", "pattern": pattern}), texts=wrong)
            self.assertEqual([False] * len(wrong), answer["accepted"], pattern)

    def test_regular_expressions_match_the_whole_answer(self):
        maker = random.Random(7)
        atoms = ["[a-z]", "[^a-z0-9]", "x", "-", "(ab|c)", ".", r"\d", r"\w", r"\s", r"\S", r"\n", r"\.", '"', "é", "(?:日|本)", "(?:a|)"]
        for _ in range(N_SCHEMAS):
            regex = "|".join("".join(maker.choice(atoms) + maker.choice(["", "", "*", "+", "?", "{2}", "{1,3}", "*?", "{2,}"]) for _ in range(maker.randrange(1, 5)))
                             for _ in range(maker.randrange(1, 3)))
            texts = ["".join(maker.choice('abcxz019 -_."é日本\n') for _ in range(maker.randrange(0, 6))) for _ in range(20)]
            answer = self.walker.ask(kind="regex", text=regex, walks=6, texts=texts)
            self.assertNotIn("error", answer, regex)
            compiled = re.compile(regex)
            for walk in answer["walks"]:
                if walk["ended"]:
                    text = bytes.fromhex(walk["hex"]).decode()
                    self.assertTrue(compiled.fullmatch(text), (regex, text))
            for text, accepted in zip(texts, answer["accepted"]):
                if accepted or "." not in regex:  # a dot is no carriage return here
                    self.assertEqual(bool(re.compile(regex, re.ASCII).fullmatch(text)), accepted, (regex, text))

    def test_choices(self):
        texts = ["yes", "no", 'quo"te', "back\\slash", "new\nline", "é", "y"]
        answer = self.walker.ask(kind="choice", text=json.dumps(texts), walks=20, texts=[*texts, "ye", "yess", ""])
        self.assertEqual([True] * len(texts) + [False] * 3, answer["accepted"])
        for walk in answer["walks"]:
            self.assertIn(bytes.fromhex(walk["hex"]).decode(), texts)
        for wrong in ("[]", '"a"', '["a", 1]', '[""]', "{", '["a"'):
            self.assertIn("choice", self.walker.ask(kind="choice", text=wrong)["error"])

    def test_any_object(self):
        answer = self.walker.ask(kind="json", walks=40, texts=["{}", '{"a": [1, {"b": null}], "c": -1.5e+3}', "[]", "1", '{"a": 01}', '{"a" 1}'])
        self.assertEqual([True, True, False, False, False, False], answer["accepted"])
        for walk in answer["walks"]:
            if walk["ended"]:
                self.assertIsInstance(json.loads(bytes.fromhex(walk["hex"]).decode()), dict)

    def test_ebnf_in_the_form_of_llama_cpp(self):
        gbnf = 'root ::= item+\nitem ::= "- " [^\\n]{1,3} "\\n" # a line\n'
        answer = self.walker.ask(kind="ebnf", text=gbnf, walks=5, texts=["- ab\n", "- a\n- b\n", "ab\n", "- abcd\n"])
        self.assertEqual([True, True, False, False], answer["accepted"])
        for wrong in ("", "root ::= missing", "root ::= (", "no_root ::= \"a\"", 'root ::= "a"\nroot ::= "b"', "root ::= [z-a]"):
            self.assertIn("error", self.walker.ask(kind="ebnf", text=wrong), wrong)

    def test_references(self):
        tree = {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}}, "required": ["v"], "additionalProperties": False}}}
        self.assertGreater(self.check(tree, ['{"v": 1, "kids": [{"v": 2}, {"v": 3, "kids": []}]}']), 0)
        itself = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"], "additionalProperties": False}
        self.check(itself, ['{"next": {"next": null}}'])
        place = {"type": "object", "properties": {"a": {"type": "boolean"}, "b/~c": {"type": "null"}, "d": {"$ref": "#/properties/b~1~0c"}}, "required": ["d"]}
        self.check(place, ['{"d": null}'])

    def refused(self, schema, *words):
        answer = self.walker.ask(kind="schema", text=json.dumps(schema), walks=0)
        self.assertIn("error", answer, schema)
        for word in words:
            self.assertIn(word, answer["error"], schema)
        self.assertNotIn("\n", answer["error"])

    def test_refuses_by_name_what_it_cannot_follow(self):
        number = {"type": "number"}
        for keyword, value in {"not": number, "if": number, "dependentRequired": {"a": ["b"]}, "dependentSchemas": {}, "contains": number,
                               "minContains": 1, "uniqueItems": True, "contentEncoding": "base64", "nullable": True, "$dynamicRef": "#a", "x-own": 1}.items():
            self.refused({"type": "array" if keyword in ("contains", "uniqueItems", "minContains") else "object", keyword: value}, keyword)
        self.refused({"type": "number", "multipleOf": 0.1}, "multipleOf")
        self.refused({"type": "object", "properties": {"a": {"type": "number", "multipleOf": 0.1}}}, "properties.a", "multipleOf")
        self.refused({"allOf": [number, {"minimum": 3}]}, "allOf")
        self.refused({"anyOf": [number], "properties": {}}, "properties", "anyOf")
        self.refused({"$ref": "#/$defs/a", "minLength": 3, "$defs": {"a": {"type": "string"}}}, "minLength", "$ref")
        self.refused({"enum": ["a", "abc"], "minLength": 2}, "minLength", "enum")
        self.refused({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "oneOf")
        self.refused({"type": "string", "pattern": "a", "maxLength": 3}, "pattern", "maxLength")
        self.refused({"type": "string", "pattern": r"\bword\b"}, "pattern", "\\b")
        self.refused({"type": "string", "pattern": "a(?=b)"}, "pattern", "looking")
        self.refused({"type": "string", "pattern": "x(^a)"}, "anchor")
        self.refused({"type": "string", "pattern": r"\p{L}"}, "pattern")
        self.refused({"type": "string", "pattern": r"(a)\1"}, "pattern")
        self.refused({"type": "string", "pattern": "(?i)a"}, "flags")
        self.refused({"type": "string", "format": "color"}, "format", "color")
        self.refused({"$ref": "https://example.com/schema"}, "$ref")
        self.refused({"$ref": "#/$defs/none"}, "$ref")
        self.refused({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "circle")
        self.refused({"type": "object", "properties": {"a": number}, "patternProperties": {"^b": number}}, "patternProperties")
        self.refused({"type": "object", "minProperties": 2}, "minProperties")
        self.refused({"type": "object", "properties": {"a": number}, "required": ["b"]}, "required", "b")
        self.refused({"type": "array", "items": [number]}, "items")
        self.refused({"type": "integer", "minimum": 5, "maximum": 4})
        self.refused({"minimum": 1, "minLength": 2}, "type")
        self.refused({"type": "float"}, "type", "float")
        self.refused(False)

    def test_bounds_what_is_too_large(self):
        deep = {"type": "string"}
        for _ in range(100):
            deep = {"type": "array", "items": deep}
        self.refused(deep, "levels")
        self.refused({"type": "string", "maxLength": 10**9}, "maxLength")
        self.refused({"type": "string", "pattern": "((a{99}){99}){99}"}, "pattern")
        answer = self.walker.ask(kind="schema", text="[" * 100000)
        self.assertIn("levels", answer["error"])
        answer = self.walker.ask(kind="schema", text=json.dumps({"enum": [f"v{i}" for i in range(10**6)]}))
        self.assertIn("bytes", answer["error"])
        answer = self.walker.ask(kind="regex", text="(" * 100000 + ")" * 100000)
        self.assertIn("groups", answer["error"])
        answer = self.walker.ask(kind="regex", text="((((a{100}){100}){100}){100}){100}")
        self.assertIn("repetitions", answer["error"])
        answer = self.walker.ask(kind="ebnf", text='root ::= ((("a"{1000}){1000}){1000})')
        self.assertIn("repetitions", answer["error"])
        answer = self.walker.ask(kind="choice", text=json.dumps([f"{i}" for i in range(10**6)]))
        self.assertIn("error", answer)


if __name__ == "__main__":
    unittest.main(verbosity=1)
