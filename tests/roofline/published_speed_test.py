"""Published speeds against `rafter plan --efficiency calibrated`: how far off it is on the whole, and how often by more than 1.6.

`python3 tests/roofline/published_speed_test.py --markdown` writes the table of docs/plan.md (RAFTER_BINARY names the program)."""
import json
import math
import os
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
BINARY = os.environ.get("RAFTER_BINARY", str(HERE.parents[1] / "build" / "release" / "rafter"))
FAR = 1.6  # published over ours, or ours over published
SETS = ("reference", "fitted", "held out", "unseen")


def plan(table, row, *options):
    arguments = [*table["options"], *(["--weights", row["weights"]] if row.get("weights", "bf16") != "bf16" else [])]
    if "--parallel" not in arguments:
        arguments += ["--devices", row.get("devices", table["devices"])]
    command = [BINARY, "plan", table["model"], "--hardware", table["hardware"], "--efficiency", "calibrated", "--format", "json", *arguments, *options]
    done = subprocess.run([str(a) for a in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def predictions(table, row):
    """(setting, published, ours) of each figure that a row has, all of them rates."""
    kind, prompt, output = table["kind"], row.get("prompt", 5), row.get("output", 200)
    load = ["--prompt", prompt, "--output", output, "--context", row.get("context", prompt + output // 2)]
    setting = f"{prompt}/{output}"
    if kind == "maximum":
        answer = plan(table, row, *load, "--batch", row.get("batch", 256), "--prefill-batch", 8, "--memory-fraction", 0.9)
        return [(setting, row["tokens_per_second_per_device"], answer["served_tokens_per_second"] / table["devices"])]
    if kind == "static":
        answer = plan(table, row, *load, "--batch", row["batch"], "--prefill-batch", row["batch"])
        seconds = answer["ttft_seconds"] + (output - 1) * answer["inter_token_latency_seconds"]
        return [(f"{row['batch']} x {setting}", row["tokens_per_second"], row["batch"] * output / seconds)]
    if kind == "users":
        answer = plan(table, row, *load, "--batch", row["users"])
        users = f"{row['users']} users, "
        return [(users + "first tokens", 1 / row["ttft_seconds"], 1 / answer["ttft_seconds"]),
                (users + "next tokens", 1 / row["inter_token_seconds"], 1 / answer["inter_token_latency_seconds"])]
    if kind == "first token":
        answer = plan(table, row, "--prompt", prompt, "--batch", 1)
        return [(f"prompts/s of {prompt}", 1 / row["ttft_seconds"], 1 / answer["ttft_seconds"])]
    if kind == "decode":
        answer = plan(table, row, *load, "--batch", 1)
        names = [row.get("weights"), f"{row['devices']} devices" if "devices" in row else None]
        return [(", ".join(n for n in names if n) or "decode", row["tokens_per_second"], answer["tokens_per_second"])]
    answer = plan(table, row, "--prompt", prompt, "--context", prompt, "--batch", 1)
    return [(f"prefill of {prompt}", row["prefill_tokens_per_second"], answer["prefill"]["tokens_per_second"]),
            ("decode", row["decode_tokens_per_second"], answer["tokens_per_second"])]


def tables():
    return json.loads((HERE / "published_speed.json").read_text())["tables"]


def figures(name):
    return [(table, figure) for table in tables() if table["set"] == name for row in table["rows"] for figure in predictions(table, row)]


def geometric_mean(ratios):
    return math.exp(sum(math.log(r) for r in ratios) / len(ratios))


def share_near(ratios):
    return sum(1 / FAR <= r <= FAR for r in ratios) / len(ratios)


def summary(ratios):
    return f"{len(ratios)} figures, geometric mean of ours over published {geometric_mean(ratios):.2f}, within {FAR} {100 * share_near(ratios):.0f}%"


def shown(rate):
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def markdown():
    for name in SETS:
        found = figures(name)
        print(f"\n**{name.capitalize()}**: {summary([ours / published for _, (_, published, ours) in found])}.\n")
        print("| model | devices | setting: published → ours (ratio) |\n|---|---|---|")
        last, groups = None, {}
        for table, figure in found:
            key = (table["source"], table["model"], f"{table['devices']} x {table['hardware']}", " ".join(table["options"]))
            groups.setdefault(key, []).append(figure)
        for (source, model, devices, options), rows in groups.items():
            if source != last:
                print(f"| *{source}* | | |")
            last = source
            cells = []
            for setting, published, ours in rows:
                ratio = ours / published
                cell = f"{setting}: {shown(published)} → {shown(ours)} ({ratio:.2f})"
                cells.append(cell if 1 / FAR <= ratio <= FAR else f"**{cell}**")
            print(f"| {model}{' `' + options + '`' if options else ''} | {devices} | {'; '.join(cells)} |")


class PublishedSpeed(unittest.TestCase):
    def check(self, names, near):
        found = [figure for name in names for figure in figures(name)]
        ratios = [ours / published for _, (_, published, ours) in found]
        far = [f"{t['model']} on {t['hardware']}, {s}: published {p:.4g}, ours {o:.4g}" for t, (s, p, o) in found if not 1 / FAR <= o / p <= FAR]
        self.assertGreaterEqual(geometric_mean(ratios), 0.8, summary(ratios))
        self.assertLessEqual(geometric_mean(ratios), 1.25, summary(ratios))
        self.assertGreaterEqual(share_near(ratios), near, summary(ratios) + "\n" + "\n".join(far))

    def test_reference(self):
        self.check(["reference"], 0.9)

    def test_fitted(self):
        self.check(["fitted"], 0.9)

    def test_held_out_and_unseen(self):
        self.check(["held out", "unseen"], 0.85)

    def test_every_row_has_a_figure_and_a_source(self):
        kinds = json.loads((HERE / "published_speed.json").read_text())["kinds"]
        for table in tables():
            self.assertIn(table["set"], SETS)
            self.assertIn(table["kind"], kinds)
            self.assertTrue(table["source"] and table["rows"])

    def test_reference_rows_are_those_of_the_shared_file(self):
        path = Path(os.environ.get("RAFTER_SHARED", HERE.parents[2] / "shared")) / "facts" / "published_speed.json"
        if not path.is_file():
            self.skipTest("no shared published speeds")
        theirs = [(t["model"], t["hardware"], t["devices"], t["plan_arguments"], r) for t in json.loads(path.read_text())["tables"] for r in t["rows"]]
        ours = [(t["model"], t["hardware"], t["devices"], t["options"], r) for t in tables() if t["set"] == "reference" for r in t["rows"]]
        self.assertEqual(ours, theirs)


if __name__ == "__main__":
    if "--markdown" in sys.argv:
        markdown()
    else:
        unittest.main()
