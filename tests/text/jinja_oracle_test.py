"""Our templates, chat templates of others where they are at hand, and every filter, test, method and operator: against jinja2, byte for byte."""
import itertools
import os
import pathlib
import sys
import unittest

import jinja_cases
import jinja_conversations
import jinja_oracle

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

VALUES = (
    "1 0 -7 3.5 -0.0 1e20 true false none '' 'abc' 'Hello World foo' ' pad\\n' 'ÄÖß straße' '12' '0x1f' '3.7' 'a,b,,c' '<b>&\\'\"</b>' '日本語テキスト' 'a\\tb\\r\\nc' "
    "[] [1,2,3] ['b','A','c'] [[1,2],[3]] [1,'a',none] () (1,) (1,2) {} {'a':1} {'b':2,'A':1,'c':[1]} {1:'x',true:'y',2.5:'z'} undefined_name range(3) range(10,0,-3) "
    "[{'n':'x','v':1},{'n':'Y','v':2},{'n':'a','v':1}] 'abc'|e '<i>'|safe namespace(a=1) {'a':1}.items() {'a':1}.keys() 10**18*5"
)
FILTERS = (
    "abs attr('n') attr('x') batch(2)|list batch(2,'-')|list capitalize count d('D') default('D',true) default dictsort dictsort(true) "
    "dictsort(false,'value') dictsort(reverse=true) e first float float(7) format format(1,2) format(a=1) "
    "groupby('n') groupby('v') indent indent(2,true) indent(width='>',blank=true) int int(5) int(0,16) int(base=2) items|list join join(',') "
    "join('-',attribute='n') last length list lower map('upper')|list map(attribute='n')|list map(attribute='n',default='?')|list map('int')|sum max max(true) min "
    "min(attribute='v') nosuch reject|list reject('odd')|list rejectattr('v','eq',1)|list replace('a','X') replace('l','L',1) reverse|list round round(1) round(-1) "
    "round(0,'ceil') round(1,'floor') safe select|list select('string')|list select('gt',1)|list selectattr('v')|list selectattr('n','in',['x'])|list slice(2)|list "
    "slice(2,'f')|list sort sort(true) sort(case_sensitive=true) sort(attribute='n') sort(attribute='v,n') string sum sum(attribute='v') sum(start=10) "
    "title tojson tojson(indent=2) tojson(ensure_ascii=true) tojson(separators=(',',':')) tojson(sort_keys=true) trim trim('a') truncate(5) truncate(5,true) "
    "unique|list unique(attribute='v')|list upper wordcount"
)
TESTS = (
    "boolean defined even false float integer iterable mapping none nosuch number odd sequence string true undefined "
    "in([1,'a']) in('abc') eq(1) ne(1) lt(2) gt(1) ge('a') le(3) equalto('abc')"
)
METHODS = (
    ".keys()|list .items()|list .get('a') .get('q',7) .values()|list .upper() .strip() .split() .split(',') .split(',',1) .split(none,1) "
    ".lower() .title() .capitalize() .startswith('a') .endswith(('c','d')) .startswith('b',1) .find('b') .join(['a','b']) .partition(',') .isalnum() .count('l') "
    ".count(1) .replace('l','L') .replace('l','L',1) .lstrip('a') .rstrip('c') "
    ".format(1,2) .append(1) .pop() "
    ".nope() .nope .a [0] [-1] [1:] [:-1] [::-1] [::2] [1:2] [5:1:-2] ['a'] [none] [1.0] [true] [100] [::0]"
)
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


def split(words):
    """Words parted by blanks, blanks inside quotes kept."""
    found, quote, current = [], "", ""
    for i, c in enumerate(words):
        if c == " " and not quote:
            found.append(current)
            current = ""
            continue
        if c in "'\"" and (i == 0 or words[i - 1] != "\\"):
            quote = "" if quote == c else (quote or c)
        current += c
    return found + [current]


# What Python can and templates need not: sets, bytes, complex numbers.
def is_python_only(template):
    return "- b" in template and ("items()" in template or "keys()" in template)


def systematic_cases():
    values = split(VALUES)
    assert len(values) > 40, values
    for value in values:
        # A variable, because jinja2 computes with constants beforehand, by slightly different rules.
        start = "{% set v = " + value + " %}"
        for name in split(FILTERS):
            yield start + "{{ v|" + name + " }}"
        for name in split(TESTS):
            yield start + "{{ v is " + name + " }}{{ v is not " + name + " }}"
        for name in split(METHODS):
            yield start + "{{ v" + name + " }}"
    for a, b in itertools.product(values, values):
        yield "{% set a = " + a + " %}{% set b = " + b + " %}" + "{{ a " + OPERATORS[(len(a) * 31 + len(b)) % len(OPERATORS)] + " b }}"
    for a, b, operator in itertools.product(values[::3], values[1::3], OPERATORS):
        yield "{% set a = " + a + " %}{% set b = " + b + " %}{{ a " + operator + " b }}"


def template_folders():
    yield ROOT / "tests" / "golden" / "chat_templates"
    shared = pathlib.Path(os.environ.get("RAFTER_SHARED", ROOT.parent / "shared")) / "chat_templates"
    if shared.is_dir():
        yield shared
    else:
        print(f"{shared} is not there: fewer chat templates are tried")
    # Any other collection of chat templates, for a person who has one.
    if extra := os.environ.get("RAFTER_CHAT_TEMPLATES"):
        yield pathlib.Path(extra)


class Oracle(unittest.TestCase):
    def agree(self, cases, least):
        compared, differences, text = jinja_oracle.compare(cases)
        self.assertFalse(differences, text)
        self.assertGreaterEqual(compared, least)

    def test_small_templates(self):
        self.agree(jinja_cases.cases(), 350)

    def test_every_filter_test_method_and_operator(self):
        self.agree([(template, {}) for template in systematic_cases() if not is_python_only(template)], 10000)

    def test_chat_templates(self):
        conversations = jinja_conversations.cases()
        for folder in template_folders():
            for path in sorted(folder.glob("*.jinja")):
                with self.subTest(template=path.name):
                    source = path.read_bytes().decode("utf-8")
                    self.agree([(source, variables) for _, variables in conversations], 190)


if __name__ == "__main__":
    jinja_oracle.import_jinja2()
    jinja_oracle.tool()
    unittest.main(argv=sys.argv[:1], warnings="ignore")
