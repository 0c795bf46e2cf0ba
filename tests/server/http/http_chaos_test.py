"""Many clients that do anything at any time: in the end nothing is open, nothing has grown, and the server answers."""
import random
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import echo

N_THREADS = 8
SECONDS = 2


class Chaos(unittest.TestCase):
    def requests(self, rng):
        """Bytes of one to three requests, whole or not, right or wrong."""
        makers = (
            lambda: "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n",
            lambda: f"GET /events?n={rng.randrange(50)}&bytes={rng.randrange(2000)}&ms={rng.randrange(3)} HTTP/1.{rng.randrange(2)}\r\nhost: x\r\n\r\n",
            lambda: f"GET /big?bytes={rng.randrange(3_000_000)} HTTP/1.1\r\nhost: x\r\n\r\n",
            lambda: "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n",
            lambda: "POST /release HTTP/1.1\r\nhost: x\r\n\r\n",
            lambda: f"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {n}\r\n\r\n" + "b" * rng.choice((n, n // 2)) if (n := rng.randrange(200_000)) else "",
            lambda: "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + "a\r\n0123456789\r\n" * rng.randrange(100) + "0\r\n\r\n",
            lambda: f"GET /{rng.choice(('throw', 'throw-late', 'drop', 'drop-late', 'twice', 'nothing'))} HTTP/1.1\r\nhost: x\r\n\r\n",
            lambda: "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            lambda: "".join(chr(rng.randrange(256)) for _ in range(rng.randrange(100))),
        )
        return "".join(rng.choice(makers)() for _ in range(rng.randrange(1, 4)))

    def one_client(self, rng, connect):
        with connect() as client:
            client.sock.settimeout(rng.choice((0.01, 0.05, 0.2)))
            for _ in range(rng.randrange(1, 4)):
                data = self.requests(rng)
                client.send(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data)
                way = rng.random()
                if way < 0.3:
                    client.more()
                elif way < 0.6:
                    while client.more():
                        client.read.clear()
                elif way < 0.7:
                    client.sock.shutdown(socket.SHUT_WR)
                elif way < 0.8:
                    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return

    def run_clients(self, connect, seed, failures):
        rng = random.Random(seed)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                self.one_client(rng, connect)
            except (OSError, EOFError):
                pass  # it was cut off, or gave up waiting
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(failure)
                return

    def test_everything_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            key, cert, path = Path(folder, "key"), Path(folder, "cert"), Path(folder, "socket")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=x",
                            "-keyout", key, "-out", cert], check=True, capture_output=True)
            for tls in ({}, {"tls_cert_file": cert, "tls_key_file": key}):
                with self.subTest(tls=bool(tls)):
                    server = echo.Server(unix_socket=path, max_connections=20, max_unread_bytes=50_000, max_stalled_seconds=0.1, idle_seconds=2, heartbeat_seconds=0.05, **tls)
                    context = ssl._create_unverified_context()  # pylint: disable=protected-access

                    def by_tcp(port=server.port, tls=tls, context=context):
                        sock = socket.create_connection(("127.0.0.1", port), timeout=1)
                        return echo.Client(context.wrap_socket(sock) if tls else sock)

                    def by_unix():
                        sock = socket.socket(socket.AF_UNIX)
                        sock.settimeout(echo.PATIENCE_S)
                        sock.connect(str(path))
                        return echo.Client(sock)

                    failures = []
                    threads = [threading.Thread(target=self.run_clients, args=(by_unix if i % 4 == 0 else by_tcp, i, failures)) for i in range(N_THREADS)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
                    self.assertEqual(failures, [])
                    server.connect = by_unix
                    server.get("/release")
                    server.wait_for(self, exchanges=1, connections=1)
                    counters = server.counters()
                    self.assertGreater(counters["accepted"], 10)
                    self.assertEqual(server.get("/hello").body, b"hello")
                    server.__exit__(None, None, None)


if __name__ == "__main__":
    echo.main()
