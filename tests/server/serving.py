"""A `rafter serve` of its own for a test: starts it, says where it is, ends it and looks at how it ended. Standard library only."""
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "apps"))
import program  # noqa: E402

PATIENCE = 300 if program.SANITIZED else 60  # seconds for what takes an instant on an idle machine


class Server:
    """The program's first line of output says the address. What it wrote to standard error is in `log`."""

    def __init__(self, model, *arguments, environment=None, limits=None):
        command = [program.BINARY, "serve", str(model), "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment, preexec_fn=limits, text=True)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        first = self.process.stdout.readline()
        watchdog.cancel()
        if not first.startswith("Listening on "):
            self.process.kill()
            self.process.wait()
            self.reader.join()
            raise AssertionError(f"expected \"Listening on\", found {first!r}; {self.log}")
        self.url = first.split()[2]
        self.host, _, port = self.url.split("//")[-1].rpartition(":")
        self.port = int(port) if port.isdigit() else 0

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def log(self):
        return "".join(self.lines)

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, body): JSON where it says so."""
        connection = self.connect()
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            content = answer.read()
            if answer.headers.get("Content-Type", "").startswith("application/json") and content:
                content = json.loads(content)
            return answer.status, answer.headers, content
        finally:
            connection.close()

    def post(self, path, **body):
        return self.ask("POST", path, body)

    def get(self, path, **headers):
        return self.ask("GET", path, None, headers)

    def events(self, path, **body):
        """The data of each event of a stream, as JSON but for [DONE]."""
        connection = self.connect()
        try:
            connection.request("POST", path, json.dumps({**body, "stream": True}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            for line in answer:
                if line.startswith(b"data: "):
                    data = line[6:].strip()
                    yield "[DONE]" if data == b"[DONE]" else json.loads(data)
        finally:
            connection.close()

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, how=signal.SIGTERM):
        """The exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self.reader.join(PATIENCE)
            self.process.stderr.close()
        return status


class Case(program.Case):
    """One server of the tiny model for all tests of a class; `arguments` are its own."""
    arguments = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls.model, *cls.arguments, environment=cls.environment)

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        super().tearDownClass()
        assert status == 0, f"exit status {status}: {cls.server.log}"


def main():
    unittest.main(module="__main__", verbosity=1, warnings="ignore")
