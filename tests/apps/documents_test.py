"""The documents tell the truth: predictions that they quote are what the program says today, and their links lead somewhere.

A quotation is an indented block whose first line is `$ rafter plan|simulate|ladder ...`. Each line below it must be in the output, in that order; a line
`...` stands for any lines, and `...` at the end of a line for its rest. Commands about model files are left out: tests have none of those files.
"""
import re
import shlex

import program

DOCUMENTS = [program.ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")] + sorted((program.ROOT / "docs").glob("*.md"))
FILES = ("SmolLM2-135M-Instruct", "gemma-3-270m", "MODEL", ".gguf")


def quotations(text):
    """(command, lines) of each quotation in a document."""
    found, command, lines, continued = [], None, [], False
    for line in text.split("\n") + ["end"]:
        if line and not line.startswith("    ") and not line.startswith("      "):
            if command:
                found.append((command, lines))
            command, lines = None, []
            continue
        bare = line.strip()
        if continued:
            command += " " + bare
        elif re.match(r"\$ rafter (plan|simulate|ladder) ", bare):
            if command:
                found.append((command, lines))
            command, lines = bare[2:], []
        elif bare.startswith("$ "):
            if command:
                found.append((command, lines))
            command, lines = None, []
        elif command and bare:
            lines.append(bare)
        continued = bool(command) and (continued or not lines) and bare.endswith("\\")
        if continued:
            command = command.rstrip("\\").rstrip()
    return found


def first_missing(lines, output):
    """The first of the lines that is not in the output after the one before it; None: all are."""
    rest = [line.strip() for line in output.split("\n")]
    for line in lines:
        if line == "...":
            continue
        begins = line[: -len("...")].rstrip() if line.endswith("...") else None
        at = next((i for i, one in enumerate(rest) if (one.startswith(begins) if begins is not None else one == line)), None)
        if at is None:
            return line
        rest = rest[at + 1 :]
    return None


def slug(heading):
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


class Checker(program.unittest.TestCase):
    TEXT = "Words.\n\n    $ rafter plan a --b \\\n        --c\n    ...\n    Fits  yes\n    More ...\n\n    $ rafter plan d\n    e\n\nWords.\n\n    rafter plan f\n"

    def test_finds_quotations(self):
        self.assertEqual(quotations(self.TEXT), [("rafter plan a --b --c", ["...", "Fits  yes", "More ..."]), ("rafter plan d", ["e"])])

    def test_finds_what_is_missing(self):
        self.assertIsNone(first_missing(["...", "Fits  yes", "More ..."], "x\n  Fits  yes\ny\nMore than that\n"))
        self.assertEqual(first_missing(["b", "a"], "a\nb\n"), "a")
        self.assertEqual(first_missing(["Fits  no"], "Fits  yes\n"), "Fits  no")

    def test_makes_anchors(self):
        self.assertEqual(slug("1 · Will it fit?"), "1--will-it-fit")


class Documents(program.Case):
    def test_quoted_predictions_are_what_the_program_says(self):
        n_quoted = 0
        for document in DOCUMENTS:
            for command, lines in quotations(document.read_text(encoding="utf-8")):
                if any(name in command for name in FILES):
                    continue
                with self.subTest(document=document.name, command=command):
                    output = self.rafter(*shlex.split(command)[1:]).stdout.decode()
                    missing = first_missing(lines, output)
                    self.assertIsNone(missing, f"{document.name} quotes a line that the output lacks: {missing}\n{output}")
                    n_quoted += 1
        self.assertGreaterEqual(n_quoted, 8)

    def test_links_lead_somewhere(self):
        for document in DOCUMENTS:
            for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                file = (document.parent / path) if path else document
                with self.subTest(document=document.name, link=target):
                    self.assertTrue(file.exists(), "no such file")
                    if anchor:
                        headings = re.findall(r"(?m)^#+ (.*)$", file.read_text(encoding="utf-8"))
                        self.assertIn(anchor, [slug(heading) for heading in headings])


if __name__ == "__main__":
    program.main()
