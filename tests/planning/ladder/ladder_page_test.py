"""The page of a made-up ladder in Debian's chromium: nothing beyond its window at any width, light, dark and printed, readable without scripts,
by keyboard, and no name becomes markup."""
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "server" / "page"))
from browser import CONTRASTS, browser_of_the_file  # noqa: E402
import program  # noqa: E402

TOOL = program.BUILD_DIR / "tests" / "tools" / "show_made_up_ladder"
KINDS = ("usual", "predicted", "crowded", "hostile")

# Boxes of a picture's texts and numbers that lie over each other, and texts beyond its edge. A number's digits lie on its circle.
COLLISIONS = """(svg) => {
  const whole = svg.getBoundingClientRect(), found = [];
  const shown = [...svg.querySelectorAll('text:not(.climb-digit), circle.climb-stop, circle.climb-key')].map((node) => [node.textContent.slice(0, 30), node.getBoundingClientRect()]);
  shown.forEach(([text, a], i) => {
    if (a.left < whole.left - 1 || a.right > whole.right + 1 || a.top < whole.top - 1 || a.bottom > whole.bottom + 1) found.push(text + ' lies beyond the picture');
    for (const [other, b] of shown.slice(0, i)) {
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left), y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 1 && y > 4) found.push(text + ' lies over ' + other);
    }
  });
  return shown.length > 40 ? found : ['too little was looked at'];
}"""


def report(form, kind):
    return subprocess.run([TOOL, form, kind], stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()


class LadderPage(unittest.TestCase):
    def open(self, kind, width=1280, **options):
        context = browser_of_the_file().new_context(viewport={"width": width, "height": 900}, **options)
        self.addCleanup(context.close)
        page = context.new_page()
        self.complaints, self.asked = [], []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.asked.append(request.url))
        page.set_content(report("html", kind))
        return page

    def test_nothing_scrolls_sideways(self):
        for kind in KINDS:
            page = self.open(kind)
            for width in (320, 390, 768, 1280) if kind == "usual" else (390, 1280):
                page.set_viewport_size({"width": width, "height": 900})
                self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), width, kind)
            self.assertEqual((self.complaints, self.asked), ([], []))

    def test_pictures_have_room_for_all_that_they_say(self):
        for kind in KINDS[:3]:
            page = self.open(kind)
            for width in (390, 1280):
                page.set_viewport_size({"width": width, "height": 900})
                pictures = [svg for svg in page.query_selector_all("figure svg") if svg.is_visible()]
                self.assertEqual(len(pictures), 2)
                for picture in pictures:
                    self.assertEqual(picture.evaluate(COLLISIONS), [], (kind, width))
                    self.assertGreaterEqual(picture.evaluate("(svg) => 15 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"), 12)

    def test_text_is_readable_in_light_and_dark(self):
        for scheme in ("light", "dark"):
            page = self.open("usual", color_scheme=scheme)
            found = page.evaluate(CONTRASTS)
            self.assertGreater(len(found), 200)
            # Digits lie on their circles, whose colour the measure does not see: it is the one of text on the page's ground, turned round.
            digits = {str(n) for n in range(1, 16)} | {"✓", "✗"}
            self.assertEqual([(round(ratio, 1), text) for ratio, text in found if ratio < 4.5 and text not in digits], [], scheme)

    def test_the_keyboard_reaches_the_numbers(self):
        page = self.open("usual")
        page.keyboard.press("Tab")
        tip = lambda: page.text_content("#tip")
        self.assertIn("Naive", tip())
        for _ in range(13):
            page.keyboard.press("Tab")
        self.assertIn("All of it", tip())
        page.keyboard.press("Tab")  # the waterfall's first bar
        self.assertIn("Naive", tip())
        page.keyboard.press("ArrowDown")
        self.assertIn("KV cache", tip())
        self.assertIn("8.91× measured, 8.32× predicted", tip())
        self.assertTrue(page.evaluate("document.activeElement.classList.contains('waterfall-bar')"))

    def test_it_is_whole_without_scripts(self):
        page = self.open("usual", java_script_enabled=False)
        text = page.inner_text("main")
        for words in ("37.0×", "Flash attention", "Decoding waits for weights", "83% of memory's 25.1 GB/s", "Skipped: this processor has no AMX",
                      "The text repeats itself too little", "rafter ladder SmolLM2-135M-Instruct.gguf --quick", "KL 0.0031 a token"):
            self.assertIn(words, text)
        self.assertEqual(page.locator("circle.climb-stop title").count(), 2 * 14)

    def test_names_stay_text(self):
        page = self.open("hostile")
        self.assertEqual(page.evaluate("document.scripts.length"), 1)
        self.assertIn("<script>alert(1)</script>", page.text_content("h1"))

    def test_it_prints(self):
        page = self.open("usual")
        self.assertTrue(page.pdf(prefer_css_page_size=True).startswith(b"%PDF"))

    def test_pictures_stand_alone(self):
        page = self.open("usual")
        for form in ("svg", "waterfall"):
            for kind in KINDS:
                self.assertEqual(page.evaluate("(text) => new DOMParser().parseFromString(text, 'image/svg+xml').documentElement.nodeName",
                                               report(form, kind)), "svg", (form, kind))


if __name__ == "__main__":
    unittest.main()
