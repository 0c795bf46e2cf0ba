"""Where the server listens: addresses, names, unix sockets, TLS; and what it says when it cannot."""
import json
import os
import socket
import ssl
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import echo

GET = "GET /echo HTTP/1.1\r\nhost: x\r\n\r\n"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


class Case(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def expect_failure(self, words, **options):
        with self.assertRaises(AssertionError) as failed:
            echo.Server(**options)
        self.assertIn(words, str(failed.exception))
        self.assertEqual(str(failed.exception).count("\n"), 1)


class Tcp(Case):
    def test_an_address_in_use_is_named(self):
        with echo.Server() as server:
            self.expect_failure(f"127.0.0.1:{server.port}: address already in use", port=server.port)

    def test_hosts_are_names_or_addresses(self):
        hosts = {"127.0.0.1": "http://127.0.0.1:", "localhost": "http://", "0.0.0.0": "http://0.0.0.0:"}
        if has_ipv6():
            hosts |= {"::1": "http://[::1]:", "[::1]": "http://[::1]:", "::": "http://[::]:"}
        for host, start in hosts.items():
            with self.subTest(host), echo.Server(host=host) as server:
                for address in server.addresses:
                    self.assertTrue(address.startswith(start), address)
                    self.assertTrue(address.endswith(f":{server.port}"), address)
                to = "::1" if host.strip("[]") == "::1" else "127.0.0.1"
                with echo.Client(socket.create_connection((to, server.port))) as client:
                    self.assertEqual(json.loads(client.ask(GET).body)["client"], to)
                    client.ask("POST /stop HTTP/1.1\r\nhost: x\r\n\r\n")
                server.process.wait(echo.PATIENCE_S)

    def test_names_and_ports_that_cannot_be_are_errors(self):
        self.expect_failure("no-such-host.invalid", host="no-such-host.invalid")
        self.expect_failure("nowhere to listen", port="")

    def test_a_port_is_free_again_at_once(self):
        with echo.Server() as server:
            self.assertEqual(server.get("/hello").status, 200)
            port = server.port
        with echo.Server(port=port) as server:
            self.assertEqual(server.get("/hello").status, 200)


class Unix(Case):
    def connect(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(echo.PATIENCE_S)
        sock.connect(str(path))
        return echo.Client(sock)

    def test_a_unix_socket_serves_its_owner_and_group_and_goes_with_the_server(self):
        path = self.folder / "s"
        previous = os.umask(0)
        try:
            server = echo.Server(unix_socket=path)
        finally:
            os.umask(previous)
        with server:
            self.assertEqual(server.addresses[1], f"unix:{path}")
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o660)
            with self.connect(path) as client:
                self.assertEqual(json.loads(client.ask(GET).body)["client"], "unix")
                client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
                server.wait_for(self, exchanges=2)
            server.wait_for(self, exchanges=1)  # gone is noticed here as well
        self.assertFalse(path.exists())

    def test_without_tcp(self):
        path = self.folder / "s"
        server = echo.Server(unix_socket=path, port="")
        self.assertEqual(server.addresses, [f"unix:{path}"])
        with self.connect(path) as client:
            self.assertEqual(client.ask("POST /stop HTTP/1.1\r\nhost: x\r\n\r\n").status, 200)
        self.assertEqual(server.process.wait(echo.PATIENCE_S), 0)
        server.process.communicate()

    def test_a_stale_socket_is_replaced_and_one_in_use_is_not(self):
        path = self.folder / "s"
        server = echo.Server(unix_socket=path)
        server.process.kill()
        server.process.communicate()
        self.assertTrue(path.exists())
        with echo.Server(unix_socket=path) as second:
            self.expect_failure(f"unix:{path}: address already in use", unix_socket=path)
            with self.connect(path) as client:
                self.assertEqual(client.ask(GET).status, 200)
            self.assertEqual(second.get("/hello").status, 200)

    def test_what_is_no_socket_is_left_alone(self):
        path = self.folder / "s"
        path.write_text("precious", encoding="ascii")
        self.expect_failure(f"unix:{path}: exists and is no socket", unix_socket=path)
        self.assertEqual(path.read_text(encoding="ascii"), "precious")
        link = self.folder / "link"
        link.symlink_to(self.folder / "target")
        self.expect_failure("exists and is no socket", unix_socket=link)
        self.expect_failure("no such file or directory", unix_socket=self.folder / "missing" / "s")
        self.expect_failure("expected at most", unix_socket=self.folder / ("s" * 200))

    def test_stop_accepting_frees_the_name(self):
        path = self.folder / "s"
        server = echo.Server(unix_socket=path)
        with self.connect(path) as client:
            client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            server.wait_for(self, exchanges=2)
            with server.connect() as control:
                control.ask("GET /drain HTTP/1.1\r\nhost: x\r\n\r\n")
            with echo.Server(unix_socket=path):
                pass
        server.process.kill()
        server.process.communicate()


class Tls(Case):
    def setUp(self):
        super().setUp()
        self.cert, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        self.make("first")

    def make(self, name, key=None):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key or self.key, "-out", self.cert], check=True, capture_output=True)

    def options(self):
        return {"tls_cert_file": self.cert, "tls_key_file": self.key}

    def connect(self, server, **versions):
        context = ssl.create_default_context(cafile=str(self.cert))
        context.set_alpn_protocols(["h2", "http/1.1"])
        for name, version in versions.items():
            setattr(context, name, version)
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=echo.PATIENCE_S)
        return echo.Client(context.wrap_socket(sock, server_hostname="127.0.0.1"))

    def stop(self, server):
        with self.connect(server) as client:
            client.ask("POST /stop HTTP/1.1\r\nhost: x\r\n\r\n")
        self.assertEqual(server.process.wait(echo.PATIENCE_S), 0)
        server.process.communicate()

    def test_requests_events_and_large_answers(self):
        server = echo.Server(**self.options())
        self.assertTrue(server.addresses[0].startswith("https://127.0.0.1:"))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.connect(server, minimum_version=version, maximum_version=version) as client:
                self.assertEqual(json.loads(client.ask(GET).body)["secure"], True)
                body = "a" * 300_000
                answer = client.ask(f"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}")
                self.assertEqual(json.loads(answer.body)["body"], body)
                self.assertEqual(len(client.ask("GET /big?bytes=3000000 HTTP/1.1\r\nhost: x\r\n\r\n").body), 3_000_000)
                for ms in (0, 1):
                    self.assertEqual(client.ask(f"GET /events?n=100&ms={ms} HTTP/1.1\r\nhost: x\r\n\r\n").body.count(b"event: "), 100)
                client.send("".join(GET for _ in range(50)))
                self.assertEqual([client.answer().status for _ in range(50)], [200] * 50)
                self.assertEqual(client.ask("GARBAGE\r\n\r\n").status, 400)
                self.assertTrue(client.closed())  # by TLS's own end: Python raises otherwise
        self.stop(server)

    def test_who_goes_away_or_stalls_is_noticed(self):
        server = echo.Server(**self.options(), max_unread_bytes=100_000, unix_socket=self.folder / "s")

        def counters():
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(self.folder / "s"))
            with echo.Client(sock) as client:
                return json.loads(client.ask("GET /counters HTTP/1.1\r\nhost: x\r\n\r\n").body)

        def wait_for(**expected):
            end = time.monotonic() + echo.PATIENCE_S
            while (found := {name: value for name, value in counters().items() if name in expected}) != expected and time.monotonic() < end:
                time.sleep(0.01)
            self.assertEqual(found, expected)

        with self.connect(server) as client:
            client.send("GET /events?n=1&ms=1000000 HTTP/1.1\r\nhost: x\r\n\r\n")
            wait_for(exchanges=2)
        wait_for(exchanges=1, closed=1, connections=1)
        with self.connect(server) as client:
            client.send("GET /events?n=100000&ms=1&bytes=10000 HTTP/1.1\r\nhost: x\r\n\r\n")
            wait_for(exchanges=1, stalled=1)
        self.stop(server)

    def test_old_versions_and_plain_text_get_no_further(self):
        server = echo.Server(**self.options(), header_seconds=1)
        with self.assertRaises((ssl.SSLError, ConnectionResetError)):
            self.connect(server, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
        with server.connect() as plain:
            plain.send(GET)
            while plain.more():
                pass
            self.assertNotIn(b"HTTP/1.1 200", plain.read)
        with server.connect() as silent:  # a handshake that does not begin ends in time
            self.assertTrue(silent.closed())
        self.stop(server)

    def test_a_new_certificate_is_for_new_connections_and_a_broken_one_for_none(self):
        server = echo.Server(**self.options())
        reload = "GET /reload HTTP/1.1\r\nhost: x\r\n\r\n"
        with self.connect(server) as old:
            first = old.sock.getpeercert(binary_form=True)
            self.cert.write_text("nonsense", encoding="ascii")
            answer = old.ask(reload)
            self.assertEqual(answer.status, 500)
            self.assertIn(f"{self.cert}: expected a certificate in PEM", answer.body.decode())
            self.make("second")
            self.assertEqual(old.ask(reload).body, b"ok")
            with self.connect(server) as new:
                self.assertNotEqual(new.sock.getpeercert(binary_form=True), first)
            self.assertEqual(old.ask(GET).status, 200)
        self.stop(server)

    def test_errors_name_the_file(self):
        missing = self.folder / "missing.pem"
        self.expect_failure(str(missing), tls_cert_file=missing, tls_key_file=self.key)
        self.expect_failure(str(missing), tls_cert_file=self.cert, tls_key_file=missing)
        self.expect_failure("TLS: expected a file with the key", tls_cert_file=self.cert)
        self.expect_failure("TLS: expected a file with the certificate", tls_key_file=self.key)
        other = self.folder / "other.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", other], check=True, capture_output=True)
        self.expect_failure(str(other), tls_cert_file=self.cert, tls_key_file=other)
        locked = self.folder / "locked.pem"
        subprocess.run(["openssl", "pkey", "-in", self.key, "-aes256", "-passout", "pass:secret", "-out", locked], check=True, capture_output=True)
        self.expect_failure(str(locked), tls_cert_file=self.cert, tls_key_file=locked)


if __name__ == "__main__":
    echo.main()
