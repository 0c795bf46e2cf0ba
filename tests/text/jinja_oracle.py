"""jinja2, set up as Hugging Face transformers does it for chat templates, and our interpreter beside it: the same cases through both."""
import contextlib
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import warnings

# What \d in a literal and the like would warn of is the template's business.
warnings.simplefilter("ignore")

SKIP = 77
NOW = (2025, 3, 7, 9, 5, 2)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


def import_jinja2():
    try:
        import jinja2
        import jinja2.ext
        import jinja2.sandbox
    except ImportError:
        skip("Python has no jinja2 (see tests/requirements.txt)")
    return jinja2


def make_environment():
    """The environment that transformers renders chat templates in."""
    jinja2 = import_jinja2()

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            lineno = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(lineno)

        @jinja2.pass_eval_context
        def _text(self, context, caller):
            return caller()

    class Namespace(jinja2.utils.Namespace):
        def __init__(*args, **kwargs):
            self, args = args[0], args[1:]
            attributes = dict(*args, **kwargs)
            for name in attributes:
                Namespace._check(name)
            jinja2.utils.Namespace.__init__(self, attributes)

        def __setitem__(self, name, value):
            Namespace._check(name)
            jinja2.utils.Namespace.__setitem__(self, name, value)

        @staticmethod
        def _check(name):
            if isinstance(name, str) and name.startswith("_"):
                raise jinja2.exceptions.SecurityError(name)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.datetime(*NOW).strftime(format)
    environment.globals["namespace"] = Namespace
    return environment


class Oracle:
    def __init__(self):
        self.environment = make_environment()
        self.compiled = {}

    def answer(self, template, variables):
        """{"text": ...} or {"error": ...}"""
        try:
            if template not in self.compiled:
                self.compiled[template] = self.environment.from_string(template)
            text = self.compiled[template].render(**variables)
            text.encode("utf-8")
            return {"text": text}
        except Exception as error:  # noqa: BLE001: whatever Python raises is an error of the template
            return {"error": f"{type(error).__name__}: {error}"}


def tool():
    path = pathlib.Path(os.environ.get("RAFTER_BUILD_DIR", "build/release")) / "tests" / "tools" / "render_templates"
    if not path.exists():
        skip(f"{path} is not built")
    return path


def ours(cases):
    """Our answers to (template, variables) cases, in order, all from one process."""
    lines = "".join(json.dumps({"template": t, "variables": v, "now": NOW}) + "\n" for t, v in cases)
    done = subprocess.run([str(tool())], input=lines.encode("utf-8"), stdout=subprocess.PIPE, check=False)
    answers = [json.loads(line) for line in done.stdout.decode("utf-8").split("\n")[:-1]]
    if done.returncode != 0 or len(answers) != len(cases):
        raise AssertionError(f"render_templates ended with status {done.returncode} after {len(answers)} of {len(cases)} cases: "
                             f"{cases[len(answers)] if len(answers) < len(cases) else ''}")
    return answers


# Python prints where in memory such objects are.
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def compare(cases, max_shown=40):
    """How many cases were compared, and what differs, as text. Cases whose result holds an address in memory count for nothing."""
    oracle = Oracle()
    differences = []
    compared = 0
    for (template, variables), mine in zip(cases, ours(cases)):
        truth = oracle.answer(template, variables)
        if ADDRESS.search(truth.get("text", "")):
            continue
        compared += 1
        if "error" in truth and "error" in mine:
            continue
        if truth.get("text") == mine.get("text") and "error" not in mine:
            continue
        differences.append(f"template: {template}\nvariables: {json.dumps(variables, ensure_ascii=False)[:400]}\n  jinja2: {truth}\n  ours:   {mine}")
    shown = "\n\n".join(differences[:max_shown])
    return compared, differences, f"{len(differences)} of {compared} cases differ\n\n{shown}"


@contextlib.contextmanager
def report(name):
    """For scripts: prints how many cases agreed, exits with 1 when any did not."""
    outcome = {}
    yield outcome
    compared, differences, text = compare(outcome["cases"])
    if differences:
        print(f"{name}: {text}")
        sys.exit(1)
    print(f"{name}: {compared} cases agree with jinja2")
