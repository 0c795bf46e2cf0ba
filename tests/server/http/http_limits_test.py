"""Time, connections, memory and file descriptors run out for some clients, never for the server."""
import json
import resource
import socket
import threading
import time
import unittest
from pathlib import Path

import echo

GET = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"


class Time(unittest.TestCase):
    def expect_timeout(self, client, words):
        answer = client.answer()
        self.assertEqual(answer.status, 408)
        self.assertIn(words, answer.error())
        self.assertTrue(client.closed())

    def drip(self, client, data, n_bytes):
        """A few bytes now and then, as a slowloris does, until the server has enough of it."""
        try:
            for byte in data[:n_bytes]:
                client.send(byte)
                time.sleep(0.02)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def test_headers_must_arrive_in_time_however_steadily_they_drip(self):
        with echo.Server(header_seconds=0.3) as server, server.connect() as client, server.connect() as other:
            thread = threading.Thread(target=self.drip, args=(client, "GET /hello HTTP/1.1\r\nx-a: " + "a" * 10_000, 30))
            thread.start()
            self.expect_timeout(client, "headers")
            thread.join()
            self.assertEqual(other.ask(GET).status, 200)

    def test_bodies_must_arrive_in_time(self):
        head = "POST /echo HTTP/1.1\r\nhost: x\r\n"
        for start in ("content-length: 100000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n186a0\r\n", "transfer-encoding: chunked\r\n\r\n"):
            with self.subTest(start), echo.Server(body_seconds=0.3) as server, server.connect() as client:
                client.send(head + start)
                thread = threading.Thread(target=self.drip, args=(client, "0" * 100, 30))
                thread.start()
                self.expect_timeout(client, "body")
                thread.join()

    def test_who_is_told_to_go_on_and_does_not_is_timed_out(self):
        with echo.Server(body_seconds=0.2) as server, server.connect() as client:
            client.send("POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
            self.assertEqual(client.head()[0], 100)
            self.expect_timeout(client, "body")

    def test_idle_connections_are_closed_without_a_word(self):
        with echo.Server(idle_seconds=1) as server, server.connect() as client, server.connect() as silent:
            self.assertEqual(client.ask(GET).status, 200)
            self.assertTrue(client.closed())
            self.assertTrue(silent.closed())

    def test_an_answer_may_take_longer_than_all_that(self):
        with echo.Server(idle_seconds=1, header_seconds=1, body_seconds=1) as server, server.connect() as client:
            client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            time.sleep(1.6)
            self.assertEqual(server.get("/release").status, 200)
            self.assertEqual(client.answer().body, b"released")

    def test_who_does_not_close_after_the_last_answer_is_closed(self):
        with echo.Server() as server, server.connect() as client:
            client.ask("GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            client.send("something else")  # which is read and forgotten
            server.wait_for(self, connections=1)


class Connections(unittest.TestCase):
    def test_the_longest_idle_connection_makes_room(self):
        with echo.Server(max_connections=5) as server:
            clients = [server.connect() for _ in range(4)]
            for client in clients:
                self.assertEqual(client.ask(GET).status, 200)
            self.assertEqual(clients[0].ask(GET).status, 200)  # clients[1] is the longest idle now
            fifth = server.connect()
            self.assertEqual(fifth.ask(GET).status, 200)
            time.sleep(1.1)
            sixth = server.connect()
            self.assertEqual(sixth.ask(GET).status, 200)
            self.assertTrue(clients[1].closed())
            self.assertEqual(clients[0].ask(GET).status, 200)
            for client in (*clients, fifth, sixth):
                client.sock.close()

    def test_busy_connections_do_not_make_room(self):
        with echo.Server(max_connections=3) as server:
            waiting = [server.connect() for _ in range(2)]
            for client in waiting:
                client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            server.wait_for(self, exchanges=3)
            last = server.connect()
            last.send("GET /events?n=1&ms=1000000 HTTP/1.1\r\nhost: x\r\n\r\n")
            self.assertEqual(last.head()[0], 200)
            with server.connect() as refused:
                self.assertTrue(refused.closed())
            last.sock.close()
            end = time.monotonic() + echo.PATIENCE_S
            while time.monotonic() < end:  # its place is free as soon as it is noticed
                try:
                    self.assertEqual(server.get("/release").status, 200)
                    break
                except (EOFError, BrokenPipeError, ConnectionResetError):
                    time.sleep(0.01)
            for client in waiting:
                self.assertEqual(client.answer().body, b"released")
                client.sock.close()
            server.wait_for(self, connections=1)

    def test_the_soft_limit_of_open_files_is_raised(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with echo.Server(max_connections=100, preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))) as server:
            limits = Path(f"/proc/{server.process.pid}/limits").read_text(encoding="ascii")
            soft = int(next(line for line in limits.split("\n") if line.startswith("Max open files")).split()[3])
            self.assertEqual(soft, 356 if hard == resource.RLIM_INFINITY or hard > 356 else hard)

    @unittest.skipIf("undefined" in echo.SANITIZED, "UBSan opens a pipe to look at a virtual table, and takes it for broken when it cannot")
    def test_without_file_descriptors_clients_wait_and_nothing_spins(self):
        def few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

        with echo.Server(preexec=few_files) as server:
            waiting = []
            for _ in range(40):
                waiting.append(server.connect())
                waiting[-1].send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            time.sleep(0.5)
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - before, 0.3)
            for client in waiting[:30]:
                client.sock.close()
            self.assertEqual(server.get("/hello").status, 200)
            for client in waiting:
                client.sock.close()
            server.wait_for(self, exchanges=1, connections=1)
        self.assertEqual(server.errors.count("cannot accept connections: Too many open files"), 1, server.errors)

    @unittest.skipIf("undefined" in echo.SANITIZED, "UBSan opens a pipe to look at a virtual table, and takes it for broken when it cannot")
    def test_idle_connections_make_room_when_file_descriptors_run_out(self):
        def few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

        with echo.Server(preexec=few_files) as server:
            idle = [server.connect() for _ in range(40)]
            self.assertEqual(server.get("/hello").status, 200)
            for client in idle:
                client.sock.close()

    def test_stopping_waits_for_answers_and_takes_no_more(self):
        with echo.Server() as server:
            waiting, idle = server.connect(), server.connect()
            waiting.send("GET /events?n=3&ms=100 HTTP/1.1\r\nhost: x\r\n\r\n")
            self.assertEqual(idle.ask(GET).status, 200)
            control = server.connect()
            self.assertEqual(control.ask("GET /drain HTTP/1.1\r\nhost: x\r\n\r\n").headers["connection"], "close")
            self.assertTrue(idle.closed())
            with self.assertRaises(ConnectionRefusedError):
                server.connect()
            self.assertEqual(waiting.answer().body.count(b"event: "), 3)
            self.assertTrue(waiting.closed())
            server.process.kill()
            server.process.wait()
            server.process.returncode = 0

    def test_stop_ends_what_is_under_way(self):
        server = echo.Server()
        with server.connect() as waiting, server.connect() as streaming:
            waiting.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            streaming.send("GET /events?n=3&ms=1000000 HTTP/1.1\r\nhost: x\r\n\r\n")
            server.wait_for(self, exchanges=3)
            server.__exit__(None, None, None)
            with self.assertRaises(EOFError):
                waiting.answer()
            with self.assertRaises(EOFError):
                streaming.answer()


class Memory(unittest.TestCase):
    def test_bodies_of_all_requests_together_are_limited(self):
        with echo.Server(max_request_bytes=1_000_000, max_held_bytes=2_500_000) as server:
            waiting = []
            body = "a" * 1_000_000
            for _ in range(2):
                waiting.append(server.connect())
                waiting[-1].send(f"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}")
            server.wait_for(self, exchanges=3)
            with server.connect() as client:
                client.send(f"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}")
                answer = client.answer()
                self.assertEqual(answer.status, 503)
                self.assertEqual(json.loads(answer.body)["error"]["type"], "server_error")
            with server.connect() as client:
                self.assertEqual(client.ask("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello").status, 200)
            self.assertEqual(server.get("/release").status, 200)
            for client in waiting:
                self.assertEqual(client.answer().status, 200)
                client.sock.close()
            with server.connect() as client:
                self.assertEqual(client.ask(f"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}").status, 200)

    def test_lengths_that_are_only_promised_cost_nothing(self):
        with echo.Server() as server:
            server.get("/hello")
            before = server.resident_bytes()
            clients = [server.connect() for _ in range(200)]
            for client in clients:
                client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 30000000\r\n\r\nhello")
            server.get("/hello")
            if not echo.SANITIZED:
                self.assertLess(server.resident_bytes() - before, 10_000_000)
            for client in clients:
                client.sock.close()

    def test_two_thousand_connections_take_little(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        n = 2000 if hard == resource.RLIM_INFINITY or hard > 3000 else 400
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 200), hard))
        with echo.Server() as server:
            server.get("/hello")
            before = server.resident_bytes()
            clients = [server.connect() for _ in range(n)]
            for i, client in enumerate(clients):
                if i % 4 != 0:  # a quarter says nothing, a quarter streams, half waits
                    target = "/events?n=1&ms=10000000" if i % 4 == 1 else "/wait"
                    client.send(f"POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 2000\r\n\r\n" + "a" * 2000)
            server.wait_for(self, exchanges=n // 4 * 3 + 1)
            per_connection = (server.resident_bytes() - before) / n
            if not echo.SANITIZED:
                self.assertLess(per_connection, 20_000)
            print(f"{n} connections: {per_connection:.0f} bytes each")
            for client in clients:
                client.sock.close()
            server.wait_for(self, exchanges=1, connections=1)


if __name__ == "__main__":
    echo.main()
