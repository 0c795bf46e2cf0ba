"""A pseudo-terminal for the tests of the chat: what it is typed, what it shows."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import program


class Terminal:
    """The program with standard input and error on a terminal, and standard output in a pipe, or on the terminal too."""

    def __init__(self, *arguments, env, columns=80, rows=24, stdout_is_terminal=False):
        self.columns, self.rows = columns, rows
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen([program.BINARY, "run", *arguments], stdin=slave, stdout=slave if stdout_is_terminal else subprocess.PIPE,
                                        stderr=slave, env=env, preexec_fn=lambda: take_terminal(slave))
        self.slave = slave  # kept open, so that what the program leaves can be looked at
        self.screen = ""  # what the terminal showed since the last wait_for
        self.bytes = b""  # all that it was sent
        self.out = b""

    def type(self, text):
        os.write(self.master, text.encode())

    def paste(self, text):
        """As a terminal in bracketed-paste mode sends it."""
        assert b"\x1b[?2004h" in self.bytes, self.bytes
        sent = ("\x1b[200~" + (text if "\r" in text else text.replace("\n", "\r")) + "\x1b[201~").encode()
        while sent:  # read what it shows meanwhile, or both would wait
            _, ready, _ = select.select([], [self.master], [], 0)
            if ready:
                sent = sent[os.write(self.master, sent[:1024]):]
            self.read(0.001)

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

    def wait_for_bytes(self, sequence, timeout=60):
        deadline = time.monotonic() + timeout
        while sequence not in self.bytes and time.monotonic() < deadline:
            self.read()

    def read(self, timeout=0.2):
        """Whether there was anything."""
        sources = [self.master] + ([self.process.stdout] if self.process.stdout else [])
        ready, _, _ = select.select(sources, [], [], timeout)
        if self.master in ready:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the terminal is gone with its last user
                time.sleep(0.01)
                data = b""
            self.bytes += data
            self.screen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))
        if self.process.stdout in ready:
            self.out += os.read(self.process.stdout.fileno(), 65536)
        return bool(ready)

    def master_has_more(self):
        return bool(select.select([self.master], [], [], 0)[0])

    def pane(self):
        """The screen's lines as a person sees them now."""
        import pyte

        screen = pyte.HistoryScreen(self.columns, self.rows, history=1000, ratio=0.5)
        pyte.ByteStream(screen).feed(self.bytes)
        above = ["".join(line[column].data for column in range(self.columns)) for line in screen.history.top]
        return [line.rstrip() for line in above + screen.display]

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
        while self.master_has_more():
            self.read(0)
        if self.process.stdout:
            self.out += self.process.stdout.read()
            self.process.stdout.close()
        self.after = termios.tcgetattr(self.slave)
        os.close(self.slave)
        os.close(self.master)
        return status


def take_terminal(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
