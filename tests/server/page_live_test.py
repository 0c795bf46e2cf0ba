"""The web page against `rafter serve` itself: it comes with its policy, the chat speaks to the model, and the marks of the roofline are
those of the engine's steps."""
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent / "page")]
import browser  # noqa: E402
import mock_server  # noqa: E402
import serving  # noqa: E402
from serving import program  # noqa: E402


class Live(serving.Case):
    arguments = ("--threads", "1")

    @classmethod
    def setUpClass(cls):
        program.Case.setUpClass.__func__(cls)
        cls.rafter_probe()
        cls.server = serving.Server(cls.model, *cls.arguments, environment=cls.environment)
        cls.browser = browser.browser_of_the_file()

    @classmethod
    def rafter_probe(cls):
        """The roofs of this machine, as far as a busy one tells: without them a step has no place in the chart."""
        done = subprocess.run([program.BINARY, "probe", "--quick", "--threads", "1", "--force"], env=cls.environment, capture_output=True, timeout=serving.PATIENCE)
        assert done.returncode == 0, done.stderr.decode()

    def setUp(self):
        self.complaints = []
        context = self.browser.new_context(viewport={"width": 1360, "height": 860})
        self.addCleanup(context.close)
        self.page = context.new_page()
        self.page.set_default_timeout(browser.TIMEOUT_MS)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        self.page.goto(self.server.url)
        self.page.wait_for_selector("#model:not(:empty)")

    def tearDown(self):
        self.assertEqual(self.complaints, [])

    def until(self, check, what):
        end = time.monotonic() + serving.PATIENCE
        while not check():
            self.assertLess(time.monotonic(), end, "not in time: " + what)
            self.page.wait_for_timeout(30)

    def ask(self, text):
        self.page.fill("#prompt", text)
        self.page.press("#prompt", "Enter")

    def set_max_tokens(self, n):
        self.page.click("#open-settings")
        self.page.fill("#set-max-tokens", str(n))
        self.page.click("#settings button[type=submit]")

    def wait_for_end(self):
        self.until(lambda: self.page.evaluate("document.getElementById('stop').hidden && document.querySelector('.message.assistant') !== null"), "the answer's end")

    def test_the_page_comes_whole_and_with_its_policy(self):
        html, policy = mock_server.built_page(program.BUILD_DIR)
        status, headers, body = self.server.get("/")
        self.assertEqual((status, body.decode()), (200, html))
        self.assertEqual(headers["content-security-policy"], policy)
        status, _, body = self.server.get("/", **{"If-None-Match": headers["etag"]})
        self.assertEqual((status, body), (304, b""))

    def test_a_chat_with_the_model(self):
        self.set_max_tokens(24)
        self.ask("Say something.")
        self.wait_for_end()
        self.assertEqual(self.page.locator(".failure:visible").count(), 0, self.page.locator(".message").all_inner_texts())
        facts = " | ".join(self.page.locator(".facts li").all_inner_texts())
        self.assertRegex(facts, r"\d+ tokens? \|.*tok/s \| first token [\d.,]+ (s|ms)")
        self.assertRegex(facts, r"first token [\d.,]+ \w+, predicted [\d.,]+ (s|ms|µs)")
        self.page.reload()
        self.assertEqual(self.page.locator(".message.user .text").all_inner_texts(), ["Say something."])
        self.assertEqual(" | ".join(self.page.locator(".facts li").all_inner_texts()), facts)

    def test_the_marks_are_the_engines_steps(self):
        self.set_max_tokens(40)
        self.ask("Take some steps.")
        self.wait_for_end()
        self.page.wait_for_selector(".dot", state="attached")
        data = self.server.get("/roofline")[2]
        self.assertGreater(data["machine"]["memory_bytes_per_s"], 0)
        drawable = [step for step in data["steps"] if step["flops_per_byte"] and step["flop_per_s"]]
        self.until(lambda: self.page.locator(".dot").count() == len(drawable), "a mark for each step")
        self.assertEqual(self.page.locator(".chart .roof-name").count(), 2)
        before = self.page.locator(".dot").evaluate_all("all => all.map((one) => one.getAttribute('transform'))")
        self.ask("And some more.")
        self.until(lambda: self.page.locator(".dot").evaluate_all("all => all.map((one) => one.getAttribute('transform'))") != before, "marks that move")
        self.wait_for_end()
        headline = lambda: self.server.get("/roofline")[2]["verdict"]["headline"]
        self.until(lambda: self.page.inner_text("#verdict-headline").lower() == headline().lower(), "the server's verdict")

    def test_what_the_server_refuses_is_said_in_its_words(self):
        self.ask("word " * 3000)
        self.wait_for_end()
        status, _, answer = self.server.post("/v1/chat/completions", messages=[{"role": "user", "content": "word " * 2999 + "word"}])
        self.assertEqual(status, 400)
        self.assertEqual(self.page.inner_text(".failure"), "The server refused this request (400)\n" + answer["error"]["message"])
        self.complaints.clear()  # the browser's own line about the status


if __name__ == "__main__":
    unittest.main(verbosity=1)
