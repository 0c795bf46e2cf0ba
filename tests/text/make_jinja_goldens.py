"""Writes what jinja2 makes of our own templates, for the C++ tests to compare with:
  python tests/text/make_jinja_goldens.py
makes tests/golden/jinja.jsonl (jinja_cases.py) and tests/golden/chat_templates/prompts.jsonl (some conversations in each template there)."""
import json
import pathlib

import jinja_cases
import jinja_conversations
import jinja_oracle

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
CONVERSATIONS = (
    "user", "system_turns", "ends_with_assistant", "unicode", "spaces", "parts", "reasoned", "thinking_last", "result", "answered/closed",
    "two_calls_answered", "string_arguments", "orphan_result", "not_alternating", "tools2/no_system", "system_turns/enable_thinking=False",
)


def write(path, header, rows):
    lines = [header] + rows
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"{path}: {len(rows)} cases")


def outcome(answer):
    """Which error it is stays Python's business."""
    return {"text": answer["text"]} if "error" not in answer else {"error": True}


def main():
    oracle = jinja_oracle.Oracle()
    rows = [
        {"subject": subject, "template": template, **outcome(oracle.answer(template, jinja_cases.DATA))}
        for subject, templates in jinja_cases.SUBJECTS.items()
        for template in templates
    ]
    write(GOLDEN / "jinja.jsonl", {"command": "python tests/text/make_jinja_goldens.py", "now": jinja_oracle.NOW, "variables": jinja_cases.DATA}, rows)

    conversations = dict(jinja_conversations.cases())
    used = {name: conversations[name] for name in CONVERSATIONS}
    rows = [
        {"template": path.name, "conversation": name, **outcome(oracle.answer(path.read_text(encoding="utf-8"), variables))}
        for path in sorted((GOLDEN / "chat_templates").glob("*.jinja"))
        for name, variables in used.items()
    ]
    header = {"command": "python tests/text/make_jinja_goldens.py", "now": jinja_oracle.NOW, "conversations": used}
    write(GOLDEN / "chat_templates" / "prompts.jsonl", header, rows)


if __name__ == "__main__":
    main()
