#!/usr/bin/env python3
"""What n-gram draft tokens give a model that answers for itself: the same answer with them and without, taking turns.

    scripts/make_replays texts
    bench/speculation.py SmolLM2.gguf texts/*.txt

Of each text the part before the form feed is the prompt; greedy. The answers must be equal, token by token. A speed-up is how many more
tokens a second a round's drafting run decoded; the table has the middle one and the range.

Standard library only.
"""
import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path


def answer(options, model, prompt, kind):
    command = [options.rafter, "run", model, "-p", prompt, "--temperature", "0", "-n", str(options.generate), "--speculate", kind, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def compare(options, model, text):
    prompt = text.read_text().split("\f")[0]
    ratios = []
    for i in range(options.rounds):
        runs = {kind: answer(options, model, prompt, kind) for kind in (("off", "ngram") if i % 2 == 0 else ("ngram", "off"))}
        if runs["off"]["tokens"] != runs["ngram"]["tokens"]:
            sys.exit(f"{text}: the answers differ")
        ratios.append(runs["ngram"]["timings"]["decode_tokens_per_second"] / runs["off"]["timings"]["decode_tokens_per_second"])
    n_tokens = len(runs["ngram"]["tokens"])
    drafts = runs["ngram"]["speculation"]
    n_draft_tokens, n_right = drafts["spec_decode_num_draft_tokens"], drafts["spec_decode_num_accepted_tokens"]
    print(f"| {Path(model).stem} | {text.stem} | {n_tokens} | {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) "
          f"| {n_tokens / (n_tokens - n_right):.2f} | {f'{n_right / n_draft_tokens:.0%} of {n_draft_tokens}' if n_draft_tokens else 'none'} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--rafter", default="build/release/rafter")
    parser.add_argument("--generate", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| model | prompt | tokens | times plain | tokens a step | draft tokens that were right |\n|---|---|--:|--:|--:|--:|")
    for text in options.texts:
        compare(options, options.model, text)


if __name__ == "__main__":
    main()
