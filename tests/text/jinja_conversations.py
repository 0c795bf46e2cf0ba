"""Conversations of many shapes, for rendering any chat template with: each a dict of the variables that transformers passes."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Gets the weather.\nMulti-line, \"quoted\", <tagged> & ünïcödé 天气",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
                "detail": {"type": ["string", "null"], "nullable": True},
                "threshold": {"type": "number", "default": 0.5},
                "tags": {"type": "array", "items": {"type": "string"}},
                "where": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}, "required": ["lat"]},
                "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "one": {"oneOf": [{"type": "string", "description": "a"}, {"type": "boolean"}], "description": "b"},
                "any": {},
            },
            "required": ["city"],
        },
        "strict": False,
    },
}
CLOCK = {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}}
BARE = {"type": "function", "function": {"name": "bare"}}
RETURNS = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]},
        "return": {"type": "number", "description": "the sum"},
    },
}

SYSTEM = {"role": "system", "content": "You are terse."}
USER = {"role": "user", "content": "Hello, who are you?"}
ASSISTANT = {"role": "assistant", "content": "I am a model."}
AGAIN = {"role": "user", "content": "  What is the weather in Zürich?\n"}
FULL = [SYSTEM, USER, ASSISTANT, AGAIN]


def call(name, arguments, identifier="abcdef123"):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


ARGUMENTS = {"city": "Zürich", "days": 3, "detail": None, "ok": True, "threshold": 0.25, "tags": ["a", "b"], "where": {"lat": 47.4}}
ONE_CALL = {"role": "assistant", "content": "", "tool_calls": [call("get_weather", ARGUMENTS)]}
NULL_CALL = {"role": "assistant", "content": None, "tool_calls": [call("get_weather", {"city": "Bern"})]}
TEXT_CALL = {"role": "assistant", "content": "Let me look.", "tool_calls": [call("get_weather", {"city": "Bern"})]}
STRING_CALL = {"role": "assistant", "content": "", "tool_calls": [call("get_weather", '{"city": "Bern"}')]}
TWO_CALLS = {"role": "assistant", "content": None, "tool_calls": [call("get_weather", {"city": "Bern"}), call("now", {}, "zyxwvu987")]}
FLAT_CALL = {"role": "assistant", "content": "", "tool_calls": [{"name": "now", "arguments": {}}]}
REASONED_CALL = {"role": "assistant", "content": "", "reasoning_content": "I need the weather.", "thinking": "I need the weather.",
                 "tool_calls": [call("get_weather", {"city": "Bern"})]}
RESULT = {"role": "tool", "tool_call_id": "abcdef123", "name": "get_weather", "content": "{\"temperature\": 21.5}"}
RESULT_DICT = {"role": "tool", "tool_call_id": "abcdef123", "name": "get_weather", "content": {"temperature": 21.5, "sky": "clear"}}
RESULT_LIST = {"role": "tool", "tool_call_id": "abcdef123", "name": "get_weather", "content": [{"type": "text", "text": "21.5"}]}
RESULT_OTHER = {"role": "tool", "tool_call_id": "zyxwvu987", "name": "now", "content": "12:00"}
ANSWER = {"role": "assistant", "content": "It is 21.5 degrees."}
THANKS = {"role": "user", "content": "Thanks!"}
THINKING = {"role": "assistant", "content": "<think>\nLet me see.\nTwo.\n</think>\n\nThe answer is 2."}
REASONED = {"role": "assistant", "content": "The answer is 2.", "reasoning_content": "Let me see.", "thinking": "Let me see."}


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


MESSAGES = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "turns": [USER, ASSISTANT, AGAIN],
    "system_turns": FULL,
    "ends_with_assistant": [SYSTEM, USER, ASSISTANT],
    "only_system": [SYSTEM],
    "two_systems": [SYSTEM, {"role": "system", "content": "And kind."}, USER],
    "late_system": [USER, ASSISTANT, SYSTEM, AGAIN],
    "developer": [{"role": "developer", "content": "Be brief."}, USER],
    "empty": [],
    "empty_texts": [{"role": "system", "content": ""}, {"role": "user", "content": ""}, {"role": "assistant", "content": ""}, {"role": "user", "content": " "}],
    "null_content": [USER, {"role": "assistant", "content": None}, AGAIN],
    "no_content": [USER, {"role": "assistant"}, AGAIN],
    "not_alternating": [USER, AGAIN, ASSISTANT, ASSISTANT, THANKS],
    "starts_with_assistant": [ASSISTANT, USER],
    "unknown_role": [{"role": "critic", "content": "Hm."}, USER],
    "named": [{"role": "user", "name": "alice", "content": "Hi"}, {"role": "assistant", "name": "bob", "content": "Ho"}, {"role": "user", "name": "alice", "content": "?"}],
    "unicode": [{"role": "system", "content": "Ünïcode 🙂 — “quotes”"}, {"role": "user", "content": "日本語 العربية \u00a0\u2003 emoji 👩‍👩‍👧"}],
    "escapes": [{"role": "user", "content": "a\tb\\n\\\\ \"x\" 'y' <|im_end|> {{ x }} {% if %} </s> \x00\x07\x7f\u2028"}],
    "spaces": [{"role": "system", "content": "\n  sys \n\n"}, {"role": "user", "content": "\n\n  text\t \n"}, {"role": "assistant", "content": " \n answer \n "}, USER],
    "parts": [{"role": "system", "content": parts("You are ", "terse.")}, {"role": "user", "content": parts("Look:", " here")}, {"role": "assistant", "content": parts("I see.")}, USER],
    "images": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}],
    "audio": [{"role": "user", "content": [{"type": "audio", "audio": "a.wav"}, {"type": "video"}, {"type": "text", "text": "And?"}]}],
    "thinking": [USER, THINKING, AGAIN],
    "thinking_last": [SYSTEM, USER, THINKING],
    "reasoned": [USER, REASONED, AGAIN],
    "reasoned_last": [USER, ASSISTANT, AGAIN, REASONED],
    "long": [SYSTEM] + [USER, ASSISTANT] * 12 + [AGAIN],
    "no_think": [{"role": "system", "content": "Be good. /no_think"}, USER, ASSISTANT, {"role": "user", "content": "Go. /no_think"}],
}
TOOL_MESSAGES = {
    "one_call": [SYSTEM, AGAIN, ONE_CALL],
    "result": [SYSTEM, AGAIN, ONE_CALL, RESULT],
    "answered": [SYSTEM, AGAIN, ONE_CALL, RESULT, ANSWER],
    "answered_again": [AGAIN, ONE_CALL, RESULT, ANSWER, THANKS],
    "no_system": [AGAIN, NULL_CALL, RESULT, ANSWER, USER, ASSISTANT, AGAIN],
    "text_and_call": [AGAIN, TEXT_CALL, RESULT],
    "string_arguments": [AGAIN, STRING_CALL, RESULT, ANSWER],
    "two_calls": [AGAIN, TWO_CALLS, RESULT, RESULT_OTHER],
    "two_calls_answered": [SYSTEM, AGAIN, TWO_CALLS, RESULT, RESULT_OTHER, ANSWER, THANKS],
    "two_steps": [AGAIN, ONE_CALL, RESULT, {**ONE_CALL, "content": "Once more."}, RESULT, ANSWER, THANKS],
    "flat_call": [AGAIN, FLAT_CALL, RESULT_OTHER],
    "reasoned_call": [AGAIN, REASONED_CALL, RESULT, REASONED],
    "result_dict": [AGAIN, ONE_CALL, RESULT_DICT],
    "result_list": [AGAIN, ONE_CALL, RESULT_LIST, ANSWER],
    "no_id": [AGAIN, {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "now", "arguments": {}}}]}, {"role": "tool", "content": "12:00"}],
    "empty_calls": [USER, {"role": "assistant", "content": "Hi", "tool_calls": []}, AGAIN],
    "null_calls": [USER, {"role": "assistant", "content": "Hi", "tool_calls": None}, AGAIN],
    "orphan_result": [USER, RESULT],
    "ipython": [USER, {"role": "ipython", "content": "3"}],
}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def cases():
    """(name, variables) of every conversation with its settings."""
    found = []

    def add(name, messages, tools=None, generation=True, **more):
        found.append((name, {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": generation, **TOKENS, **more}))

    for name, messages in MESSAGES.items():
        add(name, messages)
        add(name + "/closed", messages, generation=False)
    for name, messages in TOOL_MESSAGES.items():
        add(name, messages, [WEATHER, CLOCK])
        add(name + "/no_tools", messages)
        add(name + "/closed", messages, [WEATHER], generation=False)
    for tools in ([], [CLOCK], [BARE], [WEATHER, RETURNS], [WEATHER["function"]]):
        add(f"tools{len(tools)}", FULL, tools)
        add(f"tools{len(tools)}/no_system", [USER], tools)
    switches = {
        "enable_thinking": (True, False), "thinking": (True, False), "reasoning_effort": ("low", "high"), "keep_cot": (True,),
        "builtin_tools": (["browser", "python"], ["code_interpreter", "wolfram_alpha"]), "tools_in_user_message": (False,),
        "date_string": ("1 Jan 2026",), "documents": ([{"title": "T", "text": "Body"}, {"title": "U", "text": "More"}],),
        "clear_thinking": (False,), "preserve_thinking": (True,), "model_identity": ("I am X.",), "system_message": ("Preset.",),
        "custom_tools": ([CLOCK],), "controls": ({"length": "short"},), "available_tools": ([CLOCK],), "add_vision_id": (True,),
        "xml_tools": (["<tool>"],), "python_tools": (["def f(): pass"],), "citations": (True,), "add_nothink_token": (True,),
    }
    for switch, settings in switches.items():
        for setting in settings:
            for name, messages in (("system_turns", FULL), ("thinking", MESSAGES["thinking"]), ("answered_again", TOOL_MESSAGES["answered_again"])):
                add(f"{name}/{switch}={setting}", messages, [WEATHER] if "answered" in name else None, **{switch: setting})
    add("no_tokens", FULL, **{token: "" for token in TOKENS})
    return found
