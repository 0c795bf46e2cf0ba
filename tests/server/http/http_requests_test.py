"""Requests that are in order, odd or hostile: each gets the right status in OpenAI's error form, and others go on unharmed."""
import json
import unittest

import echo

GET = "GET /echo HTTP/1.1\r\nhost: x\r\n"
POST = "POST /echo HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + "transfer-encoding: chunked\r\n\r\n"

# What is sent, the status that answers it.
REFUSED = {
    # Request lines.
    "HTTP/0.9": ("GET /echo\r\n\r\n", 400),
    "an HTTP/2 preface": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/2": ("GET / HTTP/2.0\r\nhost: x\r\n\r\n", 505),
    "HTTP/1.2": ("GET / HTTP/1.2\r\nhost: x\r\n\r\n", 505),
    "a version in lower case": ("GET / http/1.1\r\nhost: x\r\n\r\n", 400),
    "a version with more digits": ("GET / HTTP/1.10\r\nhost: x\r\n\r\n", 400),
    "no version": ("GET / \r\nhost: x\r\n\r\n", 400),
    "two blanks": ("GET  /echo HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a tab": ("GET\t/echo HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a blank at the end": ("GET /echo HTTP/1.1 \r\nhost: x\r\n\r\n", 400),
    "a blank in front": (" GET /echo HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a blank in the target": ("GET /a b HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a method of odd characters": ("G@T / HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a method in lower case": ("get / HTTP/1.1\r\nhost: x\r\n\r\n", 501),
    "a method that nobody has": ("FROBNICATE / HTTP/1.1\r\nhost: x\r\n\r\n", 501),
    "BREW": ("BREW / HTTP/1.1\r\nhost: x\r\n\r\n", 501),
    "CONNECT": ("CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n", 501),
    "a method without end": ("A" * 9000, 414),
    "a target without end": ("GET /" + "a" * 9000, 414),
    "a target too long": ("GET /" + "a" * 8200 + " HTTP/1.1\r\nhost: x\r\n\r\n", 414),
    "NUL in the target": ("GET /a\0b HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "UTF-8 in the target": ("GET /\xc3\xa4 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a fragment": ("GET /a#b HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a relative target": ("GET echo HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "'*' of GET": ("GET * HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "another scheme": ("GET file:///etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "an absolute target without a host": ("GET http:///echo HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "an absolute target with a user": ("GET http://u@h/echo HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "TLS where none is": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "text of another kind": ("EHLO example.com\r\n\r\n", 400),
    # Headers.
    "no host": ("GET /echo HTTP/1.1\r\n\r\n", 400),
    "two hosts": ("GET /echo HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "two equal hosts": ("GET /echo HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n", 400),
    "a host with a path": ("GET /echo HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
    "a host with a user": ("GET /echo HTTP/1.1\r\nhost: a@b\r\n\r\n", 400),
    "a folded header": (GET + "x-a: b\r\n c\r\n\r\n", 400),
    "a header folded with a tab": (GET + "x-a: b\r\n\tc\r\n\r\n", 400),
    "a folded first header": ("GET /echo HTTP/1.1\r\n host: x\r\n\r\n", 400),
    "no colon": (GET + "x-a b\r\n\r\n", 400),
    "no name": (GET + ": b\r\n\r\n", 400),
    "a blank before the colon": (GET + "x-a : b\r\n\r\n", 400),
    "a blank before the colon of a length": (POST + "content-length : 5\r\n\r\nhello", 400),
    "a name of odd characters": (GET + "x(a): b\r\n\r\n", 400),
    "a name in UTF-8": (GET + "x-\xc3\xa4: b\r\n\r\n", 400),
    "NUL in a value": (GET + "x-a: b\0c\r\n\r\n", 400),
    "NUL in a name": (GET + "x-a\0: b\r\n\r\n", 400),
    "a bell in a value": (GET + "x-a: \x07\r\n\r\n", 400),
    "DEL in a value": (GET + "x-a: \x7f\r\n\r\n", 400),
    "CR in a value": (GET + "x-a: b\rc: d\r\n\r\n", 400),
    "LF alone": (GET.replace("\r\n", "\n") + "\n\r\n\r\n", 400),
    "LF alone in a value": (GET + "x-a: b\nx-c: d\r\n\r\n", 400),
    "CR CR LF": (GET + "x-a: b\r\r\n\r\n", 400),
    "101 headers": (GET + "x-a: b\r\n" * 100 + "\r\n", 431),
    "headers without end": (GET + "x-a: b\r\n" * 3000, 431),
    "a header without end": (GET + "x-a: " + "b" * 20_000, 431),
    "headers too long": (GET + "x-a: " + "b" * 17_000 + "\r\n\r\n", 431),
    "two authorizations": (GET + "authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n", 400),
    "an expectation": (POST + "expect: a pony\r\ncontent-length: 5\r\n\r\nhello", 417),
    # Where the body ends.
    "two lengths": (POST + "content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", 400),
    "two equal lengths": (POST + "content-length: 5\r\ncontent-length: 5\r\n\r\nhello", 400),
    "a list of lengths": (POST + "content-length: 5, 5\r\n\r\nhello", 400),
    "a negative length": (POST + "content-length: -1\r\n\r\n", 400),
    "a length with a sign": (POST + "content-length: +5\r\n\r\nhello", 400),
    "a hexadecimal length": (POST + "content-length: 0x5\r\n\r\nhello", 400),
    "an empty length": (POST + "content-length:\r\n\r\n", 400),
    "a length that is no number": (POST + "content-length: five\r\n\r\nhello", 400),
    "a length beyond 64 bits": (POST + "content-length: 99999999999999999999999\r\n\r\n", 413),
    "a length of 2^64": (POST + "content-length: 18446744073709551616\r\n\r\n", 413),
    "a length beyond the limit": (POST + "content-length: 1000001\r\n\r\n", 413),
    "length and chunks": (POST + "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks and length": (POST + "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n", 400),
    "two encodings": (POST + "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "encodings in a list": (POST + "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (POST + "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501),
    "identity": (POST + "transfer-encoding: identity\r\n\r\n", 501),
    "nearly chunked": (POST + "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunks in HTTP/1.0": ("POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "gzip": (POST + "content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello", 415),
    "deflate": (POST + "content-encoding: deflate\r\ncontent-length: 5\r\n\r\nhello", 415),
    # Chunks.
    "a negative chunk": (CHUNKED + "-1\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk with a sign": (CHUNKED + "+5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk with 0x": (CHUNKED + "0x5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk with a blank": (CHUNKED + " 5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk without a size": (CHUNKED + "\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk of letters": (CHUNKED + "g\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk of 2^63": (CHUNKED + "8000000000000000\r\nhello\r\n0\r\n\r\n", 413),
    "a chunk of 2^64 - 1": (CHUNKED + "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", 413),
    "a chunk of 2^64 + 5": (CHUNKED + "10000000000000005\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk beyond the limit": (CHUNKED + "f4241\r\n", 413),
    "chunks that add up beyond the limit": (CHUNKED + ("7a120\r\n" + "a" * 500_000 + "\r\n") * 2 + "1\r\na\r\n0\r\n\r\n", 413),
    "a chunk longer than it says": (CHUNKED + "5\r\nhello!\r\n0\r\n\r\n", 400),
    "a chunk that ends with LF": (CHUNKED + "5\nhello\n0\n\n", 400),
    "a size without end": (CHUNKED + "0" * 6000, 400),
    "an extension without end": (CHUNKED + "5;" + "a" * 6000, 400),
    "extensions on each chunk": (CHUNKED + ("1;" + "a" * 1000 + "\r\nx\r\n") * 200, 400),
    "a broken extension": (CHUNKED + "5;\x01\r\nhello\r\n0\r\n\r\n", 400),
    "trailers without end": (CHUNKED + "5\r\nhello\r\n0\r\n" + "x-a: b\r\n" * 1000, 400),
    "100,000 chunks of a byte": (CHUNKED + "1\r\nx\r\n" * 100_000, 400),
}

ACCEPTED = {
    "the usual": (GET + "\r\n", {"method": "GET", "path": "/echo", "query": "", "body": ""}),
    "a query": ("GET /echo?a=b?c&d=%20 HTTP/1.1\r\nhost: x\r\n\r\n", {"query": "a=b?c&d=%20"}),
    "an empty line in front": ("\r\n" + GET + "\r\n", {"path": "/echo"}),
    "a body": (POST + "content-length: 5\r\n\r\nhello", {"body": "hello"}),
    "a length with zeros": (POST + "content-length: 0000000000000000000000005\r\n\r\nhello", {"body": "hello"}),
    "a body of GET": (GET + "content-length: 5\r\n\r\nhello", {"body": "hello"}),
    "chunks": (CHUNKED + "5\r\nhello\r\nA\r\n, chunked!\r\n0\r\n\r\n", {"body": "hello, chunked!"}),
    "chunks with extensions": (CHUNKED + "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", {"body": "hello"}),
    "Chunked": (POST + "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", {"body": "hello"}),
    "no blank after the colon": ("GET /echo HTTP/1.1\r\nhost:x\r\n\r\n", {"path": "/echo"}),
    "identity": (POST + "content-encoding: identity\r\ncontent-length: 2\r\n\r\nhi", {"body": "hi"}),
    "DELETE": ("DELETE /echo HTTP/1.1\r\nhost: x\r\n\r\n", {"method": "DELETE"}),
    "OPTIONS": ("OPTIONS /echo HTTP/1.1\r\nhost: x\r\n\r\n", {"method": "OPTIONS"}),
}


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = echo.Server(max_request_bytes=1_000_000)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_hostile_requests_are_refused_and_the_connection_closed(self):
        bystander = self.server.connect()
        for name, (data, status) in REFUSED.items():
            with self.subTest(name), self.server.connect() as client:
                try:
                    client.send(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it answered and left before all was sent
                answer = client.answer()
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["connection"], "close")
                self.assertEqual(answer.headers["content-type"], "application/json")
                self.assertTrue(answer.error())
                self.assertTrue(client.closed())
            self.assertEqual(bystander.ask(GET + "\r\n").status, 200)
        bystander.sock.close()
        self.assertGreaterEqual(self.server.counters()["bad_requests"], len(REFUSED))

    def test_each_is_refused_however_it_is_cut(self):
        for name in ("a folded header", "two lengths", "a negative chunk", "NUL in a value", "length and chunks", "CR in a value"):
            data, status = REFUSED[name]
            with self.subTest(name), self.server.connect() as client:
                try:
                    for byte in data.encode("latin-1"):
                        client.send(bytes([byte]))
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.assertEqual(client.answer().status, status)

    def test_odd_requests_that_are_in_order_are_served_and_the_connection_goes_on(self):
        with self.server.connect() as client:
            for name, (data, expected) in ACCEPTED.items():
                with self.subTest(name):
                    answer = client.ask(data)
                    self.assertEqual(answer.status, 200)
                    found = json.loads(answer.body)
                    self.assertEqual({key: found[key] for key in expected}, expected)
                    self.assertEqual(found["client"], "127.0.0.1")

    def test_trailers_never_become_headers(self):
        with self.server.connect() as client:
            answer = client.ask(CHUNKED + "5\r\nhello\r\n0\r\nauthorization: Bearer evil\r\nx-trailer: 1\r\n\r\n")
            names = [name for name, _ in json.loads(answer.body)["headers"]]
            self.assertEqual(names, ["host", "transfer-encoding"])

    def test_an_absolute_target_names_the_host(self):
        with self.server.connect() as client:
            found = json.loads(client.ask("GET HTTP://Models.example:81/echo?a=b HTTP/1.1\r\nhost: evil\r\nx-a: b\r\n\r\n").body)
            self.assertEqual((found["path"], found["query"]), ("/echo", "a=b"))
            self.assertEqual([value for name, value in found["headers"] if name == "host"], ["Models.example:81"])

    def test_header_names_come_in_lower_case_and_values_without_blanks_around(self):
        with self.server.connect() as client:
            found = json.loads(client.ask("GET /echo HTTP/1.1\r\nHost: x\r\nX-Aa:  \t b c\t \r\nX-Empty:\r\n\r\n").body)
            self.assertEqual(found["headers"], [["host", "x"], ["x-aa", "b c"], ["x-empty", ""]])

    def test_paths_are_not_decoded(self):
        with self.server.connect() as client:
            for path in ("//echo", "/v1/../echo", "/%65cho", "/ECHO", "/echo%2f", "/echo/"):
                self.assertEqual(client.ask(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").status, 500, path)  # http_echo has no such route

    def test_head_is_get_without_a_body(self):
        with self.server.connect() as client:
            client.send("HEAD /hello HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = client.answer("HEAD")
            self.assertEqual((answer.status, answer.headers["content-length"]), (200, "5"))
            client.send("HEAD /events?n=2 HTTP/1.1\r\nhost: x\r\n\r\n")
            self.assertEqual(client.head()[1]["content-type"], "text/event-stream")
            self.assertEqual(client.ask("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").body, b"hello")

    def test_connections_close_when_asked(self):
        with self.server.connect() as client:
            answer = client.ask(GET + "connection: keep-alive, Close\r\n\r\n")
            self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
            self.assertTrue(client.closed())

    def test_http_1_0_is_served_once_and_without_chunks(self):
        with self.server.connect() as client:
            client.send("GET /events?n=2&bytes=3 HTTP/1.0\r\n\r\n")
            status, headers = client.head()
            self.assertEqual((status, headers["connection"]), (200, "close"))
            self.assertNotIn("transfer-encoding", headers)
            while client.more():
                pass
            self.assertEqual(client.read, b"event: tick\ndata: eee\n\n" * 2)
        with self.server.connect() as client:
            self.assertEqual(client.ask("GET /hello HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").headers["connection"], "close")
            self.assertTrue(client.closed())

    def test_a_client_that_waits_for_100_gets_it_or_the_refusal(self):
        with self.server.connect() as client:
            client.send(POST + "expect: 100-continue\r\ncontent-length: 5\r\n\r\n")
            self.assertEqual(client.head()[0], 100)
            self.assertEqual(json.loads(client.ask("hello").body)["body"], "hello")
            # Who does not wait gets no 100.
            self.assertEqual(client.ask(POST + "expect: 100-continue\r\ncontent-length: 5\r\n\r\nhello").status, 200)
            self.assertEqual(client.ask(POST + "expect: 100-continue\r\ncontent-length: 1000001\r\n\r\n").status, 413)
            self.assertTrue(client.closed())

    def test_refused_before_the_body_is_read(self):
        with self.server.connect() as client:
            answer = client.ask("POST /screened HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 900000\r\n\r\n")
            self.assertEqual((answer.status, answer.headers["connection"]), (401, "close"))
            self.assertTrue(client.closed())

    def test_handlers_that_fail_are_answered_for(self):
        with self.server.connect() as client:
            for path in ("/throw", "/throw-memory", "/drop"):
                self.assertEqual(client.ask(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").status, 500, path)
            self.assertEqual(client.ask(GET + "\r\n").status, 200)
        for path in ("/throw-late", "/drop-late"):
            with self.server.connect() as client:
                client.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
                with self.assertRaises(EOFError, msg=path):  # no last chunk: the client must not take it for the whole
                    client.answer()

    def test_only_the_first_answer_is_sent(self):
        with self.server.connect() as client:
            self.assertEqual(client.ask("GET /twice HTTP/1.1\r\nhost: x\r\n\r\n").body, b"first")
            self.assertEqual(client.ask(GET + "\r\n").status, 200)

    def test_headers_that_http_does_not_allow_are_not_sent(self):
        with self.server.connect() as client:
            answer = client.ask("GET /headers HTTP/1.1\r\nhost: x\r\n\r\n")
            self.assertEqual(answer.headers["x-good"], "1")
            self.assertEqual(answer.headers["content-length"], "1")
            self.assertEqual({name for name in answer.headers if name.startswith("x-")}, {"x-good", "x-content-type-options"})

    def test_answers_come_in_order(self):
        with self.server.connect() as client:
            client.send("".join(f"GET /echo?{i} HTTP/1.1\r\nhost: x\r\n\r\n" for i in range(2000)))
            self.assertEqual([json.loads(client.answer().body)["query"] for _ in range(2000)], [str(i) for i in range(2000)])

    def test_requests_behind_a_waiting_one_wait(self):
        with self.server.connect() as client:
            client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n" + GET + "\r\n")
            self.server.wait_for(self, exchanges=2)
            self.assertEqual(self.server.get("/release").status, 200)
            self.assertEqual([client.answer().body[:8], client.answer().status], [b"released", 200])

    def test_who_sends_without_end_before_the_answer_is_cut_off(self):
        with self.server.connect() as client:
            client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                for _ in range(1000):
                    client.send("GET /echo HTTP/1.1\r\nhost: x\r\nx-pad: " + "a" * 10_000 + "\r\n\r\n")
        self.server.wait_for(self, exchanges=1)


if __name__ == "__main__":
    echo.main()
