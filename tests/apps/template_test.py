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

    def test_a_file_that_is_missing(self):
        self.expect_error('"nowhere.jinja": no such file or folder', "template", "nowhere.jinja", "--messages", str(self.messages))


if __name__ == "__main__":
    program.main()
