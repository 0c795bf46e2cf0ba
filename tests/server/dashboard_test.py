"""deploy/grafana-dashboard.json: every query is PromQL, names metrics that a running server has, and asks for labels that they have."""
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import serving  # noqa: E402
from serving import program  # noqa: E402

DASHBOARD = program.ROOT / "deploy" / "grafana-dashboard.json"
METRIC = re.compile(r"\b(?:rafter|process)_\w+")
SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$")
OF_PROMETHEUS = {"instance", "job", "le"}  # labels that scraping adds, or that a histogram's buckets have


def read_metrics(text):
    """({name: type}, {name of a sample: its labels}) of a page in Prometheus' text format."""
    types, labels = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        elif match := SAMPLE.match(line):
            labels.setdefault(match.group(1), set()).update(re.findall(r'(\w+)="', match.group(2) or ""))
    return types, labels


def queries(dashboard):
    """[(title, query)] of the panels and the variables."""
    found = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for variable in dashboard["templating"]["list"]:
        if match := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", "")):
            found.append((variable["label"], f"sum by ({match.group(2)}) ({match.group(1)})"))
    return found


def complaints(query, types, labels):
    """What is wrong with a query for a server with these metrics."""
    found = []
    names = METRIC.findall(query)
    for name in names:
        if name not in labels:
            found.append(f"there is no metric {name}")
            continue
        family = name if name in types else re.sub(r"_(bucket|sum|count)$", "", name)
        rated = f"rate({name}" in query
        counts = types[family] == "counter" or (types[family] == "histogram" and name != family)
        if rated != counts:
            found.append(f"{name} is a {types[family]}: rate() is for counters")
    asked = set(re.findall(r"(\w+)=~?\"", query))
    for group in re.findall(r"\bby \(([^)]*)\)", query):
        asked |= {label.strip() for label in group.split(",")}
    known = set().union(*(labels.get(name, set()) for name in names)) | OF_PROMETHEUS
    return found + [f"no metric of it has the label {label}" for label in sorted(asked - known)]


class Checker(unittest.TestCase):
    TYPES, LABELS = read_metrics('# TYPE rafter_a gauge\nrafter_a{model_name="m"} 1\n# TYPE rafter_b_total counter\nrafter_b_total{cause="x"} 2\n'
                                 '# TYPE rafter_h histogram\nrafter_h_bucket{le="+Inf"} 1\nrafter_h_sum{} 1\nrafter_h_count 1\n')

    def test_accepts_good_queries(self):
        for query in ('sum(rafter_a{model_name=~"$m",instance=~"x"})', "sum by (cause) (rate(rafter_b_total[1m]))", "histogram_quantile(0.5, sum by (le) (rate(rafter_h_bucket[1m])))"):
            self.assertEqual(complaints(query, self.TYPES, self.LABELS), [], query)

    def test_finds_what_is_wrong(self):
        for query, words in (("rafter_c", "no metric rafter_c"), ("rate(rafter_a[1m])", "rate()"), ("sum(rafter_b_total)", "rate()"), ("rafter_h", "no metric rafter_h"),
                             ("sum by (why) (rate(rafter_b_total[1m]))", "label why"), ('rafter_a{cause="x"}', "label cause")):
            self.assertIn(words, " ".join(complaints(query, self.TYPES, self.LABELS)), query)


class Dashboard(serving.Case):
    arguments = ("--batch", "1", "--draft-fixed", "4")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))

    def metrics_after_some_requests(self):
        """What no request has caused yet is not in the page: answers by status, refusals, steps by phase, draft tokens."""
        text = "one two three four five six seven eight " * 12
        for _ in range(2):
            status, _, _ = self.server.post("/v1/completions", prompt=text, max_tokens=40, temperature=0)
            self.assertEqual(status, 200)
        status, _, _ = self.server.post("/v1/completions", prompt="another " + text, max_tokens=2, max_ttft_seconds=0.001)
        self.assertEqual(status, 429)
        status, _, page = self.server.get("/metrics")
        self.assertEqual(status, 200)
        return page.decode()

    def test_panels_have_ids_and_places_of_their_own(self):
        panels = self.dashboard["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        taken = {}
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertIsNone(taken.get((x, y)), f"{panel['title']} lies over {taken.get((x, y))}")
                    taken[x, y] = panel["title"]

    def test_every_panel_with_a_query_says_where_the_data_come_from(self):
        for panel in self.dashboard["panels"]:
            for part in [panel, *panel.get("targets", [])] if panel["type"] != "row" else []:
                self.assertEqual(part["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])

    def test_every_query_is_promql(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed")
        rules = [{"record": f"panel:{i}", "expr": query.replace("$__rate_interval", "5m")} for i, (_, query) in enumerate(queries(self.dashboard))]
        self.assertGreater(len(rules), 50)
        path = Path(self.temporary.name) / "rules.yml"
        path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
        done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_query_names_metrics_and_labels_of_a_running_server(self):
        types, labels = read_metrics(self.metrics_after_some_requests())
        wrong = [f"{title}: {one}" for title, query in queries(self.dashboard) for one in complaints(query, types, labels)]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    serving.main()
