"""rafter template: the prompt of a list of messages, with the model given by path or by name."""
import json

import program


class Template(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.messages = cls.folder / "messages.json"
        cls.messages.write_text(json.dumps([{"role": "user", "content": "Hello there"}]))

    def render(self, model, **options):
        return self.rafter("template", model, "--messages", str(self.messages), **options).stdout.decode()

    def test_a_name_and_a_path_give_the_same_prompt(self):
        prompt = self.render(self.model)
        self.assertIn("Hello there", prompt)
        named = {**self.environment, "RAFTER_MODELS_DIR": str(self.folder)}
        self.assertEqual(self.render("Tiny", env=named), prompt)

    def test_a_file_with_the_text_of_a_template(self):
        source = self.folder / "plain.jinja"
        source.write_text("<{{ messages[0].content }}>")
        self.assertEqual(self.render(str(source)), "<Hello there>")

    def test_a_request_body_has_the_messages(self):
        source = self.folder / "all.jinja"
        source.write_text("{{ messages[0].content }}|{{ tools | length }}|{{ x }}|{{ y }}")
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [{}, {}], "chat_template_kwargs": {"x": 1, "y": 2}}
        given = json.dumps(body).encode()
        done = self.rafter("template", str(source), "--messages", "-", "--var", "y=3", stdin=None, input=given)
        self.assertEqual(done.stdout, b"Hi|2|1|3")
        named = {**self.environment, "RAFTER_MODELS_DIR": str(self.folder)}
        done = self.rafter("template", "tiny", "--messages", "-", stdin=None, input=given, env=named)
        self.assertIn(b"Hi", done.stdout)

    def test_a_cache_folder_is_a_model(self):
        folder = self.folder / "models--x--y" / "snapshots" / "abc" / "Q8_0"
        folder.mkdir(parents=True)
        program.make_tiny_model(folder / "m.gguf")
        self.assertEqual(self.render(str(self.folder / "models--x--y")), self.render(self.model))

    def test_a_file_that_is_missing(self):
        self.expect_error('"nowhere.jinja": no such file or folder', "template", "nowhere.jinja", "--messages", str(self.messages))


if __name__ == "__main__":
    program.main()
