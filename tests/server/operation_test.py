"""How the server lives and ends: signals, draining, sockets and TLS, refusals when busy, a full disk, no file descriptors, kill -9."""
import http.client
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

import serving
from serving import Server

LONG = {"prompt": "once", "max_tokens": 3000, "ignore_eos": True, "temperature": 0}


def wait_until(condition, what):
    deadline = time.monotonic() + serving.PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)


class Operation(serving.program.Case):
    def serve(self, *arguments, **options):
        server = Server(self.model, *arguments, environment=self.environment, **options)
        self.addCleanup(lambda: server.process.poll() is not None or server.process.kill())
        return server

    def test_sigterm_drains_what_is_under_way(self):
        server = self.serve("--drain-seconds", "200")
        answers = []
        body = {**LONG, "max_tokens": 300}
        threads = [threading.Thread(target=lambda: answers.append(server.post("/v1/completions", **body))) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: server.get("/load")[2]["n_running"] == 4 or answers, "4 running requests")
        self.assertEqual(server.stop(), 0)
        for thread in threads:
            thread.join()
        self.assertEqual([status for status, _, _ in answers], [200] * 4)
        self.assertEqual({body["usage"]["completion_tokens"] for _, _, body in answers}, {300})

    def test_a_drain_that_takes_too_long_ends_answers_with_what_they_have(self):
        server = self.serve("--drain-seconds", "0.2")
        events = server.events("/v1/completions", **LONG)
        next(events)
        server.process.send_signal(signal.SIGTERM)
        last = list(events)
        self.assertEqual(server.stop(), 0)
        self.assertTrue(last[-1] == "[DONE]" or "error" in last[-1] or last, last[-1:])

    def test_it_ends_well_while_large_bodies_are_parsed(self):
        for _ in range(3):
            server = self.serve("--drain-seconds", "0.05")
            body = {"prompt": "a", "max_tokens": 400, "user": "x" * 6_000_000}
            threads = [threading.Thread(target=self.ask_quietly, args=(server, body)) for _ in range(6)]
            for thread in threads:
                thread.start()
            time.sleep(0.1)
            self.assertEqual(server.stop(), 0)
            for thread in threads:
                thread.join()

    @staticmethod
    def ask_quietly(server, body):
        try:
            server.post("/v1/completions", **body)
        except (OSError, http.client.HTTPException):
            pass

    def test_two_signals_end_at_once(self):
        server = self.serve("--drain-seconds", "1000")
        events = server.events("/v1/completions", **LONG)
        next(events)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in server.log, "the first signal")
        self.assertEqual(server.stop(signal.SIGTERM), 0)

    def test_kill_and_restart_on_the_same_port(self):
        server = self.serve()
        events = server.events("/v1/completions", **LONG)
        next(events)
        server.stop(signal.SIGKILL)
        again = Server.__new__(Server)
        Server.__init__(again, self.model, "--port", str(server.port), environment=self.environment)
        try:
            self.assertEqual(again.port, server.port)
            self.assertEqual(again.get("/health")[0], 200)
        finally:
            self.assertEqual(again.stop(), 0)

    def test_a_unix_socket_serves_and_is_gone_afterwards(self):
        path = str(self.folder / "rafter.sock")
        for _ in range(2):  # the second finds a stale socket, as after kill -9
            command = [serving.program.BINARY, "serve", self.model, "--unix-socket", path]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.environment, text=True)
            self.assertEqual(process.stdout.readline().split(" · ")[0], f"Listening on unix:{path}")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertIn(b"200", client.recv(1000))
            process.kill() if _ == 0 else process.terminate()
            process.wait(serving.PATIENCE)
            process.stdout.close()
        self.assertFalse(os.path.exists(path))

    def test_tls_serves_and_its_certificate_is_replaced(self):
        cert, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")

        def make(name):
            done = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1",
                                   "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True)
            if done.returncode != 0:
                self.skipTest("no openssl to make a certificate")

        make("first")
        server = self.serve("--tls-cert", cert, "--tls-key", key)
        self.assertTrue(server.url.startswith("https://"))

        def serial():
            context = ssl.create_default_context(cafile=cert)
            with socket.create_connection((server.host, server.port), timeout=serving.PATIENCE) as plain:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
                    secure.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    self.assertIn(b" 200 ", secure.recv(1000))
                    return secure.getpeercert()["serialNumber"]

        first = serial()
        make("second")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "certificate" in server.log, "the new certificate")
        self.assertNotEqual(serial(), first)
        self.assertEqual(server.stop(), 0)

    def test_a_full_queue_is_429_with_a_time_to_come_back(self):
        server = self.serve("--batch", "1", "--max-queue", "64")
        connection = server.connect()
        connection.request("POST", "/v1/completions", json.dumps({**LONG, "n": 60}), {"Content-Type": "application/json"})
        wait_until(lambda: server.get("/load")[2]["n_queued"] > 30, "a long queue")
        status, headers, body = server.post("/v1/completions", **{**LONG, "n": 60})
        self.assertEqual(status, 429)
        self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        self.assertEqual(body["error"]["type"], "rate_limit_error")
        self.assertEqual(server.get("/health")[0], 200)
        connection.close()
        wait_until(lambda: server.get("/load")[2]["n_running"] == 0, "the end of what nobody wants")
        self.assertEqual(server.post("/v1/completions", prompt="a", max_tokens=1)[0], 200)
        self.assertEqual(server.stop(), 0)

    def test_a_length_beyond_the_context_makes_no_prediction_longer(self):
        server = self.serve("--batch", "1")
        first = server.post("/v1/completions", **{**LONG, "max_tokens": 4_294_967_295})[2]
        self.assertLess(first["timings"]["predicted_last_token_seconds"], 60 * (20 if serving.program.SANITIZED else 1))
        self.assertEqual(first["usage"]["total_tokens"], 512)
        self.assertEqual(server.stop(), 0)

    def test_a_first_token_that_would_come_too_late_is_refused(self):
        server = self.serve()
        status, headers, body = server.post("/v1/completions", **{**LONG, "prompt": "word " * 90, "max_ttft_seconds": 0.001})
        self.assertEqual(status, 429, body)
        self.assertIn("seconds", body["error"]["message"])
        self.assertEqual(server.stop(), 0)

    def test_a_log_on_a_full_disk_loses_lines_and_nothing_else(self):
        server = self.serve("--log-file", "/dev/full")
        for _ in range(20):
            self.assertEqual(server.post("/v1/completions", prompt="a", max_tokens=1)[0], 200)
        wait_until(lambda: "/dev/full" in server.log, "a word on the full disk")
        self.assertLessEqual(server.log.count("/dev/full"), 2)
        self.assertEqual(server.stop(), 0)

    def test_a_log_of_json_lines_has_no_prompt(self):
        path = self.folder / "log.jsonl"
        server = self.serve("--log-file", str(path), "--log-format", "json")
        server.post("/v1/completions", prompt="a secret prompt", max_tokens=1)
        server.ask("POST", "/v1/completions", b'{"prompt": "secret', None)
        bad = [{"prompt": "a", "top_p": "secret"}, {"prompt": {"secret": 1}}, {"prompt": "a", "guided_regex": "(secret"}, {"prompt": "a", "grammar": "root ::= secret"},
               {"prompt": "a", "guided_json": {"properties": {"secret": {"type": "secret"}}}}, {"prompt": "a", "guided_json": {"secret": 1}},
               {"prompt": "a", "guided_choice": ["secret", 1]}, {"prompt": "a", "structured_outputs": {"secret": 1}},
               {"prompt": "a", "suffix": "secret"},
               {"prompt": "a", "logit_bias": {"secret": 1}}, {"prompt": "a", "stop": [{"secret": "secret"}]}, {"prompt": "a", "n": ["secret"]},
               {"prompt": "a", "tools": [{"secret": 1}]}, {"prompt": ["secret", 1]}, {"prompt": "a", "response_format": {"type": "secret"}}]
        for body in bad:
            self.assertEqual(server.post("/v1/completions", **body)[0], 400, body)
        self.assertEqual(server.stop(), 0)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual([line["status"] for line in lines], [200, 400] + [400] * len(bad))
        self.assertNotIn("secret", path.read_text())

    @unittest.skipIf(serving.program.SANITIZED, "UBSan's checks of types open pipes, which this test leaves no descriptors for")
    def test_without_file_descriptors_it_serves_on_later(self):
        server = self.serve(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)))
        held = []
        for _ in range(80):
            connection = socket.socket()
            connection.settimeout(1)
            try:
                connection.connect((server.host, server.port))
            except OSError:
                connection.close()
                break
            held.append(connection)
        time.sleep(0.3)
        before = server.cpu_seconds()
        time.sleep(1.0)
        self.assertLess(server.cpu_seconds() - before, 0.5 if not serving.program.SANITIZED else 1.0)  # it does not spin
        for connection in held:
            connection.close()
        wait_until(lambda: self.answers(server), "a connection that is served again")
        self.assertEqual(server.stop(), 0)

    @staticmethod
    def answers(server):
        try:
            return server.get("/health")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def test_one_key_fills_the_queue_and_another_is_served(self):
        keys = self.folder / "two-keys"
        heavy, light = "sk-heavy-0123456789", "sk-light-0123456789"
        keys.write_text(f"heavy {heavy}\nlight {light}\n")
        server = self.serve("--batch", "1", "--max-queue", "40", "--api-key-file", str(keys))
        connection = server.connect()
        connection.request("POST", "/v1/completions", json.dumps({**LONG, "n": 100}), {"Authorization": f"Bearer {heavy}"})
        get = {"Authorization": f"Bearer {light}"}
        wait_until(lambda: server.get("/load", **get)[2]["n_queued"] > 40, "a queue beyond its limit")
        self.assertEqual(server.ask("POST", "/v1/completions", {**LONG, "n": 2}, {"Authorization": f"Bearer {heavy}"})[0], 429)
        status, _, body = server.ask("POST", "/v1/completions", {"prompt": "a", "max_tokens": 2}, get)
        self.assertEqual(status, 200, body)
        self.assertGreater(server.get("/load", **get)[2]["n_queued"], 40)  # it was served before the other one's
        connection.close()
        self.assertEqual(server.stop(), 0)

    def test_a_request_that_no_step_began_with_in_time_is_an_error(self):
        server = self.serve("--request-timeout", "0.3", "--batch", "1")
        connection = server.connect()
        connection.request("POST", "/v1/completions", json.dumps({**LONG, "n": 100}), {"Content-Type": "application/json"})
        wait_until(lambda: server.get("/load")[2]["n_running"] == 1, "a running request")
        statuses = [server.post("/v1/completions", **{**LONG, "n": 100})[0] for _ in range(3)]
        self.assertTrue(set(statuses) <= {200, 504}, statuses)
        connection.close()
        self.assertEqual(server.stop(), 0)

    def test_a_request_has_its_time_and_ends_with_what_it_has(self):
        server = self.serve("--request-timeout", "0.5", "--batch", "1")
        status, _, body = server.post("/v1/completions", **{**LONG, "n": 100})
        self.assertEqual((status, body["choices"][-1]["finish_reason"]), (200, "timeout"))
        self.assertEqual(server.stop(), 0)


serving.main()
