"""The interactive chat, typed at through a pseudo-terminal: commands, history, Ctrl-C and Ctrl-D; and as a filter in a pipe."""
import json
import pathlib
import re
import subprocess
import time

import program
from terminal import Terminal

GREEDY = ["--temperature", "0"]


class Chat(program.Case):
    def terminal(self, *arguments, model=None):
        terminal = Terminal(model or self.model, "--context", "400", *GREEDY, *arguments, env={**self.environment, "TERM": "xterm"})
        terminal.wait_for("> ")
        return terminal

    def answer_to(self, question, *arguments):
        return self.rafter("run", self.model, "--chat", "-p", question, *GREEDY, *arguments).stdout

    def test_answers_and_keeps_the_history_in_the_cache(self):
        options = ["-n", "8", "--logit-bias", "87=1000"]  # whole characters: a broken one is told apart from the tokens that made it
        chat = self.terminal(*options)
        chat.say("hello")
        chat.say("and more")
        stats = chat.say("/stats")
        prompt, reused = map(int, re.search(r"prompt (\d+) tokens \((\d+) from cache\)", stats).groups())
        self.assertEqual(chat.end("/exit\n"), 0)
        alone = [len(self.json_of("run", self.model, "--chat", "-p", text, *options)["prompt_tokens"]) for text in ("hello", "and more")]
        # Computed: the two questions as if alone, and the answer's last token with the end of its turn; not the answer again.
        self.assertLess(prompt - reused, sum(alone) + 8)
        self.assertGreaterEqual(reused, alone[0] + 7)
        self.assertTrue(chat.out.startswith(self.answer_to("hello", *options)), chat.out)

    def test_commands(self):
        chat = self.terminal("-n", "4")
        self.assertIn("/system TEXT", chat.say("/help"))
        self.assertIn("/nonsense: no such command", chat.say("/nonsense"))
        chat.say("hello")
        self.assertIn("forgotten", chat.say("/reset"))
        self.assertIn("system message is set", chat.say("/system be brief"))
        chat.say("hello")
        self.assertEqual(chat.end("\x04"), 0)
        system = self.answer_to("hello", "-n", "4", "--system", "be brief")
        self.assertEqual(chat.out, self.answer_to("hello", "-n", "4") + system)

    def test_reset_forgets(self):
        chat = self.terminal("-n", "6")
        for line in ("hello", "/reset", "hello"):
            chat.say(line)
        self.assertEqual(chat.end("/exit\n"), 0)
        first, second = chat.out.split(b"\n")[0], chat.out[len(chat.out) // 2 :].rstrip(b"\n")
        self.assertEqual(chat.out[: len(chat.out) // 2].rstrip(b"\n"), second)
        self.assertTrue(first)

    def test_a_line_that_ends_with_a_backslash_goes_on(self):
        chat = self.terminal("-n", "4")
        chat.say("one\\")
        chat.say("two")
        chat.end("/exit\n")
        self.assertEqual(chat.out, self.answer_to("one\ntwo", "-n", "4"))

    def test_ctrl_d_during_an_answer_ends_it_after_the_answer(self):
        chat = self.terminal("-n", "300", "--logit-bias", "2=-1000")
        chat.type("hello\n")
        chat.wait_for_text(1)
        self.assertEqual(chat.end("\x04"), 0)
        self.assertTrue(chat.out.endswith(b"\n"))

    def test_a_coloured_prompt(self):
        """What colours it goes to the terminal as it is, and takes no room in the line."""
        chat = Terminal(self.model, "--context", "400", env={**self.environment, "TERM": "xterm", "NO_COLOR": ""})
        chat.wait_for("> ")  # the sequences are out of what read() keeps
        self.assertEqual(chat.end("\x04"), 0)

    def test_ctrl_c_at_the_prompt_does_not_end_it(self):
        chat = self.terminal("-n", "4")
        chat.type("half a line")
        time.sleep(0.3)
        chat.type("\x03")
        chat.wait_for("Ctrl-D or /exit ends")
        chat.wait_for("> ")
        chat.say("hello")
        self.assertEqual(chat.end("/exit\n"), 0)
        self.assertEqual(chat.out, self.answer_to("hello", "-n", "4"))

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        model = program.small_model()
        if model is None:
            self.skipTest("no SmolLM2-135M-Instruct on this machine: the tiny model is too fast to be interrupted")
        chat = Terminal(model, "--logit-bias", "2=-100", env={**self.environment, "TERM": "xterm"})  # it never ends its turn
        chat.wait_for("> ")
        chat.type("Count from one to one thousand, in words.\n")
        chat.wait_for_text(20)
        chat.type("\x03")
        chat.wait_for("(stopped)", timeout=20)
        chat.wait_for("> ")
        n_before = len(chat.out)
        chat.type("Hello!\n")
        chat.wait_for_text(n_before + 10)
        chat.type("\x03")
        chat.wait_for("(stopped)", timeout=20)
        chat.wait_for("> ")
        self.assertEqual(chat.end("\x04"), 0)

    def test_a_full_context_is_said_and_reset_helps(self):
        chat = self.terminal("--logit-bias", "5=1000", "--on-full", "stop")
        self.assertIn("the context is full", chat.say("hello"))
        self.assertIn("(/reset starts a new conversation)", chat.say("more"))
        self.assertIn("forgotten", chat.say("/reset"))
        self.assertEqual(chat.end("/exit\n"), 0)

    def test_with_interactive_each_line_of_a_pipe_is_a_question(self):
        done = self.rafter("run", self.model, "--interactive", "-n", "4", *GREEDY, stdin=None, input=b"hello\n/reset\nhello")
        self.assertEqual(done.stdout, self.answer_to("hello", "-n", "4") * 2)

    def test_a_model_without_a_template(self):
        """Chats with a default one and says so; a lone prompt is then the beginning of a text."""
        plain = self.folder / "plain.gguf"
        plain.write_bytes(pathlib.Path(self.model).read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.chat_templatx"))
        done = self.rafter("run", str(plain), "--chat", "-p", "hello", "-n", "2", "--json")
        self.assertIn("the model file has no chat template; using the built-in chatml template", done.stderr.decode())
        self.assertEqual(self.json_of("run", str(plain), "-p", "hello", "-n", "2")["prompt_tokens"],
                         self.json_of("run", self.model, "--raw", "-p", "hello", "-n", "2")["prompt_tokens"])

    def test_the_context_drops_its_oldest_turns_whole_and_says_so(self):
        chat = self.terminal("--logit-bias", "5=1000", "-n", "100", "--system", "be brief")
        said = [chat.say(f"question {i}") for i in range(8)]
        self.assertNotIn("context is full", said[0])
        dropped = [text for text in said if "the context is full: dropped the oldest question" in text]
        self.assertTrue(dropped, said)
        for text in dropped:
            self.assertEqual(text.count("context is full"), 1, text)
        self.assertFalse([text for text in said if "starts a new conversation" in text], said)
        file = self.folder / "dropped.json"
        self.assertIn("Saved 8 questions", chat.say(f"/save {file}"))
        self.assertEqual(chat.end("/exit\n"), 0)
        self.assertEqual(json.loads(file.read_text())["messages"][0], {"role": "system", "content": "be brief"})

    def test_an_answer_goes_on_when_old_turns_make_room_for_it(self):
        chat = self.terminal("--logit-bias", "5=1000", "-n", "250")
        chat.say("one")
        self.assertIn("(the context is full: dropped the oldest question and answer)", chat.say("two"))
        self.assertEqual(chat.end("/exit\n"), 0)
        answers = chat.out.split(b"\n")
        self.assertEqual(answers[0], answers[1], "250 tokens each")

    def test_a_question_too_long_for_the_context_costs_no_turns(self):
        chat = self.terminal("-n", "4")
        chat.say("hello")
        self.assertIn("the prompt is too long", chat.say("xy" * 900))
        self.assertIn("The last question and its answer are forgotten", chat.say("/undo"))
        self.assertEqual(chat.end("/exit\n"), 0)

    def test_words_that_end_it(self):
        for word in ("/exit ", "/bye", "/quit", " /exit", "/bye  "):
            chat = self.terminal("-n", "2")
            self.assertEqual(chat.end(word + "\n"), 0, word)
            self.assertEqual(chat.out, b"", word)

    def test_a_question_may_begin_with_a_path(self):
        for question in ("/etc/passwd says what?", "/tmp is full, why?", "/usr/bin", "/dev/null"):
            chat = self.terminal("-n", "4")
            chat.say(question)
            self.assertEqual(chat.end("/exit\n"), 0)
            self.assertEqual(chat.out, self.answer_to(question, "-n", "4"), question)
        chat = self.terminal("-n", "4")
        self.assertIn("/sytem: no such command, did you mean /system?", chat.say("/sytem be brief"))
        self.assertIn("/tmp: no such command", chat.say("/tmp"))
        self.assertEqual((chat.end("/exit\n"), chat.out), (0, b""))

    def test_pasted_lines_are_one_question(self):
        text = "Fix this code:\ndef f(x):\n    return x+\n\nprint(f(1))"
        for pasted in (text, text + "\n", text.replace("\n", "\r\n")):
            chat = self.terminal("-n", "4")
            chat.paste(pasted)
            chat.say("")
            self.assertEqual(chat.end("/exit\n"), 0)
            self.assertEqual(chat.out, self.answer_to(text, "-n", "4"))

    def test_text_pasted_during_an_answer_is_one_question(self):
        file = self.folder / "pasted.json"
        chat = self.terminal("-n", "200", "--logit-bias", "5=1000")
        chat.type("hello\n")
        chat.paste("a\nb\n\nc")
        chat.type("\n")
        chat.wait_for("c\r\n")
        chat.wait_for("> ")
        chat.say(f"/save {file}")
        self.assertEqual(chat.end("/exit\n"), 0)
        self.assertEqual([m["content"] for m in json.loads(file.read_text())["messages"] if m["role"] == "user"], ["hello", "a\nb\n\nc"])

    def test_a_terminal_that_obeys_no_sequences_gets_none(self):
        chat = Terminal(self.model, *GREEDY, "-n", "4", env={**self.environment, "TERM": "dumb"})
        chat.wait_for("> ")
        chat.say("hello")
        self.assertEqual(chat.end("/exit\n"), 0)
        self.assertNotIn(b"\x1b", chat.bytes)
        self.assertEqual(chat.out, self.answer_to("hello", "-n", "4"))

    def test_a_paste_may_be_edited_and_be_long(self):
        chat = self.terminal("-n", "4")
        chat.type("Say: ")
        chat.paste("a\nb")
        chat.say("c!")
        long = "".join(f"line {i} of many\n" for i in range(3000))
        chat.paste(long)
        self.assertRegex(" ".join(chat.say("").split()), r"too long: expected at most 399 tokens in a context of 400, found [\d,]{5,}")
        self.assertEqual(chat.end("/exit\n"), 0)
        self.assertEqual(chat.out, self.answer_to("Say: a\nbc!", "-n", "4"))

    def test_three_quotes_hold_several_lines(self):
        for typed in ('"""one\n\ntwo"""\n', '"""\none\n\ntwo\n"""\n', '"""one\n\ntwo\n"""\n'):
            chat = self.terminal("-n", "4")
            for line in typed.splitlines():
                chat.say(line)
            self.assertEqual(chat.end("/exit\n"), 0)
            self.assertIn(chat.out, (self.answer_to("one\n\ntwo", "-n", "4"), self.answer_to("one\n\ntwo\n", "-n", "4")), typed)

    def test_typed_ahead_text_waits_for_its_turn(self):
        chat = Terminal(self.model, "--context", "400", *GREEDY, "-n", "4", env={**self.environment, "TERM": "xterm"})
        chat.wait_for_bytes(b"\x1b[?2004h")
        chat.type("hello\nagain\n/reset\nhello\n/exit\n")  # while the model is loaded
        self.assertEqual(chat.end(), 0)
        alone = self.answer_to("hello", "-n", "4")
        self.assertTrue(chat.out.startswith(alone) and chat.out.endswith(alone), chat.out)
        for line in ("hello", "again", "/reset", "/exit"):
            self.assertIn("> " + line, chat.screen.replace("\r", ""), "shown where its turn is")
        self.assertEqual(chat.screen.count("again"), 1, chat.screen)

    def test_retry_and_undo(self):
        chat = Terminal(self.model, "--context", "400", "-n", "20", "--seed", "1", env={**self.environment, "TERM": "xterm"})
        chat.wait_for("> ")
        self.assertIn("There is no answer yet", chat.say("/retry"))
        self.assertIn("nothing to undo", chat.say("/undo"))
        for line in ("hello", "/retry", "/undo", "/stats"):
            shown = chat.say(line)
        self.assertRegex(shown, r"temperature 0\.8, top-p 0\.95, min-p 0\.05, seed \d+")
        self.assertIn("nothing to undo", chat.say("/undo"))
        self.assertEqual(chat.end("/exit\n"), 0)
        first = self.rafter("run", self.model, "--chat", "-p", "hello", "-n", "20", "--seed", "1").stdout
        self.assertTrue(chat.out.startswith(first))
        self.assertNotEqual(chat.out[len(first):], first)
        self.assertGreater(len(chat.out), len(first))

    def test_set_changes_options(self):
        chat = self.terminal("-n", "4")
        for line, words in {
            "/set temperature 0.5": "temperature is set: temperature 0.5",
            "/set --top_k=3": "top-k is set: temperature 0.5, top-k 3",
            "/set temp 0": "temperature is set: the likeliest token each time",
            "/set temperature 101": "temperature: expected a number from 0 to 100, found 101",
            "/set temprature 1": 'no option "temprature"; did you mean temperature?',
            "/set tokens 2": "tokens is set",
            "/set": "the defaults are those of rafter's defaults",
        }.items():
            self.assertIn(words, " ".join(chat.say(line).split()), line)
        chat.say("hello")
        self.assertEqual(chat.end("/exit\n"), 0)
        self.assertEqual(chat.out, self.answer_to("hello", "-n", "2"))

    def test_save_and_load(self):
        file = self.folder / "chat.json"
        file.unlink(missing_ok=True)
        chat = self.terminal("-n", "4", "--system", "be brief")
        self.assertIn("/save needs a file", chat.say("/save"))
        for line in ("hello", f"/save {file}", f"/save {file}", "more"):
            chat.say(line)
        self.assertIn("expected a new file or a saved conversation, found", chat.say(f"/save {self.model}"))
        self.assertEqual(chat.end("/exit\n"), 0)
        saved = json.loads(file.read_text())
        self.assertEqual([message["role"] for message in saved["messages"]], ["system", "user", "assistant"])
        self.rafter("template", self.model, "--messages", str(self.write_messages(saved)))
        other = self.terminal("-n", "4")
        self.assertIn("Loaded 1 question and its answer", other.say(f"/load {file}"))
        other.say("more")
        self.assertIn("cannot be read", other.say("/load nowhere.json"))
        self.assertEqual(other.end("/exit\n"), 0)
        self.assertTrue(chat.out.endswith(other.out), (chat.out, other.out))

    def write_messages(self, saved):
        path = self.folder / "messages.json"
        path.write_text(json.dumps(saved["messages"]))
        return path

    def test_lines_are_kept_for_later_runs(self):
        history = self.folder / "data" / "rafter" / "history"
        history.unlink(missing_ok=True)
        hidden = self.terminal("-n", "2", "--no-history")
        hidden.say("secret")
        hidden.end("/exit\n")
        self.assertFalse(history.exists())
        first = self.terminal("-n", "2")
        first.say("remember me")
        first.paste("two\nlines")
        first.say("")
        first.end("/exit\n")
        self.assertEqual(history.stat().st_mode & 0o777, 0o600)
        self.assertEqual(history.read_text(), "remember me\ntwo\\nlines\n/exit\n")
        second = self.terminal("-n", "2")
        second.type("\x1b[A\x1b[A\x1b[A")
        second.wait_for("remember me")
        second.say("")
        self.assertEqual(second.end("/exit\n"), 0)
        self.assertEqual(second.out, self.answer_to("remember me", "-n", "2"))

    def test_a_prompt_and_then_a_chat(self):
        chat = Terminal(self.model, "--context", "400", *GREEDY, "-n", "4", "-p", "hello", "--interactive", env={**self.environment, "TERM": "xterm"})
        chat.wait_for("> hello")
        chat.wait_for("> ")
        chat.say("/reset")
        chat.say("hello")
        self.assertEqual(chat.end("\x04"), 0)
        self.assertEqual(chat.out, self.answer_to("hello", "-n", "4") * 2)

    def test_the_greeting_names_the_model(self):
        named = self.folder / "SmolLM2-135M-Instruct-Q8_0.gguf"
        named.write_bytes(pathlib.Path(self.model).read_bytes())
        chat = Terminal(str(named), env={**self.environment, "TERM": "xterm"}, columns=200)
        self.assertIn("SmolLM2 135M Instruct, Q8_0, 512 tokens of context. /help lists the commands; Ctrl-D ends.", chat.wait_for("> "))
        self.assertEqual(chat.end("\x04"), 0)
        quiet = Terminal(str(named), "--quiet", env={**self.environment, "TERM": "xterm"})
        self.assertEqual(quiet.wait_for("> ").strip(), "")
        self.assertEqual(quiet.end("\x04"), 0)

    def test_the_terminal_is_given_back_as_it_was(self):
        for end in ("/exit\n", "\x04"):
            chat = self.terminal("-n", "2")
            self.assertEqual(chat.end(end), 0)
            self.assertEqual(chat.after, chat.before)
            self.assertTrue(chat.bytes.rstrip().endswith(b"\x1b[?2004l"), chat.bytes[-80:])
        for number in (15, 1):
            chat = self.terminal("-n", "2")
            chat.process.send_signal(number)
            self.assertEqual(chat.end(), -number)
            self.assertEqual(chat.after, chat.before)
            self.assertTrue(chat.bytes.endswith(b"\x1b[?2004l"), chat.bytes[-80:])


class Panes(program.Case):
    """What a person sees, at three widths."""

    def setUp(self):
        try:
            import pyte  # noqa: F401
        except ImportError:
            self.skipTest("no pyte: a terminal's screen cannot be told from its bytes")
        words = subprocess.run([program.BINARY, "tokenize", self.model], input=b" the", capture_output=True, check=True).stdout.split()
        self.word = words[-1].decode()

    def pane(self, columns, *lines, arguments=()):
        chat = Terminal(self.model, *GREEDY, "-n", "60", "--logit-bias", self.word + "=1000", *arguments,
                        env={**self.environment, "TERM": "xterm"}, columns=columns, rows=40, stdout_is_terminal=True)
        chat.wait_for("> ")
        for line in lines:
            chat.say(line)
        pane = chat.pane()
        self.assertEqual(chat.end("\x04"), 0)
        return pane

    def test_answers_and_notes_break_between_words(self):
        word = self.rafter("run", self.model, "--raw", "-p", "x", "-n", "1", "--logit-bias", self.word + "=1000").stdout.decode().strip()
        for columns in (30, 80, 200):
            pane = self.pane(columns, "hello", "/stats")
            text = "\n".join(pane)
            self.assertNotIn("Loading", text)
            self.assertLessEqual(max(map(len, pane)), columns)
            begin = next(i for i, line in enumerate(pane) if line.startswith("> hello"))
            end = next(i for i, line in enumerate(pane) if line.startswith("> /stats"))
            answer = pane[begin + 1 : end]
            self.assertEqual(set(" ".join(answer).split()), {word}, answer)
            self.assertEqual(len(" ".join(answer).split()), 60, answer)
            for line in answer[:-1]:
                self.assertGreater(len(line) + 1 + len(word), columns, "as much as fits")
            for whole in ("generated", "tokens", "context", "likeliest"):
                self.assertIn(whole, text.split() if columns == 30 else text, columns)


if __name__ == "__main__":
    program.main()
