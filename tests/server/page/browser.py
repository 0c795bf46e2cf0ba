"""What the tests of the page share: Debian's chromium by Playwright, a page of its own for each test, and what they ask of it."""
import functools
import shutil
import sys
import time
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2] / "apps")]
import mock_server  # noqa: E402
import program  # noqa: E402

CHROMIUM = shutil.which("chromium")
TIMEOUT_MS = 20_000


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(program.SKIP)


try:
    from playwright.sync_api import sync_playwright
except ImportError:
    skip("the Python package playwright is not installed")
if not CHROMIUM:
    skip("chromium is not installed")
if program.SANITIZED:
    skip("a browser's test of the page says nothing about memory; the server's own tests do")

# Ratio of the colours of each visible text and of the ground below it: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio
CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (node) => { const layers = []; for (let one = node; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor)); return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]); };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || ["SCRIPT", "STYLE", "NOSCRIPT", "TITLE"].includes(node.tagName) || node.closest(".unseen") || !node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(node), below = ground(node);
    const color = over(rgba(node instanceof SVGElement ? style.fill : style.color), below);
    const [a, b] = [light(color), light(below)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), text.data.trim().slice(0, 40)]);
  }
  return found;
}"""


@functools.cache
def browser_of_the_file():
    playwright = sync_playwright().start()
    unittest.addModuleCleanup(playwright.stop)
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    unittest.addModuleCleanup(browser.close)
    return browser


class PageCase(unittest.TestCase):
    """self.page shows the page of self.mock with empty storage. One browser serves a whole file, one tab and server a class: starting them takes
    longest."""

    viewport = {"width": 1360, "height": 860}

    @classmethod
    def setUpClass(cls):
        cls.browser = browser_of_the_file()
        cls.mock = mock_server.MockServer(program.BUILD_DIR)
        cls.addClassCleanup(cls.mock.close)
        cls.complaints = []
        cls.page = cls.blank_page()
        cls.addClassCleanup(cls.page.context.close)

    @classmethod
    def blank_page(cls, init_script=None):
        page = cls.browser.new_context().new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: cls.complaints.append(str(error)))
        page.on("console", lambda message: cls.complaints.append(message.text) if message.type == "error" and "status of" not in message.text else None)
        if init_script:
            page.add_init_script(init_script)
        return page

    def setUp(self):
        self.mock.reset()
        self.page.goto(self.mock.url + "nothing-there")  # same origin, so the same storage, and no script of ours
        self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        self.complaints.clear()
        self.open()

    def open(self, page=None, viewport=None, scheme="light"):
        """Loads the page anew, and waits until it knows the model if it may."""
        page = page or self.page
        page.set_viewport_size(viewport or self.viewport)
        page.emulate_media(color_scheme=scheme)
        page.goto(self.mock.url)
        if self.mock.key is None:
            page.wait_for_selector("#model:not(:empty)", state="attached")

    def page_with(self, init_script):
        page = self.blank_page(init_script)
        self.addCleanup(page.context.close)
        self.open(page)
        return page

    def tearDown(self):
        self.assertEqual(self.complaints, [])  # errors of scripts, and what the policy forbade

    def until(self, expression, page=None, arg=None):
        """Waits until the expression is true. Playwright's own waiting evaluates text inside the page, which the page's policy forbids."""
        page = page or self.page
        end = time.monotonic() + TIMEOUT_MS / 1000
        while not page.evaluate(expression, arg):
            self.assertLess(time.monotonic(), end, "not true in time: " + expression)
            page.wait_for_timeout(20)

    def ask(self, text, page=None):
        """Sends a message and waits for the end of its answer."""
        page = page or self.page
        page.fill("#prompt", text)
        page.press("#prompt", "Enter")
        self.wait_for_end(page)

    def wait_for_end(self, page=None):
        self.until("document.getElementById('stop').hidden && document.querySelectorAll('.message.assistant').length > 0", page)

    def last_answer(self, page=None):
        return (page or self.page).locator(".message.assistant").last

    def texts(self, selector, page=None):
        return (page or self.page).locator(selector).all_inner_texts()
