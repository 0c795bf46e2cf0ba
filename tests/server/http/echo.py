"""The server that the HTTP tests talk to (tests/tools/http_echo), and a client that sends and reads plain bytes. Standard library only."""
import json
import os
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD_DIR = Path(os.environ.get("RAFTER_BUILD_DIR", ROOT / "build" / "release"))
PROGRAM = BUILD_DIR / "tests" / "tools" / "http_echo"
SANITIZED = os.environ.get("RAFTER_SANITIZE", "")  # many times slower, and larger
PATIENCE_S = 20  # for what must happen soon, on a machine that may be busy


class Server:
    """One http_echo. As a context: ended at the end, and it must end by itself then."""

    def __init__(self, preexec=None, wrapper=(), **options):
        command = [*wrapper, str(PROGRAM), *(f"{name}={value}" for name, value in options.items())]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=preexec)
        self.addresses = []
        for line in self.process.stdout:
            if line.strip() == "ready":
                break
            self.addresses.append(line.strip())
        else:
            raise AssertionError(self.process.communicate()[1])
        tcp = [address for address in self.addresses if address.startswith("http")]
        self.port = int(tcp[0].rsplit(":", 1)[1]) if tcp else None

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.process.poll() is None:
            self.get("/stop")
        try:
            _, self.errors = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()
            self.process.stderr.close()
        if failure[0] is None and self.process.returncode != 0:
            raise AssertionError(f"http_echo ended with {self.process.returncode}: {self.errors}")

    def connect(self, receive_buffer=None):
        return Client(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S), receive_buffer)

    def get(self, target):
        with self.connect() as client:
            return client.ask(f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n")

    def counters(self):
        return json.loads(self.get("/counters").body)

    def wait_for(self, case, **expected):
        """Until the counters are as expected. Counting asks too: one connection and one exchange are its own."""
        end = time.monotonic() + PATIENCE_S
        while True:
            found = {name: value for name, value in self.counters().items() if name in expected}
            if found == expected or time.monotonic() > end:
                case.assertEqual(found, expected)
                return
            time.sleep(0.01)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def error(self):
        """The message of an error in OpenAI's form."""
        error = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        return error["message"]


class Client:
    """A socket and what has been read from it and not used."""

    def __init__(self, sock, receive_buffer=None):
        self.sock = sock
        self.read = bytearray()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def more(self):
        """Reads once; False: the other side has closed."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            return False
        self.read += data
        return bool(data)

    def until(self, end):
        while end not in self.read:
            if not self.more():
                raise EOFError(f"closed before {end!r}, after {self.read[-200:]!r}")
        return self.exactly(self.read.index(end), skip=len(end))

    def exactly(self, n, skip=0):
        while len(self.read) < n:
            if not self.more():
                raise EOFError(f"closed after {len(self.read)} of {n} bytes")
        taken = bytes(self.read[:n])
        del self.read[: n + skip]
        return taken

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name not in headers, f"{name} twice"
            headers[name] = value
        return int(lines[0].split(" ")[1]), headers

    def chunk(self):
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def answer(self, method="GET"):
        status, headers = self.head()
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while part := self.chunk():
                body += part
        elif method != "HEAD":
            body = self.exactly(int(headers.get("content-length", 0)))
        return Answer(status, headers, body)

    def ask(self, data):
        self.send(data)
        return self.answer()

    def closed(self):
        """Waits for the other side to close; False: something came first."""
        try:
            return not self.read and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


def main():
    if not PROGRAM.exists():
        print(f"{PROGRAM}: not built")
        sys.exit(77)
    unittest.main(warnings="ignore")  # of sockets that are left to the garbage collector
