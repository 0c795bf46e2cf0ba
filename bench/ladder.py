#!/usr/bin/env python3
"""Did anything become slower? Climbs the ladder of each earlier report again and compares shares of the roof.

    bench/ladder.py bench/results/ladder/*.json                 # against the reports that are kept here
    bench/ladder.py --models ~/models --rafter build/release/rafter mine.json

A report names its model's file: it is looked for in --models, and by its name as `rafter models` lists it. A rung that lost more of its
roof than noise explains is printed by `rafter ladder --against`, and measured once more, because one busy minute is no regression. Exit
status 1: a rung was worse both times. 77: reports of another machine only, whose shares say nothing of this program.

Standard library only.
"""
import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

SKIP = 77


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def model_of(report, folders):
    """The file where it lies in a folder, else the name that it has for `rafter models`."""
    name = json.loads(report.read_text())["model"]["file"]
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    return name.removesuffix(".gguf")


def climb(options, report):
    command = [options.rafter, "ladder", model_of(report, options.models), "--against", str(report)]
    if json.loads(report.read_text())["quick"]:
        command.append("--quick")
    print("$", *command, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.returncode)
    print(done.stdout[done.stdout.rfind("\n\n"):] if options.brief else done.stdout, flush=True)
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--rafter", default="build/release/rafter")
    parser.add_argument("--models", action="append", type=Path, default=[])
    parser.add_argument("--brief", action="store_true", help="print the comparisons alone")
    options = parser.parse_args()
    here = [r for r in options.reports if json.loads(r.read_text())["machine"]["hardware"].startswith(cpu_name())]
    for report in set(options.reports) - set(here):
        print(f"{report}: of another machine, left out")
    if not here:
        return SKIP
    worse = [report for report in here if not climb(options, report) and not climb(options, report)]
    for report in worse:
        print(f"{report}: a rung is worse than it was")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
