"""Streams of events and the clients that read them: in time, too slowly, or not at all any more."""
import socket
import struct
import time
import unittest

import echo


def get(target, version="1.1"):
    return f"GET {target} HTTP/{version}\r\nhost: x\r\n\r\n"


class Streams(unittest.TestCase):
    def test_events_arrive_whole_and_the_connection_goes_on(self):
        with echo.Server() as server, server.connect() as client:
            for ms in (0, 5):
                client.send(get(f"/events?n=5&bytes=4&ms={ms}"))
                status, headers = client.head()
                self.assertEqual(status, 200)
                self.assertEqual(headers["content-type"], "text/event-stream")
                self.assertEqual(headers["cache-control"], "no-cache")
                self.assertEqual(headers["x-accel-buffering"], "no")
                self.assertEqual(headers["x-stream"], "1")
                self.assertNotIn("content-length", headers)
                self.assertEqual([client.chunk() for _ in range(6)], [b"event: tick\ndata: eeee\n\n"] * 5 + [b""])
            self.assertEqual(client.ask(get("/hello")).body, b"hello")

    def test_silent_streams_carry_comments(self):
        with echo.Server(heartbeat_seconds=0.1) as server, server.connect() as client:
            began = time.monotonic()
            client.send(get("/events?n=1&bytes=1&ms=1000"))
            client.head()
            parts = []
            while part := client.chunk():
                parts.append(part)
            self.assertEqual(parts[-1], b"event: tick\ndata: e\n\n")
            self.assertEqual(set(parts[:-1]), {b":\n\n"})
            self.assertLess(len(parts), (time.monotonic() - began) / 0.1 + 2)
            self.assertGreater(len(parts), 2)
        with echo.Server(heartbeat_seconds=0.1) as server, server.connect() as client:
            client.send(get("/events?n=1&bytes=1&ms=500", "1.0"))
            client.head()
            while client.more():
                pass
            self.assertRegex(client.read, rb"^(:\n\n)+event: tick\ndata: e\n\n$")

    def test_silent_streams_may_carry_events_in_place_of_comments(self):
        with echo.Server(heartbeat_seconds=0.1) as server, server.connect() as client:
            for named, heartbeat in ((1, b"event: ping\ndata: {}\n\n"), (0, b":\n\n")):  # of one answer, and not of the next
                client.send(get(f"/events?n=1&bytes=1&ms=500&named={named}"))
                client.head()
                parts = []
                while part := client.chunk():
                    parts.append(part)
                self.assertEqual(parts[-1], b"event: tick\ndata: e\n\n")
                self.assertEqual(set(parts[:-1]), {heartbeat})

    def test_a_client_that_goes_away_is_noticed_at_once(self):
        with echo.Server() as server:
            ways = {
                "closes": lambda sock: sock.close(),
                "resets": lambda sock: (sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)), sock.close()),
                "closes its sending side": lambda sock: sock.shutdown(socket.SHUT_WR),
            }
            n_gone = 0
            kept = []
            for target in ("/wait", "/events?n=1&ms=1000000"):
                for name, leave in ways.items():
                    with self.subTest(target=target, way=name):
                        client = server.connect()
                        kept.append(client)
                        client.send(get(target))
                        server.wait_for(self, exchanges=2)
                        leave(client.sock)
                        n_gone += 1
                        server.wait_for(self, exchanges=1, closed=n_gone, connections=1)
            for client in kept:
                client.sock.close()

    def test_what_was_answered_is_sent_to_a_client_that_has_closed_its_sending_side(self):
        with echo.Server() as server, server.connect() as client:
            client.send(get("/big?bytes=5000000"))
            client.sock.shutdown(socket.SHUT_WR)
            try:
                self.assertEqual(len(client.answer().body), 5_000_000)
            except EOFError:
                pass  # the end was read together with the request: then it was not answered yet
            server.wait_for(self, exchanges=1, connections=1)

    def test_who_leaves_too_much_unread_is_cut_off_and_nobody_waits(self):
        with echo.Server(max_unread_bytes=100_000) as server:
            with server.connect(receive_buffer=4096) as slow, server.connect() as other:
                slow.send(get("/events?n=1000000&bytes=10000&ms=1"))
                other.send(get("/events?n=20&bytes=10&ms=1"))
                self.assertEqual(other.answer().body.count(b"event: "), 20)
                server.wait_for(self, stalled=1, exchanges=1)
                with self.assertRaises(EOFError):
                    slow.answer()

    def test_who_reads_nothing_for_too_long_is_cut_off(self):
        with echo.Server(max_stalled_seconds=0.3) as server, server.connect(receive_buffer=4096) as slow:
            slow.send(get("/big?bytes=20000000"))
            server.wait_for(self, connections=1, exchanges=1)
            with self.assertRaises(EOFError):
                slow.answer()

    def test_a_slow_reader_that_goes_on_reading_gets_all(self):
        with echo.Server(max_stalled_seconds=5) as server, server.connect(receive_buffer=65536) as slow:
            slow.send(get("/big?bytes=3000000"))
            time.sleep(0.3)
            n_read = 0
            while n_read < 3_000_000 and slow.more():
                n_read = len(slow.read)
            self.assertEqual(len(slow.answer().body), 3_000_000)

    def test_events_of_one_turn_cost_one_packet_and_hardly_any_time(self):
        with echo.Server() as server, server.connect() as client:
            before = server.cpu_seconds()
            client.send(get("/events?n=100000&bytes=100"))
            while client.more() and not client.read.endswith(b"\r\n0\r\n\r\n"):
                pass
            self.assertEqual(client.read.count(b"event: "), 100_000)
            self.assertLess(server.cpu_seconds() - before, 20 if echo.SANITIZED else 2)

    def test_an_idle_server_and_idle_streams_cost_no_time(self):
        with echo.Server() as server:
            clients = [server.connect() for _ in range(200)]
            for client in clients[:100]:
                client.send(get("/events?n=1&ms=10000000"))
            for client in clients[:100]:
                client.head()
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - before, 0.25)
            for client in clients:
                client.sock.close()


if __name__ == "__main__":
    echo.main()
