"""The interactive chat, typed at through a pseudo-terminal: commands, history, Ctrl-C and Ctrl-D; and as a filter in a pipe."""
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import time

import program


class Terminal:
    """The program with standard input and error on a terminal, and standard output in a pipe."""

    def __init__(self, *arguments, env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([program.BINARY, "run", *arguments], stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=env,
                                        preexec_fn=lambda: take_terminal(slave))
        os.close(slave)
        self.screen = ""  # what the terminal showed since the last wait_for
        self.out = b""

    def type(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, words, timeout=60):
        """Reads both ends until the screen shows the words; gives what it showed up to them."""
        deadline = time.monotonic() + timeout
        while words not in self.screen:
            if time.monotonic() > deadline:
                raise AssertionError(f"no {words!r} in {self.screen!r}")
            self.read()
        shown, self.screen = self.screen.split(words, 1)
        return shown

    def say(self, line):
        """Types a line at the prompt; gives what the terminal showed until the next one."""
        self.type(line + "\n")
        return self.wait_for("> ")

    def wait_for_text(self, n, timeout=60):
        deadline = time.monotonic() + timeout
        while len(self.out) < n and time.monotonic() < deadline:
            self.read()

    def read(self):
        ready, _, _ = select.select([self.master, self.process.stdout], [], [], 0.2)
        if self.master in ready:
            try:
                self.screen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(self.master, 65536).decode(errors="replace"))
            except OSError:  # the terminal is gone with its last user
                time.sleep(0.01)
        if self.process.stdout in ready:
            self.out += os.read(self.process.stdout.fileno(), 65536)

    def end(self, last="", timeout=60):
        """Types the last words and waits until the program has ended; gives its exit status."""
        self.type(last)
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
        status = self.process.poll()
        if status is None:
            self.process.kill()
            self.process.wait()
        self.out += self.process.stdout.read()
        self.process.stdout.close()
        os.close(self.master)
        return status


def take_terminal(slave):
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Chat(program.Case):
    def terminal(self, *arguments, model=None):
        terminal = Terminal(model or self.model, "--context", "400", *arguments, env={**self.environment, "TERM": "xterm"})
        terminal.wait_for("> ")
        return terminal

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
        first = self.rafter("run", self.model, "--chat", "-p", "hello", *options).stdout
        self.assertTrue(chat.out.startswith(first + b"\n"), chat.out)

    def test_commands(self):
        chat = self.terminal("-n", "4")
        self.assertIn("/system TEXT", chat.say("/help"))
        self.assertIn("/nonsense: no such command", chat.say("/nonsense"))
        chat.say("hello")
        self.assertIn("forgotten", chat.say("/reset"))
        self.assertIn("system message is set", chat.say("/system be brief"))
        chat.say("hello")
        self.assertEqual(chat.end("\x04"), 0)
        system = self.rafter("run", self.model, "--chat", "-p", "hello", "-n", "4", "--system", "be brief").stdout
        plain = self.rafter("run", self.model, "--chat", "-p", "hello", "-n", "4").stdout
        self.assertEqual(chat.out, plain + b"\n" + system + b"\n")

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
        self.assertEqual(chat.out, self.rafter("run", self.model, "--chat", "-p", "one\ntwo", "-n", "4").stdout + b"\n")

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
        self.assertEqual(chat.out, self.rafter("run", self.model, "--chat", "-p", "hello", "-n", "4").stdout + b"\n")

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
        chat = self.terminal("--logit-bias", "5=1000")
        self.assertIn("the context is full", chat.say("hello"))
        self.assertIn("(/reset starts anew)", chat.say("more"))
        self.assertIn("forgotten", chat.say("/reset"))
        self.assertEqual(chat.end("/exit\n"), 0)

    def test_in_a_pipe_each_line_is_a_question(self):
        done = self.rafter("run", self.model, "-n", "4", stdin=None, input=b"hello\n/reset\nhello")
        answer = self.rafter("run", self.model, "--chat", "-p", "hello", "-n", "4").stdout + b"\n"
        self.assertEqual(done.stdout, answer * 2)

    def test_a_model_without_a_template(self):
        """Chats with a default one and says so; a lone prompt is then the beginning of a text."""
        plain = self.folder / "plain.gguf"
        plain.write_bytes(pathlib.Path(self.model).read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.chat_templatx"))
        done = self.rafter("run", str(plain), "--chat", "-p", "hello", "-n", "2", "--json")
        self.assertIn("the model file has no chat template; using the built-in chatml template", done.stderr.decode())
        self.assertEqual(self.json_of("run", str(plain), "-p", "hello", "-n", "2")["prompt_tokens"],
                         self.json_of("run", self.model, "--raw", "-p", "hello", "-n", "2")["prompt_tokens"])


if __name__ == "__main__":
    program.main()
