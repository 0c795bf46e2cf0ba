"""The web page in Debian's chromium, against a server whose answers each test decides on: chat, stop, reload, edit, errors, markup that must stay
text, keyboard alone, narrow screens, contrast, the live roofline."""
import json
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "page"))
from browser import CONTRASTS, PageCase  # noqa: E402
from mock_server import SHOWN, Refused, chunk, events_of, sse  # noqa: E402


class Chat(PageCase):
    def test_an_answer_streams_and_says_what_it_took(self):
        go = threading.Event()

        def answer(_):
            events = events_of("One **two** three.", 3)
            yield from events[:4]
            go.wait(20)
            yield from events[4:]

        self.mock.chat = answer
        self.page.fill("#prompt", "Count.")
        self.page.press("#prompt", "Enter")
        self.until("document.querySelector('.markdown') && document.querySelector('.markdown').textContent.includes('One')")
        self.assertTrue(self.page.is_visible("#stop"))
        self.assertEqual(self.page.text_content("#announcer"), "")  # a screen reader hears the whole, not each token
        go.set()
        self.wait_for_end()
        self.assertEqual(self.last_answer().locator(".markdown").inner_html(), "<p>One <strong>two</strong> three.</p>")
        facts = " | ".join(self.texts(".facts li"))
        self.assertEqual(facts, "6 tokens | 38.2 tok/s | first token 312 ms, predicted 297 ms | 64% of the roof | 120 of 130 prompt tokens cached")
        self.assertEqual(self.page.text_content("#announcer"), "Answer: One two three.")
        body = self.mock.requests[0]
        self.assertEqual(body["messages"], [{"role": "user", "content": "Count."}])
        self.assertEqual((body["stream"], body["stream_options"], body["model"]), (True, {"include_usage": True}, "SmolLM2-135M-Instruct"))
        self.assertNotIn("temperature", body)

    def test_events_are_read_however_they_are_cut(self):
        text = "Grüße, 漢字 and 🛶.\n\nSecond."
        whole = b": a sign of life\r\n\r\n" + b"".join(events_of(text, 5)).replace(b"\n", b"\r\n")
        whole += b"data: ignored after the end\n\n"
        whole = whole.replace(b'data: {"id"', b'data:{\r\ndata: "id"', 1)  # one event in two lines of data
        for size in (1, 2, 7, 4096):
            self.mock.chat = lambda _, size=size: [whole[i : i + size] for i in range(0, len(whole), size)]
            self.ask(f"In parts of {size}")
            self.assertEqual(self.last_answer().locator("p").all_inner_texts(), ["Grüße, 漢字 and 🛶.", "Second."])

    def test_the_parser_of_events_knows_the_format(self):
        cases = [
            (["data: a\n\n"], ["a"]), (["data: a\r", "\ndata: b\r\n\r", "\n"], ["a\nb"]), (["data:a\rdata:b\r\r"], ["a\nb"]), (["data\n\n"], [""]),
            ([": x\n\n", "event: e\n\n", "id: 4\nretry: 9\ndata:  a\n\n"], [" a"]), (["data: cut off"], []), (["da", "ta", ": a", "\n", "\n"], ["a"]),
            (["data: a\r", "\n", "\n"], ["a"]), (["data: a\n\r\n", "data: b\r\r"], ["a", "b"]),
        ]
        for parts, expected in cases:
            found = self.page.evaluate("(parts) => { const p = new EventParser(); return parts.flatMap((part) => p.push(part)).map((e) => e.data); }", parts)
            self.assertEqual(found, expected, parts)

    def test_stopping_keeps_what_came_and_tells_the_server(self):
        def answer(_):
            yield from events_of("Partial answer that goes on and on.")[:3]
            for _ in range(400):
                yield 0.05
                yield sse(chunk({"content": "."}))

        self.mock.chat = answer
        self.page.fill("#prompt", "Go on.")
        self.page.press("#prompt", "Enter")
        self.until("(document.querySelector('.markdown')?.textContent || '').includes('Partial')")
        self.page.keyboard.press("Escape")
        self.wait_for_end()
        self.assertIn("Partial", self.last_answer().locator(".markdown").inner_text())
        self.assertIn("stopped", self.texts(".facts li"))
        for _ in range(100):
            if self.mock.n_broken:
                break
            self.page.wait_for_timeout(50)
        self.assertEqual(self.mock.n_broken, 1)
        self.assertEqual(self.page.evaluate("document.activeElement.id"), "prompt")
        self.mock.chat = lambda _: events_of("Next.")
        self.ask("And now?")
        self.assertEqual(self.last_answer().locator("p").inner_text(), "Next.")

    def test_conversations_outlive_a_reload_even_one_in_the_middle_of_an_answer(self):
        self.ask("First question")
        self.page.click("#new-conversation")

        def endless(_):
            yield from events_of("Half of an answer")[:3]
            yield 20

        self.mock.chat = endless
        self.page.fill("#prompt", "Second question")
        self.page.press("#prompt", "Enter")
        self.until("(document.querySelector('.markdown')?.textContent || '').includes('Half')")
        self.page.reload()
        self.assertEqual(self.texts("#conversation-list .name"), ["Second question", "First question"])
        self.assertEqual(self.texts(".message.user .text"), ["Second question"])
        self.assertIn("Half", self.last_answer().locator(".markdown").inner_text())
        self.assertIn("interrupted", self.texts(".facts li"))
        self.page.click("#conversation-list .name >> text=First question")
        self.assertEqual(self.texts(".markdown p"), ["Hello."])

    def test_an_answer_goes_on_while_another_conversation_is_shown(self):
        go = threading.Event()

        def answer(body):
            events = events_of("Late answer." if "slow" in body["messages"][-1]["content"] else "Quick answer.")
            yield events[0]
            if "slow" in body["messages"][-1]["content"]:
                go.wait(20)
            yield from events[1:]

        self.mock.chat = answer
        self.page.fill("#prompt", "slow one")
        self.page.press("#prompt", "Enter")
        self.page.wait_for_selector(".waiting")
        self.page.click("#new-conversation")
        self.ask("fast one")
        self.assertEqual(self.texts(".markdown p"), ["Quick answer."])
        go.set()
        self.page.click("#conversation-list .name >> text=slow one")
        self.page.wait_for_selector("text=Late answer.")
        self.wait_for_end()

    def test_editing_asks_again_from_there_and_can_be_undone(self):
        self.mock.chat = lambda body: events_of("Re: " + body["messages"][-1]["content"])
        self.ask("one")
        self.ask("two")
        self.page.locator(".message.user").first.hover()
        self.page.get_by_label("Edit the message and ask again").first.click()
        self.page.get_by_label("Edit the message", exact=True).fill("changed")
        self.page.keyboard.press("Enter")
        self.wait_for_end()
        self.page.wait_for_selector("text=Re: changed")
        self.assertEqual(self.texts(".message.user .text"), ["changed"])
        self.assertEqual(self.mock.requests[-1]["messages"], [{"role": "user", "content": "changed"}])
        self.page.click("#toast-action")
        self.assertEqual(self.texts(".message.user .text"), ["one", "two"])
        self.assertEqual(self.texts(".markdown p"), ["Re: one", "Re: two"])

    def test_retrying_replaces_the_answer(self):
        self.ask("one")
        self.mock.chat = lambda _: events_of("Another.")
        self.page.get_by_label("Ask again for this answer").click()
        self.page.wait_for_selector("text=Another.")
        self.wait_for_end()
        self.assertEqual(self.texts(".markdown p"), ["Another."])
        self.assertEqual(self.mock.requests[-1]["messages"], [{"role": "user", "content": "one"}])

    def test_settings_are_sent_and_kept_and_the_key_is_not_kept_with_them(self):
        page = self.page
        page.click("#open-settings")
        page.fill("#set-temperature", "warm")
        page.keyboard.press("Enter")
        self.assertEqual(page.inner_text("#settings-problem"), "Temperature: expected a number from 0 to 100.")
        page.fill("#set-temperature", "0,5")
        page.fill("#set-system", "Be brief.")
        page.fill("#set-max-tokens", "20")
        page.fill("#set-seed", "7")
        page.fill("#set-key", "secret-key-of-16-characters")
        page.click("#settings button[type=submit]")
        self.ask("Hi")
        body = self.mock.requests[0]
        self.assertEqual(body["messages"][0], {"role": "system", "content": "Be brief."})
        self.assertEqual({name: body.get(name) for name in ("temperature", "top_p", "max_tokens", "seed")},
                         {"temperature": 0.5, "top_p": None, "max_tokens": 20, "seed": 7})
        self.assertNotIn("secret-key", page.evaluate("JSON.stringify(localStorage)"))
        page.reload()
        page.click("#open-settings")
        self.assertEqual(page.input_value("#set-system"), "Be brief.")
        self.assertEqual(page.input_value("#set-key"), "secret-key-of-16-characters")  # of this tab's session

    def test_conversations_are_renamed_deleted_with_a_way_back_and_exported(self):
        page = self.page
        self.ask("A question about <b>boats</b>")
        page.hover("#conversation-list li")
        page.get_by_label("Rename:").click()
        page.keyboard.type("Boats & <i>more</i>")
        page.keyboard.press("Enter")
        self.assertEqual(self.texts("#conversation-list .name"), ["Boats & <i>more</i>"])
        with page.expect_download() as download:
            page.click("#export-all")
        data = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        self.assertEqual(data["conversations"][0]["title"], "Boats & <i>more</i>")
        self.assertEqual(data["conversations"][0]["messages"][0], {"role": "user", "content": "A question about <b>boats</b>"})
        page.hover("#conversation-list li")
        page.get_by_label("Delete:").click()
        self.assertEqual(self.texts("#conversation-list .name"), [])
        self.assertEqual(page.evaluate("Object.keys(localStorage).filter((key) => key.includes('conversation'))"), [])
        page.click("#toast-action")
        self.assertEqual(self.texts("#conversation-list .name"), ["Boats & <i>more</i>"])

    def test_full_storage_is_said_and_the_chat_goes_on(self):
        page = self.page_with("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };")
        self.ask("Hi", page)
        self.assertEqual(self.texts(".markdown p", page), ["Hello."])
        self.assertIn("storage is full", page.inner_text("#kept"))

    def test_a_browser_without_storage_has_a_chat(self):
        page = self.page_with("for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError'); } });")
        self.ask("Hi", page)
        self.assertEqual(self.texts(".markdown p", page), ["Hello."])
        self.assertIn("keeps nothing", page.inner_text("#kept"))

    def test_damaged_storage_is_passed_over(self):
        damaged = ["{", "null", "[]", '{"id":"x"}', '{"id":"../x","messages":[]}', '{"id":"ok","title":5,"messages":[{"role":"system","content":"x"},null,{"role":"user","content":"kept"}]}']
        script = f"const values = {json.dumps(damaged)}; values.forEach((value, i) => localStorage.setItem('rafter.conversation.' + i, value)); localStorage.setItem('rafter.settings', '[1]'); localStorage.setItem('rafter.theme', 'x');"
        page = self.page_with(script)
        self.assertEqual(self.texts("#conversation-list li", page), ["New conversation"])
        self.assertEqual(self.texts(".message .text", page), ["kept"])

    def test_another_tab_sees_what_this_one_saved(self):
        other = self.page.context.new_page()
        other.goto(self.mock.url)
        self.ask("From the first tab")
        other.wait_for_selector("#conversation-list .name >> text=From the first tab")


class Failures(PageCase):
    def test_a_refused_request_says_what_the_server_said(self):
        def refuse(_):
            raise Refused(400, "body: top_p: expected a number above 0 and at most 1, found <b>5</b>")

        self.mock.chat = refuse
        self.ask("Hi")
        self.assertEqual(self.last_answer().locator(".failure").inner_text(), "The server refused this request (400)\nbody: top_p: expected a number above 0 and at most 1, found <b>5</b>")
        self.mock.chat = lambda _: events_of("Fine now.")
        self.page.get_by_label("Ask again for this answer").click()
        self.page.wait_for_selector("text=Fine now.")
        self.assertEqual(self.page.locator(".failure:visible").count(), 0)

    def test_a_busy_server_says_how_long_to_wait(self):
        def busy(_):
            raise Refused(429, "the queue is 30 s long", {"Retry-After": "30"})

        self.mock.chat = busy
        self.ask("Hi")
        text = self.last_answer().locator(".failure").inner_text()
        self.assertIn("The server is busy (429)", text)
        self.assertIn("the queue is 30 s long", text)
        self.assertRegex(text, r"It asks to wait \d+(\.\d+)? s before the next try")

    def test_a_missing_key_is_asked_for_kept_for_the_session_and_the_question_asked_again(self):
        self.mock.key = "a-key-of-some-length"
        page = self.page
        self.open()
        page.wait_for_selector("#key-dialog[open]")
        page.keyboard.press("Escape")
        page.fill("#prompt", "Hi")
        page.press("#prompt", "Enter")
        page.wait_for_selector("#key-dialog[open]")
        self.assertIn("Incorrect API key", page.inner_text("#key-message"))
        page.fill("#key-input", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key-input", self.mock.key)
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Hello.")
        page.wait_for_selector("#model:not(:empty)")
        self.assertEqual(page.evaluate("[JSON.stringify(sessionStorage).includes('a-key-of'), JSON.stringify(localStorage).includes('a-key-of')]"), [True, False])
        self.assertEqual(page.locator(".failure:visible").count(), 0)

    def test_an_error_in_the_stream_keeps_what_came(self):
        self.mock.chat = lambda _: events_of("Some words")[:3] + [sse({"error": {"message": "the engine has failed: no memory", "code": None}})]
        self.ask("Hi")
        self.assertIn("Some", self.last_answer().locator(".markdown").inner_text())
        self.assertIn("the engine has failed: no memory", self.last_answer().locator(".failure").inner_text())

    def test_a_stream_that_breaks_off_is_no_answer(self):
        self.mock.chat = lambda _: events_of("Some words")[:3]
        self.ask("Hi")
        self.assertIn("ended before the answer was complete", self.last_answer().locator(".failure").inner_text())
        self.mock.cut_off = True
        self.ask("Hi again")
        self.assertIn("broke before the answer was complete", self.last_answer().locator(".failure").inner_text())
        self.complaints[:] = [text for text in self.complaints if "ERR_CONTENT_LENGTH_MISMATCH" not in text]

    def test_events_that_are_no_json_are_an_error(self):
        self.mock.chat = lambda _: [b"data: {nonsense\n\n"]
        self.ask("Hi")
        self.assertIn("not JSON", self.last_answer().locator(".failure").inner_text())

    def test_an_error_that_is_no_json_is_shown_as_text(self):
        def fail(_):
            raise Refused(502, "", raw=b"<h1>Bad gateway</h1>")

        self.mock.chat = fail
        self.ask("Hi")
        self.assertIn("<h1>Bad gateway</h1>", self.last_answer().locator(".failure").inner_text())

    def test_a_server_that_is_gone_is_said_and_found_again(self):
        self.page.route("**/roofline", lambda route: route.abort())
        self.page.route("**/chat/completions", lambda route: route.abort())
        self.ask("Hi")
        self.assertIn("cannot be reached", self.last_answer().locator(".failure").inner_text())
        self.page.wait_for_selector("#machine-notice:not([hidden])")
        self.page.unroute_all()
        self.page.wait_for_selector("#machine-notice", state="hidden")
        self.complaints[:] = [text for text in self.complaints if "ERR_FAILED" not in text]


HOSTILE = """<img src=x onerror="window.hacked=1"> <script>window.hacked=1</script>

<svg/onload=window.hacked=1> [click](javascript:window.hacked=1) [data](data:text/html,x) [rel](/v1/models) [up](../x) ![pic](http://example.com/p.png)

[**ok**](https://example.com/a?b=c&d=e "title") <https://example.com/x> https://example.com/bare_path. [split](java
script:alert(1)) [tab](java&#9;script:alert(1)) [vb](vbscript:x) [up](JAVASCRIPT:window.hacked=1) <javascript:alert(1)>

| <b>cell</b> | x |
|---|---|
| <img src=x onerror=window.hacked=1> | `<i>` |

# <iframe src="javascript:window.hacked=1">

- <style>*{display:none}</style>
> <a href="javascript:alert(1)" onclick="window.hacked=1">x</a>

```html
<script>window.hacked=1</script>
never closed <img src=x onerror=window.hacked=1>"""

RANDOM_DOCUMENTS = """([seed, n]) => {
     const allowed = new Set("P EM STRONG DEL CODE A BR H3 H4 H5 H6 UL OL LI BLOCKQUOTE HR DIV SPAN BUTTON PRE TABLE THEAD TBODY TR TH TD".split(" "));
     let state = seed; const next = (k) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor(state / 4294967296 * k); };
     const pieces = ["*", "**", "_", "~~", "`", "```", "~~~", "\\n", "\\n\\n", "\\n", " ", "  ", "    ", "- ", "* ", "1. ", "2) ", "> ", "#", "# ", "|", "|-|", "|---|---|", "| a | b |", ":", "[", "]", "(", ")", "](https://x.org)", "](javascript:x)", "<b>", "<https://y.org>", "https://z.org/a_b", "\\\\", "a", "b c", "_d_", "---", "***", "[x] ", "!", "é", "🛶", "\\t", "\\r"];
     const wrong = [];
     for (let i = 0; i < n; ++i) {
      let text = ""; const size = 1 + next(60); for (let j = 0; j < size; ++j) text += pieces[next(pieces.length)];
      const whole = document.createElement("div"), parts = document.createElement("div"), view = new MarkdownView(parts);
      new MarkdownView(whole).update(text);
      for (let at = 0; at < text.length;) { at += 1 + next(9); view.update(text.slice(0, at)); }
      if (whole.innerHTML !== parts.innerHTML) wrong.push(["differs", text, whole.innerHTML, parts.innerHTML]);
      for (const node of whole.querySelectorAll("*")) {
        if (!allowed.has(node.tagName)) wrong.push(["element", text, node.tagName]);
        if (node.tagName === "A" && !/^https?:/.test(node.getAttribute("href"))) wrong.push(["href", text, node.getAttribute("href")]);
      }
      if (wrong.length > 5) break;
     }
     return wrong; }"""


class Markup(PageCase):
    def test_markup_from_the_model_stays_text(self):
        for finish in ("whole", "in parts"):
            self.mock.chat = lambda _, n=4000 if finish == "whole" else 3: events_of(HOSTILE, n)
            self.ask(HOSTILE)
            answer = self.last_answer().locator(".markdown")
            self.assertEqual(answer.locator("img, script, iframe, style, svg, [onerror], [onclick], [style]").count(), 0)
            links = answer.locator("a").evaluate_all("all => all.map((a) => [a.getAttribute('href'), a.rel, a.target])")
            self.assertEqual([link[0] for link in links], ["http://example.com/p.png", "https://example.com/a?b=c&d=e", "https://example.com/x", "https://example.com/bare_path"])
            self.assertTrue(all("noopener" in link[1] and link[2] == "_blank" for link in links))
            self.assertIn('<img src=x onerror="window.hacked=1">', answer.inner_text())
            self.assertIn("[click](javascript:window.hacked=1)", answer.inner_text())
            self.assertEqual(answer.locator("pre code").inner_text(), "<script>window.hacked=1</script>\nnever closed <img src=x onerror=window.hacked=1>")
            self.assertIsNone(self.page.evaluate("window.hacked ?? null"))
        self.assertEqual(self.page.locator(".message.user img, .message.user script, #conversation-list img").count(), 0)

    def test_even_a_mistake_of_the_page_could_not_run_markup(self):
        # In a timer, for what Playwright itself evaluates may do more than the page.
        refused = self.page.evaluate("""() => new Promise((done) => setTimeout(() => { const tries = [() => { document.body.innerHTML = "<b>x</b>"; }, () => eval("1"), () => new Function("return 1")()];
            done(tries.map((one) => { try { one(); return "ran"; } catch (error) { return error.name; } })); }))""")
        self.assertNotIn("ran", refused)
        self.page.evaluate("""() => new Promise((done) => setTimeout(() => { const s = document.createElement("script"); try { s.append("window.hacked = 1"); } catch { } document.body.append(s); done(); }))""")
        self.assertIsNone(self.page.evaluate("window.hacked ?? null"))
        self.assertTrue(all("Content Security Policy" in text or "Trusted" in text for text in self.complaints), self.complaints)
        self.complaints.clear()

    def render(self, text):
        return self.page.evaluate("(text) => { const root = document.createElement('div'); new MarkdownView(root).update(text); return root.innerHTML; }", text)

    def test_the_dialect(self):
        cases = {
            "a *b* **c** ***d*** ~~e~~ `f*g*`": "<p>a <em>b</em> <strong>c</strong> <em><strong>d</strong></em> <del>e</del> <code>f*g*</code></p>",
            "snake_case_name and 2*3*4 a * b": "<p>snake_case_name and 2<em>3</em>4 a * b</p>",
            "line\nnext": "<p>line<br>next</p>",
            "\\*not\\* \\# \\(x\\) \\\\": "<p>*not* # \\(x\\) \\</p>",
            "# One\n## Two ##\n####### seven": "<h3>One</h3><h4>Two</h4><p>####### seven</p>",
            "- a\n- b\n  - c\n\n    more\n- d": "<ul><li>a</li><li>b<ul><li>c<p>more</p></li></ul></li><li>d</li></ul>",
            "3. c\n4. d\n   - e": '<ol start="3"><li>c</li><li>d<ul><li>e</li></ul></li></ol>',
            "- a\n\n- b": "<ul><li><p>a</p></li><li><p>b</p></li></ul>",
            "- [ ] x\n- [x] y": '<ul><li class="task">☐ x</li><li class="task">☑ y</li></ul>',
            "1. a\n```\ncode\n```\n2. b": None,
            "> q\n> - r\n\ntext": "<blockquote><p>q</p><ul><li>r</li></ul></blockquote><p>text</p>",
            "---\n***": "<hr><hr>",
            "``a ` b`` ` c": "<p><code>a ` b</code> ` c</p>",
            "**bold *both***": "<p><strong>bold <em>both</em></strong></p>",
            "*a **b*": "<p>*a *<em>b</em></p>",
            "[a [b](https://x.org/)": '<p>[a <a href="https://x.org/" title="https://x.org/" target="_blank" rel="noopener noreferrer nofollow">b</a></p>',
        }
        for text, expected in cases.items():
            found = self.render(text).replace("<p></p>", "")
            if expected is not None:
                self.assertEqual(found, expected, text)
        table = self.render("| a | b\\|c |\n|:-:|--:|\n| 1 | **2** | 3 |\n| x |\n\nafter")
        self.assertIn('<th class="center" scope="col">a</th><th class="right" scope="col">b|c</th>', table)
        self.assertIn('<td class="center">1</td><td class="right"><strong>2</strong></td></tr>', table)
        self.assertTrue(table.endswith("<p>after</p>"))
        code = self.render("  ```c++ x\n  int a;\n    b\n  ```\nafter")
        self.assertIn("<code>int a;\n  b</code>", code)
        self.assertIn("<span>c++</span>", code)

    def test_text_that_arrives_in_parts_ends_as_the_same_document(self):
        script = """([text, size]) => { const whole = document.createElement("div"), parts = document.createElement("div"), view = new MarkdownView(parts);
            new MarkdownView(whole).update(text);
            for (let i = size; i < text.length + size; i += size) view.update(text.slice(0, i));
            return [whole.innerHTML, parts.innerHTML]; }"""
        texts = [SHOWN, HOSTILE, "a\n#b\n# c\n\n- x\n\n1. y\n\n\n   z\n-\n--\n---\n| a |\n|-|\n|b|\n~~~\n```\n~~\n~~~\n> q\nr\n", "intro\n| a | b |\n|---|---|---|\n| 1 | 2 |\n",
                 "```js\nlet a = 1;\n\n\n``\n```\n\n***\n**a\nb**\n* c\n*d*\n+ e\n"]
        for text in texts:
            for size in (1, 2, 5, 17):
                whole, parts = self.page.evaluate(script, [text, size])
                self.assertEqual(parts, whole, (size, text))

    def test_random_text_in_random_parts_ends_as_the_same_document_of_harmless_elements(self):
        self.assertEqual(self.page.evaluate(RANDOM_DOCUMENTS, [20260, 600]), [])

    def test_what_is_complete_is_made_once(self):
        kept = self.page.evaluate("""() => { const root = document.createElement("div"), view = new MarkdownView(root); let text = "first paragraph\\n\\nsecond one\\n\\n";
            view.update(text); root.firstChild.mark = 1;
            for (let i = 0; i < 300; ++i) { text += "word " + i + (i % 10 ? " " : "\\n\\n"); view.update(text); }
            text += "\\n\\n```\\nlong\\n"; view.update(text); root.lastChild.mark = 2;
            for (let i = 0; i < 300; ++i) { text += "line " + i + "\\n"; view.update(text); }
            return [root.firstChild.mark, root.lastChild.mark, root.lastChild.querySelector("code").textContent.trim().split("\\n").length]; }""")
        self.assertEqual(kept, [1, 2, 301])

    def test_hostile_text_takes_no_longer_than_its_length(self):
        lengths = self.page.evaluate("""() => { const n = 20000, texts = ["*a ".repeat(n), "*a **b ".repeat(n) + "c* d** ".repeat(n), "_".repeat(3 * n), "*".repeat(n) + "a" + "*".repeat(n),
              "[".repeat(n), "[a](".repeat(n), "`".repeat(n) + "a", "` `` ``` ".repeat(n), ">".repeat(n) + "a", "- ".repeat(n) + "a", "https://[".repeat(n), "~".repeat(n) + "`", "| a ".repeat(n) + "|\\n" + "|-".repeat(n),
              "<https://".repeat(n), "\\\\".repeat(n), "- a\\n  ".repeat(n), "1. x\\n".repeat(n), "#".repeat(n), " ".repeat(n) + "x", "- - -".repeat(n), "a\\n".repeat(n)];
            const start = performance.now(), sizes = [];
            for (const text of texts) { const root = document.createElement("div"); new MarkdownView(root).update(text.slice(0, 100000)); sizes.push(root.textContent.length > 0); }
            return [performance.now() - start, sizes.every(Boolean) || sizes]; }""")
        self.assertIs(lengths[1], True)
        self.assertLess(lengths[0], 15_000)  # a second when nothing else runs; what grows with the square of the length takes minutes


class Roofline(PageCase):
    def positions(self):
        return self.page.evaluate("[...document.querySelectorAll('.dot')].map((dot) => dot.getAttribute('transform'))")

    def test_marks_move_under_the_roofs(self):
        self.page.wait_for_selector(".dot", state="attached")
        before = self.positions()
        self.until("(before) => ![...document.querySelectorAll('.dot')].some((dot) => dot.getAttribute('transform') === before)", arg=before[-1])
        self.assertGreater(len(self.positions()), 8)
        self.assertEqual(self.page.inner_text("#roof-headline"), "At 64% of the roof")
        self.assertEqual(self.page.inner_text("#verdict-headline"), "Decode at 64% of the memory roof")
        self.assertEqual(self.page.locator("#verdict-lines li").count(), 3)
        gauges = dict(zip(self.texts(".gauge dt"), self.texts(".gauge dd")))
        self.assertEqual((gauges["KV cache"], gauges["Prefix hits"], gauges["Drafts accepted"], gauges["Running"]), ("27%", "52%", "78%", "3 1.20 s left"))
        self.assertEqual(self.page.locator(".chart .roof-name").all_text_contents(), ["31.0 GB/s", "230 GFLOP/s"])
        self.page.click("#steps summary")
        self.page.wait_for_selector("#steps tbody tr")
        self.assertEqual(self.page.locator("#steps th").count(), 7)

    def test_marks_lie_where_their_numbers_say(self):
        steps = [{"id": 1000 + i, "seconds_ago": 0.1, "kind": "decode", "n_tokens": 1, "n_sequences": 1, "flops_per_byte": 10.0**i, "flop_per_s": 10.0 ** (9 + i), "bytes_per_s": 1e9,
                  "predicted_seconds": 0.02, "measured_seconds": 0.02, "bound": "memory"} for i in (0, 1, 2)]
        nothing = {"id": 1009, "seconds_ago": 0.1, "kind": "none", "n_tokens": 0, "n_sequences": 0, "flops_per_byte": None, "flop_per_s": None, "bytes_per_s": None,
                   "predicted_seconds": None, "measured_seconds": 0.001, "bound": None}
        data = self.mock.roofline()
        self.mock.roofline = lambda: {**data, "steps": steps + [nothing]}
        self.open()
        self.until("document.querySelectorAll('.dot').length === 3")
        places = [tuple(float(part) for part in place[10:-1].split(" ")) for place in self.positions()]
        (ax, ay), (bx, by), (cx, cy) = places
        self.assertAlmostEqual(bx - ax, cx - bx, delta=0.3)
        self.assertAlmostEqual(by - ay, cy - by, delta=0.3)
        self.assertLess(by, ay)

    def test_without_a_machine_profile_or_steps_it_says_so(self):
        empty = {"machine": None, "model": "m", "now": {"window_seconds": 1.0, "n_running": 0, "n_queued": 0, "queued_seconds": 0, "decode_tokens_per_s": 0, "prefill_tokens_per_s": 0,
                 **{name: None for name in ("mbu", "mfu", "roof_fraction", "kv_used_fraction", "prefix_hit_fraction", "drafted_per_s", "accepted_per_s", "predicted_over_measured")}},
                 "steps": [], "verdict": None}
        self.mock.roofline = lambda: empty
        page = self.page
        self.open()
        page.wait_for_selector("text=rafter probe")
        self.assertEqual(page.inner_text("#roof-headline"), "Nothing has run yet")
        self.assertEqual(self.texts(".gauge dd", page)[:3], ["–", "–", "–"])

    def test_without_a_verdict_it_says_what_it_knows(self):
        data = self.mock.roofline()
        data["verdict"] = None
        self.mock.roofline = lambda: data
        self.open()
        self.page.wait_for_selector("text=No request.")
        self.assertEqual(self.page.inner_text("#roof-headline"), "At 64% of the roof")
        data["now"].update(roof_fraction=None, n_running=0)
        self.page.wait_for_selector("text=Idle")

    def test_the_view_rests_when_nobody_sees_it(self):
        self.page.wait_for_selector(".dot", state="attached")
        self.page.click("#pause")
        self.page.wait_for_timeout(300)
        n_polls = self.mock.n_polls
        self.page.wait_for_timeout(1300)
        self.assertEqual(self.mock.n_polls, n_polls)
        self.page.click("#pause")
        for _ in range(100):
            if self.mock.n_polls > n_polls:
                break
            self.page.wait_for_timeout(50)
        self.assertGreater(self.mock.n_polls, n_polls)

    def test_marks_tell_their_numbers_to_pointer_and_keyboard(self):
        page = self.page
        page.wait_for_selector(".dot[tabindex='0']", state="attached")
        page.click("#pause")
        page.focus(".dot[tabindex='0']")
        self.assertRegex(page.inner_text(".tip"), r"(?s)token.*FLOP/byte, [\d.]+ GFLOP/s, \d+% of the roof.*predicted.*bound by (memory|compute), .* ago")
        first = page.evaluate("document.activeElement.getAttribute('aria-label')")
        self.assertIn("of the roof", first)
        page.keyboard.press("ArrowLeft")
        self.assertNotEqual(page.evaluate("document.activeElement.getAttribute('transform')"), None)
        self.assertEqual(page.locator(".dot[tabindex='0']").count(), 1)
        page.keyboard.press("Escape")
        self.assertFalse(page.is_visible(".tip"))

    def test_the_focus_stays_on_a_mark_while_new_ones_come(self):
        self.page.wait_for_selector(".dot[tabindex='0']", state="attached")
        self.page.focus(".dot[tabindex='0']")
        n_polls = self.mock.n_polls
        while self.mock.n_polls < n_polls + 2:
            self.page.wait_for_timeout(100)
        self.assertTrue(self.page.evaluate("document.activeElement.classList.contains('dot')"))
        self.assertTrue(self.page.is_visible(".tip"))


class Reach(PageCase):
    """Who has no mouse, a small screen, or needs contrast."""

    def test_all_works_by_keyboard(self):
        page = self.page
        self.assertEqual(page.evaluate("document.activeElement.id"), "prompt")
        page.keyboard.type("One")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("two")
        page.keyboard.press("Enter")
        self.wait_for_end()
        self.assertEqual(self.mock.requests[0]["messages"][0]["content"], "One\ntwo")
        page.focus(".skip")
        seen = []
        for _ in range(40):
            page.keyboard.press("Tab")
            label = page.evaluate("""() => { const one = document.activeElement; if (one === document.body) return "";
                const style = getComputedStyle(one), box = one.closest(".composer") || one;
                const shown = style.outlineStyle !== "none" || getComputedStyle(box).boxShadow !== "none" || one.classList.contains("dot");
                return (shown ? "" : "NOT SHOWN ") + (one.getAttribute("aria-label") || one.textContent.trim() || one.id); }""")
            if label == "" and seen:
                break
            seen.append(label)
        self.assertFalse([label for label in seen if "NOT SHOWN" in label], seen)
        order = [next((i for i, label in enumerate(seen) if words in label), None) for words in
                 ("New conversation", "Copy the message", "Edit the message", "Copy the answer", "Ask again", "Pause", "Latest steps")]
        self.assertNotIn(None, order, seen)
        self.assertEqual(order, sorted(order), seen)

    def test_the_skip_link_comes_first_and_leads_to_the_message_box(self):
        page = self.page
        page.evaluate("document.activeElement.blur()")
        page.focus(".skip")
        self.assertGreaterEqual(page.evaluate("document.querySelector('.skip').getBoundingClientRect().top"), -60)
        page.keyboard.press("Enter")
        self.until("document.activeElement.id === 'prompt'")
        self.assertEqual(page.evaluate("document.querySelector('a[href], button, textarea').className"), "skip")

    def test_everything_has_a_name(self):
        self.ask("Hi")
        nameless = self.page.evaluate("""() => [...document.querySelectorAll("button, input, textarea, select, [role=region], nav, aside, [tabindex='0']")].filter((one) =>
            !(one.getAttribute("aria-label") || one.getAttribute("aria-labelledby") || one.textContent.trim() || (one.labels && one.labels.length)) && one.checkVisibility()).map((one) => one.outerHTML)""")
        self.assertEqual(nameless, [])

    def test_nothing_scrolls_sideways_on_a_phone(self):
        long = SHOWN + "\n" + "unbreakable" * 40 + "\n\n`" + "x" * 300 + "`\n\n```\n" + "z" * 300 + "\n```\n\n| " + " | ".join(["wide column"] * 12) + " |\n" + "|---" * 12 + "|\n\n" + "https://example.com/" + "y" * 200
        self.mock.chat = lambda _: events_of(long, 50)
        for width in (320, 360, 400):
            page = self.page
            self.open(viewport={"width": width, "height": 640})
            page.click("#open-conversations")
            page.click("#new-conversation")
            self.ask("w" * 200, page)
            for tab in ("#tab-machine", "#tab-chat"):
                page.click(tab)
                page.wait_for_timeout(50)
                wide = page.evaluate("""() => [document.documentElement.scrollWidth - innerWidth, ...["messages", "machine", "chat"].map((id) => { const one = document.getElementById(id); return one.scrollWidth - one.clientWidth; })]""")
                self.assertTrue(all(n <= 0 for n in wide), (width, tab, wide))
            self.assertTrue(page.is_visible("#prompt"))
        for wide in (".markdown pre", ".markdown .table"):  # what is wider scrolls in a box of its own
            box = self.page.locator(wide).last.evaluate("(one) => [one.scrollWidth > one.clientWidth, getComputedStyle(one).overflowX]")
            self.assertEqual(box, [True, "auto"], wide)

    def test_a_phone_has_tabs_and_a_drawer(self):
        page = self.page
        self.open(viewport={"width": 360, "height": 640})
        self.assertTrue(page.is_visible("#prompt"))
        self.assertFalse(page.is_visible("#chart"))
        n_polls = self.mock.n_polls
        page.focus("#tab-chat")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector("#chart svg")
        self.assertFalse(page.is_visible("#prompt"))
        self.assertEqual(page.get_attribute("#machine", "role"), "tabpanel")
        page.wait_for_selector(".dot")
        self.assertGreater(self.mock.n_polls, n_polls)
        page.click("#open-conversations")
        page.wait_for_selector("#new-conversation")
        page.keyboard.press("Escape")
        page.wait_for_selector("#new-conversation", state="hidden")
        page.click("#open-conversations")
        page.click("#new-conversation")
        page.wait_for_selector("#prompt")

    def test_text_has_contrast_in_light_and_dark(self):
        self.mock.chat = lambda _: events_of(SHOWN, 40)
        for scheme in ("light", "dark"):
            page = self.page
            self.open(scheme=scheme)
            page.click("#new-conversation")
            self.assertGreater(len(page.evaluate(CONTRASTS)), 15)
            self.ask("Hi", page)
            page.wait_for_selector(".dot", state="attached")
            page.click("#steps summary")
            found = page.evaluate(CONTRASTS)
            self.assertGreater(len(found), 60)
            self.assertEqual([one for one in found if one[0] < 4.5], [], scheme)
            page.click("#open-settings")
            self.assertEqual([one for one in page.evaluate(CONTRASTS) if one[0] < 4.5], [], scheme)

    def test_the_theme_can_be_chosen_and_is_kept(self):
        page = self.page
        ground = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        page.click("#theme")
        page.click("#theme")
        self.assertEqual(page.get_attribute("#theme", "aria-label"), "Colours: dark")
        dark = page.evaluate(ground)
        self.assertNotEqual(light, dark)
        page.reload()
        self.assertEqual(page.evaluate(ground), dark)


if __name__ == "__main__":
    unittest.main(verbosity=1)
