"""What every request passes: paths and methods, keys, hosts, origins, ids, and the status routes; by tricks that got past other servers."""
import http.client
import json
import os
import socket
import threading
import time

import serving

KEY = "sk-0123456789abcdef0123"
OTHER_KEY = "sk-fedcba98765432109876"
GUARDED = ("/v1/models", "/v1/chat/completions", "/metrics", "/load", "/props", "/version", "/roofline", "/explain", "/tokenize")
OPEN = ("/", "/health", "/ready", "/openapi.json")


class Paths(serving.Case):
    def test_unknown_paths_and_other_spellings_are_404_in_openais_form(self):
        for path in ("/v2", "//v1/models", "/v1//models", "/v1/models/", "/V1/models", "/v1/%6dodels", "/v1/../v1/models", "/./health",
                     "/health%00", "/health;x", "/v1/chat/completions/..", "/%2e%2e/etc/passwd", "/health\\"):
            status, _, body = self.server.get(path)
            self.assertEqual(status, 404, path)
            self.assertEqual(set(body["error"]), {"message", "type", "param", "code"})

    def test_methods_that_a_path_lacks_are_405_and_name_those_it_has(self):
        status, headers, _ = self.server.get("/v1/chat/completions")
        self.assertEqual((status, headers["Allow"]), (405, "POST"))
        status, headers, _ = self.server.ask("DELETE", "/health")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        status, headers, body = self.server.ask("HEAD", "/health")
        self.assertEqual((status, body), (200, b""))

    def test_the_status_routes_answer(self):
        self.assertEqual(self.server.get("/health")[2], {"status": "ok"})
        self.assertEqual(self.server.get("/ready")[2], {"status": "ready"})
        load = self.server.get("/load")[2]
        self.assertEqual((load["n_running"], load["n_queued"]), (0, 0))
        self.assertEqual(load["n_free_blocks"], load["n_blocks"])
        models = self.server.get("/v1/models")[2]
        self.assertEqual((models["object"], models["data"][0]["id"]), ("list", "tiny"))
        self.assertEqual(self.server.get("/version")[2]["version"].count("."), 2)
        self.assertNotIn(str(self.folder), json.dumps(self.server.get("/props")[2]))
        self.assertIn("<html", self.server.get("/")[2].decode())
        self.assertIsInstance(self.server.get("/roofline")[2]["steps"], list)
        self.assertTrue(self.server.get("/explain")[2].decode().strip())
        self.assertIn("verdict", json.dumps(self.server.get("/explain", Accept="application/json")[2]) + "verdict")

    def test_text_becomes_tokens_and_text_again(self):
        tokens = self.server.post("/tokenize", prompt="hello there")[2]
        self.assertEqual(tokens["count"], len(tokens["tokens"]))
        self.assertEqual(self.server.post("/detokenize", tokens=tokens["tokens"])[2]["prompt"], "hello there")
        prompt = self.server.post("/apply-template", messages=[{"role": "user", "content": "hello there"}])[2]["prompt"]
        self.assertIn("hello there", prompt)

    def test_unknown_keys_are_ignored_and_named_in_header_and_log(self):
        status, headers, _ = self.server.post("/v1/completions", prompt="a", max_tokens=1, frobnicate=1, **{"x\r\nSet-Cookie: y": 2})
        self.assertEqual(status, 200)
        self.assertEqual(headers["rafter-ignored-keys"], "frobnicate and 1 more")
        self.assertNotIn("set-cookie", {name.lower() for name in headers})
        deadline = time.monotonic() + serving.PATIENCE
        while "frobnicate" not in self.server.log:
            self.assertLess(time.monotonic(), deadline, self.server.log)
            time.sleep(0.01)

    def test_a_requests_id_is_the_clients_where_it_is_plain(self):
        self.assertEqual(self.server.get("/health", **{"X-Request-Id": "abc-1"})[1]["x-request-id"], "abc-1")
        for odd in ("a b", "\"><script>", "x" * 200):
            self.assertNotEqual(self.server.get("/health", **{"X-Request-Id": odd})[1]["x-request-id"], odd)

    def test_traceparent_is_passed_on_with_a_span_of_its_own(self):
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        child = self.server.get("/health", traceparent=parent)[1]["traceparent"]
        self.assertEqual(child.split("-")[1], parent.split("-")[1])
        self.assertNotEqual(child.split("-")[2], parent.split("-")[2])
        self.assertIsNone(self.server.get("/health", traceparent="00-zz-1-01")[1]["traceparent"])

    def test_other_hosts_are_refused_so_that_rebinding_a_name_gains_nothing(self):
        self.assertEqual(self.server.get("/health", Host="evil.example")[0], 403)
        self.assertEqual(self.server.get("/health", Host=f"localhost:{self.server.port}")[0], 200)

    def test_only_the_own_and_loopback_origins_may_ask(self):
        status, headers, _ = self.server.get("/health", Origin="http://localhost:3000")
        self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (200, "http://localhost:3000"))
        for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.evil.example"):
            status, headers, _ = self.server.get("/health", Origin=origin)
            self.assertEqual(status, 403, origin)
            self.assertIsNone(headers["Access-Control-Allow-Origin"])
        status, headers, _ = self.server.ask("OPTIONS", "/v1/chat/completions", None, {
            "Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"})
        self.assertEqual(status, 204)
        self.assertIn("POST", headers["Access-Control-Allow-Methods"])


class Keys(serving.Case):
    @classmethod
    def setUpClass(cls):
        serving.program.Case.setUpClass.__func__(cls)
        cls.keys = cls.folder / "keys"
        cls.keys.write_text(f"# keys\nalice {KEY}\nbob {OTHER_KEY} cache=team\n")
        cls.server = serving.Server(cls.model, "--api-key-file", str(cls.keys), environment=cls.environment)

    def test_guarded_paths_want_a_key_and_open_ones_do_not(self):
        for path in GUARDED:
            status, headers, body = self.server.get(path)
            self.assertEqual(status, 405 if path in ("/v1/chat/completions", "/tokenize") else 401, path)
        status, headers, body = self.server.post("/v1/completions", prompt="a", max_tokens=1)
        self.assertEqual((status, headers["WWW-Authenticate"], body["error"]["type"]), (401, "Bearer", "authentication_error"))
        for path in OPEN:
            self.assertEqual(self.server.get(path)[0], 200, path)

    def test_a_right_key_lets_in_and_wrong_ones_do_not(self):
        self.assertEqual(self.server.get("/v1/models", Authorization=f"Bearer {KEY}")[0], 200)
        self.assertEqual(self.server.get("/v1/models", Authorization=f"bearer {OTHER_KEY}")[0], 200)
        for wrong in (f"Bearer {KEY[:-1]}", f"Bearer {KEY}x", "Bearer ", "Bearer", f"Basic {KEY}", KEY, f"Bearer  {KEY}", "Bearer alice"):
            self.assertEqual(self.server.get("/v1/models", Authorization=wrong)[0], 401, wrong)

    def test_no_key_is_in_the_log_or_in_ps(self):
        self.server.get("/v1/models", Authorization=f"Bearer {KEY}")
        self.server.get("/v1/models", Authorization="Bearer sk-wrong-but-secret")
        with open(f"/proc/{self.server.process.pid}/cmdline") as file:
            shown = file.read()
        for secret in (KEY, OTHER_KEY, "sk-wrong-but-secret"):
            self.assertNotIn(secret, self.server.log)
            self.assertNotIn(secret, shown)

    def test_prefixes_are_shared_within_a_key_only(self):
        prompt = "a prompt of some length whose blocks will be kept in the cache of the server " * 4

        def cached(key):
            headers = {"Authorization": f"Bearer {key}"}
            body = self.server.ask("POST", "/v1/completions", {"prompt": prompt, "max_tokens": 1}, headers)[2]
            return body["usage"]["prompt_tokens_details"]["cached_tokens"]

        self.assertEqual(cached(KEY), 0)
        self.assertGreater(cached(KEY), 0)
        self.assertEqual(cached(OTHER_KEY), 0)

    def test_keys_read_again_while_a_body_is_parsed_change_nothing_for_it(self):
        prompt = "what only the second key has in its cache, over several blocks " * 5
        body = {"prompt": prompt, "max_tokens": 1, "user": "x" * 8_000_000}
        self.server.ask("POST", "/v1/completions", {"prompt": prompt, "max_tokens": 1}, {"Authorization": f"Bearer {OTHER_KEY}"})
        before = self.keys.read_text()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(
            self.server.ask("POST", "/v1/completions", body, {"Authorization": f"Bearer {KEY}"})))
        asking.start()
        lines = [line for line in before.splitlines() if not line.startswith("#")]
        while asking.is_alive():
            lines.reverse()
            self.keys.write_text("\n".join(lines) + "\n")
            self.server.process.send_signal(serving.signal.SIGHUP)
            time.sleep(0.01)
        asking.join()
        self.keys.write_text(before)
        self.assertEqual((answers[0][0], answers[0][2]["usage"]["prompt_tokens_details"]["cached_tokens"]), (200, 0))

    def test_hanging_up_reads_the_keys_again(self):
        new = "sk-a-new-key-aaaaaaaaaaa"
        self.assertEqual(self.server.get("/v1/models", Authorization=f"Bearer {new}")[0], 401)
        before = self.keys.read_text()
        self.keys.write_text(before + f"carol {new}\n")
        self.server.process.send_signal(serving.signal.SIGHUP)
        deadline = time.monotonic() + serving.PATIENCE
        while self.server.get("/v1/models", Authorization=f"Bearer {new}")[0] != 200:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.keys.write_text("short\n")
        self.server.process.send_signal(serving.signal.SIGHUP)
        while "going on" not in self.server.log:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertEqual(self.server.get("/v1/models", Authorization=f"Bearer {KEY}")[0], 200)


class Usage(serving.program.Case):
    def test_other_machines_are_not_served_without_a_key(self):
        self.expect_error("--api-key-file", "serve", self.model, "--host", "0.0.0.0", "--port", "0", "--quiet", status=2)

    def test_an_address_in_use_is_an_error_that_names_it(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.expect_error(f"127.0.0.1:{port}", "serve", self.model, "--port", str(port), "--quiet", status=1)

    def test_a_certificate_needs_its_key(self):
        self.expect_error("--tls-key", "serve", self.model, "--tls-cert", "x.pem", status=2)

    def test_keys_come_from_the_environment_too(self):
        environment = {**self.environment, "RAFTER_API_KEY": KEY}
        server = serving.Server(self.model, environment=environment)
        try:
            self.assertEqual(server.get("/v1/models")[0], 401)
            self.assertEqual(server.get("/v1/models", Authorization=f"Bearer {KEY}")[0], 200)
        finally:
            self.assertEqual(server.stop(), 0)


serving.main()
