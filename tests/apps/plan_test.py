"""rafter plan: every way to name a model and a device, every format, and what it says to nonsense."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import xml.etree.ElementTree
from html.parser import HTMLParser

import program

KEYS = {
    "model": ["parameters", "active_parameters", "weight_bytes", "kv_bytes_per_token", "weight_flops_per_token"],
    "prefill": ["step_seconds", "bound", "weights_seconds", "kv_seconds", "compute_seconds", "communication_seconds", "overhead_seconds",
                "tokens_per_second", "mbu", "mfu", "ops"],
    "memory": ["fits", "weights_bytes", "kv_bytes", "workspace_bytes", "capacity_bytes", "max_tokens", "max_sequences"],
    "speculation": ["expected_tokens", "speedup", "speedup_free_verification", "best_gamma"],
}
KEYS["decode"] = KEYS["prefill"]
ROOT_CASES = program.ROOT / "tests" / "model" / "hf" / "cases"
OP_KEYS = ["count", "flops", "bytes", "intensity", "seconds", "bound", "share"]


class Page(HTMLParser):
    """Tags that are open, and what a page would load from elsewhere."""

    VOID = {"meta", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.outside = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        for key, value in attributes:
            if key in ("src", "href", "srcset", "action") or (value or "").startswith(("http", "//")) and key != "xmlns":
                self.outside.append((key, value))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


SVG = "{http://www.w3.org/2000/svg}"


class Picture:
    """The boxes of a picture's labels and markers, as wide as its font is on average: 15 units, as the style says."""

    FONT, CHARACTER = 15, 0.55 * 15

    def __init__(self, case, svg):
        self.case, self.svg = case, svg
        self.width, self.height = map(float, svg.get("viewBox").split()[2:])

    def labels(self):
        for group in [self.svg, *self.svg.iter(SVG + "g")]:
            for text in group.findall(SVG + "text"):
                classes = (text.get("class") or "").split()
                x, y, width = float(text.get("x")), float(text.get("y")), self.CHARACTER * len(text.text)
                left = x - width if "end" in classes else x - width / 2 if "middle" in classes or "ladder-digit" in classes else x
                yield text.text, group, (left, y - 0.72 * self.FONT, left + width, y + 0.2 * self.FONT)

    def markers(self):
        for group in [self.svg, *self.svg.iter(SVG + "g")]:
            for circle in group.findall(SVG + "circle"):
                x, y, r = (float(circle.get(key)) for key in ("cx", "cy", "r"))
                yield circle.get("class"), group, (x - r, y - r, x + r, y + r)

    def check(self, pixels):
        case = self.case
        meet = lambda a, b: a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
        case.assertGreaterEqual(self.FONT * pixels / self.width, 12)
        for name in ("title", "desc"):
            case.assertTrue(self.svg.find(SVG + name).text)
        labels, markers = list(self.labels()), list(self.markers())
        case.assertGreater(len(labels), 10)
        case.assertGreater(len(markers), 10)
        for i, (text, group, box) in enumerate(labels):
            case.assertTrue(box[0] >= -2 and box[2] <= self.width + 2 and box[1] >= 0 and box[3] <= self.height, text)
            for other, _, other_box in labels[:i]:
                case.assertFalse(meet(box, other_box), f"{text!r} lies over {other!r}")
            for kind, marked, marker in markers:
                if group is self.svg or marked is not group:
                    case.assertFalse(meet(box, marker), f"{text!r} lies over a marker, {kind}")
        said = " ".join(text for text, _, _ in labels)
        if "roofline" in self.svg.get("class"):
            case.assertIn("FLOP/s of one device", said)
            case.assertIn("FLOP for each byte read from memory", said)
        else:
            case.assertIn("tok/s, all sequences", said)
            case.assertIn("time between tokens", said)


class Plan(program.Case):
    def plan(self, *arguments, **options):
        return json.loads(self.rafter("plan", *map(str, arguments), "--format", "json", **options).stdout)

    def write(self, name, data):
        path = self.folder / name
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return str(path)

    def test_json_has_the_documented_keys(self):
        answer = self.plan("Llama-3.1-8B", "--hardware", "H100", "--slo-itl", "0.02")
        for part, keys in KEYS.items():
            for key in keys:
                self.assertIn(key, answer[part], part)
        for op in answer["decode"]["ops"] + answer["prefill"]["ops"]:
            for key in OP_KEYS:
                self.assertIn(key, op)
        for what_if in answer["what_if"]:
            self.assertTrue(what_if["why"])
            for side in ("before", "after"):
                for key in ("tokens_per_second", "inter_token_latency_seconds", "memory_bytes", "cost_per_million_tokens"):
                    self.assertIn(key, what_if[side])
        self.assertEqual([w["gain"] for w in answer["what_if"] if w["after"]["fits"]],
                         sorted((w["gain"] for w in answer["what_if"] if w["after"]["fits"]), reverse=True))
        documented = (program.ROOT / "docs" / "plan.md").read_text()
        for key in [*answer, *answer["decode"], *answer["memory"], *answer["what_if"][0]["after"], *answer["decode"]["ops"][0]]:
            self.assertRegex(documented, rf"[`.]{key}[`.\[]")

    def test_what_ifs_are_plans_of_their_own(self):
        base = ["Llama-3.1-8B", "--hardware", "H100"]
        for what_if in self.plan(*base)["what_if"]:
            if what_if["change"].startswith(("--weights", "--kv", "--batch", "--prefix", "--no-fuse")):
                asked = self.plan(*base, *what_if["change"].split())
                self.assertAlmostEqual(asked["tokens_per_second"] / what_if["after"]["tokens_per_second"], 1, places=9, msg=what_if["change"])
                self.assertAlmostEqual(asked["ttft_seconds"] / what_if["after"]["ttft_seconds"], 1, places=9, msg=what_if["change"])

    def test_a_gguf_file_is_counted_by_its_tensors(self):
        info = self.json_of("info", self.model)
        answer = self.plan(self.model, "--hardware", "Raspberry-Pi-5")
        self.assertEqual(answer["model"]["parameters"], info["parameters"])
        # Vectors are held as float, whatever the file has; nothing else differs.
        self.assertLess(abs(answer["model"]["weight_bytes"] / sum(t["file_bytes"] for t in info["types"].values()) - 1), 0.02)
        narrower = self.plan(self.model, "--hardware", "Raspberry-Pi-5", "--weights", "int4")
        self.assertEqual(narrower["model"]["weight_bytes"] * 2, answer["model"]["parameters"])

    def test_info_counts_windows_as_a_plan_does(self):
        windows = program.make_tiny_model(self.folder / "windows.gguf", "gemma3", "F32")
        info = self.json_of("info", windows)
        # One of 7 layers keeps all 512 positions, the others the last 9; each position of a layer is 2 heads of 16, key and value, in 2 bytes.
        self.assertEqual(info["kv_bytes_at_full_context"], (512 + 6 * 9) * 2 * 16 * 2 * 2)
        self.assertEqual(info["kv_bytes_per_token"], 7 * 2 * 16 * 2 * 2)
        planned = self.plan(windows, "--hardware", "L4", "--context", str(info["config"]["n_context"]))
        self.assertEqual(planned["memory"]["kv_bytes"], info["kv_bytes_at_full_context"])
        self.assertIn("72.4 kB at full context", self.rafter("info", windows).stdout.decode())
        if real := program.small_model("gemma-3-270m"):
            info = self.json_of("info", real)
            self.assertEqual(info["kv_bytes_at_full_context"], (3 * 32768 + 15 * 512) * 256 * 2 * 2)  # 109 MB; 604 MB without windows
            planned = self.plan(real, "--hardware", "L4", "--context", "32768")
            self.assertEqual(planned["memory"]["kv_bytes"], info["kv_bytes_at_full_context"])

    def test_a_folder_of_safetensors_is_counted_by_its_headers(self):
        folder = self.folder / "hf"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                                                        "intermediate_size": 128, "vocab_size": 100, "torch_dtype": "float16"}))
        plain = self.plan(folder / "config.json", "--hardware", "L4")
        self.assertEqual(plain["model"]["weight_bytes"], 2 * plain["model"]["parameters"])
        header = json.dumps({"w": {"dtype": "I8", "shape": [plain["model"]["parameters"]], "data_offsets": [0, plain["model"]["parameters"]]}}).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(plain["model"]["parameters"]))
        counted = self.plan(folder, "--hardware", "L4")
        self.assertAlmostEqual(counted["model"]["weight_bytes"], plain["model"]["parameters"], delta=1)
        (folder / "model.safetensors").write_bytes(b"\xff" * 20)
        self.expect_error("model.safetensors", "plan", str(folder), "--hardware", "L4")

    def test_pictures_are_whole_and_load_nothing(self):
        for arguments in (["Llama-3.1-70B", "--hardware", "H100", "--devices", "8", "--batch", "64"], ["Gemma-3-27B", "--hardware", "RTX-4090"],
                          ["DeepSeek-V3", "--hardware", "H200", "--parallel", "tp=8,ep=4"], [self.model, "--hardware", "L4", "--no-fuse"]):
            with self.subTest(arguments=arguments):
                page = Page()
                text = self.rafter("plan", *arguments, "--format", "html").stdout.decode()
                page.feed(text)
                self.assertEqual((page.open, page.outside), ([], []))
                self.assertNotIn("nan", text.lower().replace("nanoseconds", ""))
                self.assertIn("prefers-color-scheme: dark", text)
                self.assertGreater(text.count('tabindex="0"'), 10)
                svg = xml.etree.ElementTree.fromstring(self.rafter("plan", *arguments, "--format", "svg").stdout)
                self.assertTrue(svg.tag.endswith("svg"))

    PICTURES = [["Llama-3.1-70B", "--hardware", "H100", "--devices", "8", "--batch", "64"], ["Llama-3.1-8B", "--hardware", "RTX-4090"],
                ["DeepSeek-V3", "--hardware", "H200", "--parallel", "tp=8,ep=4"], ["Llama-3.1-405B", "--hardware", "L4", "--batch", "1e9"],
                ["Mixtral-8x7B", "--hardware", "MI300X", "--batch", "300", "--weights", "int4", "--efficiency", "calibrated"],
                ["OPT-13B", "--hardware", "Raspberry-Pi-5", "--no-fuse"],
                [str(ROOT_CASES / "foo-unknown.json"), "--assume", "llama", "--hardware", "B200", "--prompt", "100000"]]

    def test_labels_of_pictures_are_readable_and_free(self):
        for arguments in self.PICTURES:
            page = self.text(*arguments, "--format", "html")
            svgs = [xml.etree.ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.S)]
            self.assertEqual(len(svgs), 4)
            alone = xml.etree.ElementTree.fromstring(self.rafter("plan", *arguments, "--format", "svg").stdout)
            # Pixels: of a phone of 390, and of the narrowest window that has the wide layout, less its borders and margins.
            for svg, pixels in [(alone, 390), *((svg, 390 if "narrow" in svg.get("class").split() else 900 - 2 * 32 - 2 * 13) for svg in svgs)]:
                with self.subTest(arguments=arguments, kind=svg.get("class")):
                    Picture(self, svg).check(pixels)
            self.assertIn("(max-width: 900px) { figure svg.wide { display:none; }", page)
            self.assertIn('"viewport" content="width=device-width', page)
            for size in re.findall(r"font(?:-size)?:\s*(\d+(?:\.\d+)?)px", re.search(r"<style>(.*?)</style>", page, re.S)[1]):
                self.assertGreaterEqual(float(size), 12)
            names = [e.text for e in alone.iter(SVG + "text") if "legend" in e.get("class").split()]
            self.assertEqual(names, re.findall(r"<i></i>(.*?)</button>", page[:page.index("<svg")]))

    def test_colours_have_contrast(self):
        style = re.search(r"<style>(.*?)</style>", self.text("Llama-3.1-8B", "--hardware", "L4", "--format", "html"), re.S)[1]
        schemes = [dict(re.findall(r"--([\w-]+):(#\w{6})", part)) for part in style.split("@media")[:2]]

        def luminance(colour):
            parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            return sum(w * (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4) for w, c in zip((0.2126, 0.7152, 0.0722), parts))

        for colours in schemes:
            for ground in ("paper", "card"):
                for name, least in [("ink", 7), ("soft", 4.5), ("bad", 4.5), ("s3", 4.5), ("prefill", 4.5), ("ladder", 4.5), ("roof", 7),
                                    *((f"s{i}", 3) for i in range(1, 6)), *((f"f{i}", 3) for i in range(4))]:
                    light, dark = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
                    self.assertGreaterEqual((light + 0.05) / (dark + 0.05), least, (name, colours[name], colours[ground]))

    def test_names_from_files_are_escaped(self):
        name = "<script>alert('x')</script>&\""
        model = self.write("m.json", {"n_layers": 2, "d_model": 64, "name": name})
        device = self.write("h.json", {"name": name, "flop_per_s": {"fp16": 1e12}, "memory_bytes": 1e9, "memory_bandwidth_bytes_per_s": 1e11})
        text = self.rafter("plan", "--model-json", model, "--hardware", device, "--format", "html").stdout.decode()
        self.assertNotIn("<script>alert", text)

    def text(self, *arguments):
        return self.rafter("plan", *map(str, arguments)).stdout.decode()

    def test_text_opens_with_the_answer(self):
        arguments = ["Llama-3.1-70B", "--hardware", "H100", "--devices", 8, "--batch", 64]
        answer = self.plan(*arguments)
        text = self.text(*arguments)
        lines = text.rstrip("\n").split("\n")
        self.assertLessEqual(len(lines), 15)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertEqual(lines[0], "Llama-3.1-70B on 8 x H100-SXM (tp=8)")
        self.assertIn("--full", lines[-1])
        facts = dict((line[:13].strip(), line[13:]) for line in lines if line[:1].isupper() and line[11:13] == "  ")
        self.assertRegex(facts["Fits"], r"^yes: 156 GB of 687 GB \(weights 141 GB, KV cache [\d.]+ GB")
        self.assertIn(f"{answer['tokens_per_second_per_request']:.1f} tok/s a request", facts["Speed"])
        self.assertIn(f"{answer['tokens_per_second']:,.0f} tok/s in all", facts["Speed"])
        self.assertIn(f"{answer['ttft_seconds'] * 1e3:.1f} ms", facts["First token"])
        self.assertIn(f"{answer['memory']['max_sequences']:,} sequences", facts["Room for"])
        self.assertIn("bound by memory bandwidth", facts["Each token"])
        self.assertIn(f"${answer['cost']['per_million_tokens_with_prefill']:.2f} a million output tokens", facts["Cost"])
        best = max((w["gain"], w["change"]) for w in answer["what_if"]
                   if w["after"]["fits"] and not w["change"].startswith(("--prefix-hit", "--hardware")))
        self.assertTrue(facts["Best change"].startswith(f"{best[1]}: throughput {best[0]:.2f}x"), facts["Best change"])
        self.assertTrue(facts["Best device"].startswith("--hardware "))

    def test_the_documents_show_what_it_says(self):
        documented = (program.ROOT / "docs" / "plan.md").read_text()
        command, shown = re.search(r"^    \$ rafter plan (.*)\n((?:    .*\n|\n)+)", documented, re.M).groups()
        self.assertEqual([line.removeprefix("    ") for line in shown.rstrip("\n").split("\n")], self.text(*command.split()).rstrip("\n").split("\n"))

    def test_text_is_narrow_whatever_is_asked(self):
        for arguments in (["Llama-3.1-405B", "--hardware", "L4"], ["DeepSeek-V3", "--hardware", "H200", "--devices", 8, "--batch", 1e9],
                          ["Llama-3.1-8B", "--hardware", "RTX-4090", "--efficiency", "calibrated", "--slo-itl", 1e-9, "--price", 3],
                          [ROOT_CASES / "foo-unknown.json", "--assume", "llama", "--hardware", "H100"]):
            with self.subTest(arguments=arguments):
                short, full = self.text(*arguments), self.text(*arguments, "--full")
                self.assertLessEqual(max(map(len, short.split("\n"))), 80)
                self.assertLessEqual(short.count("\n"), 24)
                self.assertLessEqual(max(map(len, full.split("\n"))), 108 if 1e9 in arguments else 100)
                self.assertTrue(full.startswith(short[:short.index("\n--full")]))

    def test_full_text_is_something_to_read(self):
        text = self.text("Llama-3.1-8B", "--hardware", "H100", "--batch", "8", "--full")
        for words in ("first token", "next tokens", "bound by memory", "What if", "Speculation", "memory runs out", "reading weights",
                      "if verification were free", "a token takes about as long"):
            self.assertIn(words, text)
        self.assertIn("communication takes", self.text("Llama-3.1-70B", "--hardware", "H100", "--devices", "4", "--full"))
        many = self.text("DeepSeek-V3", "--hardware", "H100", "--devices", "8", "--batch", "4096", "--full")
        self.assertRegex(many, r"ridge +\d,\d{3} tokens a step")
        self.assertNotRegex(many, r"\de[+-]\d")

    EXTREMES = [["--batch", "1e9"], ["--context", "1e12"], ["--prompt", "1e12", "--output", "1e12"], ["--batch", "1e9", "--context", "1e12"],
                ["--price", "1e-9"], ["--price", "1e12"], ["--slo-itl", "1e-9", "--slo-ttft", "1e12"], ["--draft", "c=1e-7", "--alpha", "1e-6"],
                ["--draft", "c=1000"], ["--weights", "0.5"], ["--memory-fraction", "1e-6"], ["--block-size", "1e6"], ["--devices", "4"],
                ["--engine", "vllm", "--efficiency", "calibrated", "--batch", "1e9", "--devices", "32"], ["--engine", "llama.cpp", "--batch", "1e9", "--context", "1e12"]]

    def extreme_plans(self):
        one = {"name": "tiny", "flop_per_s": {"fp16": 1e-3}, "memory_bytes": 1e-3, "memory_bandwidth_bytes_per_s": 1e-3, "link_latency_s": 1e-9}
        tiny = self.write("tiny.json", one)
        giant = self.write("giant.json", {"name": "giant", "flop_per_s": {"fp16": 1e21}, "memory_bytes": 1e18, "memory_bandwidth_bytes_per_s": 1e21})
        deep = self.write("deep.json", {"n_layers": 1000000000, "d_model": 8192})
        huge = self.write("huge.json", {"parameters": 1e18})
        for extreme in self.EXTREMES:
            yield ["Llama-3.1-8B", "--hardware", "H100", *extreme]
            yield ["Llama-3.1-8B", "--hardware", tiny, *extreme]
        for device in (tiny, giant, "L4"):
            for model in (deep, huge):
                yield ["--model-json", model, "--hardware", device]
                yield ["--model-json", model, "--hardware", device, "--batch", "1e9", "--context", "1e12"]

    def test_texts_and_pictures_have_no_exponents(self):
        for arguments in program.enough_of(self.extreme_plans()):
            with self.subTest(arguments=arguments):
                for form in (["--full"], ["--format", "html"], ["--format", "svg"]):
                    done = self.rafter("plan", *arguments, *form)
                    for said in (done.stdout.decode(), done.stderr.decode()):
                        # A file in doubtful units is shown what to write, as JSON takes it.
                        said = re.sub(r"e\.g\.\s+[\d.]+e\d+", "", said)
                        said = said.replace(str(self.folder), "")  # its name is drawn, "3e2" may be in it
                        # An excerpt, for pages are long.
                        self.assertEqual(re.findall(r".{0,30}\d[eE][+-]?\d.{0,10}", said)[:3], [], form)
                        self.assertEqual(re.findall(r".{0,30}(?<![a-z])(?:nan|inf)(?![a-z]).{0,10}", said)[:3], [], form)
                answer = self.plan(*arguments)
                for what_if in answer["what_if"]:
                    self.assertNotRegex(json.dumps([what_if[key] for key in ("name", "why", "change")]), r"\de[+-]?\d")
                self.assertNotRegex(json.dumps(answer["notes"] + answer["memory"]["would_fit_with"]), r"\de[+-]?\d")

    COUNTS = re.compile(r"^(n_.*|.*parameters|active_without_embedding|.*_bytes|bytes.*|.*bytes_per_\w+|flops|count|.*flops_per_token|flop_per_s|max_\w+|"
                        r"batch|prompt|output|context|block_size|devices|tp|pp|ep|gamma|best_gamma\w*|d_\w+|head_dim|kv_lora_rank|rope_head_dim|bytes|"
                        r"compute_bound_from_batch|memory_runs_out_at_batch)$")

    def test_counts_are_whole_in_json(self):
        found = set()

        def look(value, key, where):
            if isinstance(value, dict):
                for name, inner in value.items():
                    # Peaks by number type are flops a second.
                    look(inner, "flop_per_s" if key == "flop_per_s" else name, f"{where}.{name}")
            elif isinstance(value, list):
                for inner in value:
                    look(inner, key, where)
            elif self.COUNTS.match(key) and value is not None:
                found.add(key)
                self.assertIsInstance(value, int, where)

        for arguments in (["Llama-3.1-8B", "--hardware", "H100", "--slo-itl", "0.02"], ["DeepSeek-V3", "--hardware", "H200", "--devices", "8"],
                          ["Mixtral-8x7B", "--hardware", "MI300X", "--batch", "77", "--weights", "4.127", "--kv", "q8,q4"],
                          [ROOT_CASES / "qwen3-next-80b.json", "--hardware", "H100", "--batch", "3"]):
            look(self.plan(*arguments), "", "plan")
        for what in ("hardware", "models"):
            look(json.loads(self.rafter("plan", "--list", what, "--format", "json").stdout), "", what)
        self.assertGreater(len(found), 50, sorted(found))
        self.assertIn('"parameters": 8030261248,', self.rafter("plan", "Llama-3.1-8B", "--hardware", "H100", "--format", "json").stdout.decode())

    @staticmethod
    def changed(arguments, change):
        """The arguments with the options of a change over them; --devices and --parallel go together."""
        words = change.split()
        if "--devices" in words:
            words = words if "--parallel" in words else [*words, "--parallel", ""]
        mine = dict(zip(arguments[1::2], arguments[2::2]))
        mine.update(zip(words[::2], words[1::2]))
        return [arguments[0], *(word for pair in mine.items() if pair[1] for word in pair)]

    def test_what_no_device_would_give_is_said_first(self):
        device = self.folder / "no-link.json"
        with open(device, "w") as out:
            json.dump({"name": "x", "flop_per_s": {"bf16": 1e15}, "memory_bytes": 80e9, "memory_bandwidth_bytes_per_s": 3e12}, out)
        self.assertIn("no link", self.plan("Llama-3.1-8B", "--hardware", device, "--devices", "2")["assumed"][0])
        self.assertEqual(self.plan("Llama-3.1-8B", "--hardware", device)["assumed"], [])
        self.assertIn("131,072 positions", self.plan("Llama-3.1-8B", "--hardware", "H200", "--context", "200000")["assumed"][0])

    def test_what_would_make_it_fit_does(self):
        n_tried = 0
        for arguments in (["Llama-3.1-70B", "--hardware", "H100-SXM", "--engine", "vllm"],
                          ["Llama-3.1-8B", "--hardware", "T4", "--engine", "sglang", "--memory-fraction", "0.3"],
                          ["Llama-3.1-8B", "--hardware", "T4", "--engine", "vllm", "--batch", "1000000"],
                          ["Llama-3.1-70B", "--hardware", "A100-40GB", "--devices", "4", "--parallel", "tp=2,pp=2", "--batch", "64",
                           "--context", "8000"],
                          ["DeepSeek-R1", "--hardware", "H100-SXM", "--devices", "16", "--parallel", "tp=8,pp=2", "--engine", "vllm",
                           "--context", "32768", "--batch", "32"]):
            for remedy in self.plan(*arguments)["memory"]["would_fit_with"]:
                change, colon, _ = remedy.partition(":")
                self.assertTrue(colon, remedy)
                self.assertTrue(self.plan(*self.changed(arguments, change))["memory"]["fits"], (arguments, remedy))
                n_tried += 1
        self.assertGreaterEqual(n_tried, 10)

    def test_a_what_if_is_what_a_plan_with_its_options_says(self):
        for arguments in (["Llama-3.1-70B", "--hardware", "H100-SXM", "--devices", "8", "--batch", "64", "--engine", "vllm"],
                          ["Qwen3-30B-A3B", "--hardware", "H100-SXM", "--devices", "4", "--parallel", "tp=1,ep=4", "--batch", "64",
                           "--efficiency", "calibrated"],
                          ["Llama-3.1-8B", "--hardware", "L4", "--engine", "sglang", "--batch", "32"]):
            n_tried = 0
            for what in self.plan(*arguments)["what_if"]:
                # A draft changes `speculation`, not the plain steps that a plan's own numbers are of.
                if what["change"].startswith("--draft") or "--no-fuse" in what["change"]:
                    continue
                after = self.plan(*self.changed(arguments, what["change"]))
                self.assertEqual(after["memory"]["fits"], what["after"]["fits"], (arguments, what["change"]))
                for key in ("tokens_per_second", "served_tokens_per_second", "ttft_seconds", "inter_token_latency_seconds"):
                    self.assertAlmostEqual(after[key] / what["after"][key], 1, 6, (arguments, what["change"], key))
                n_tried += 1
            self.assertGreater(n_tried, 6)

    def test_a_plan_that_does_not_fit_is_an_answer(self):
        answer = self.plan("Llama-3.1-405B", "--hardware", "L4")
        self.assertFalse(answer["memory"]["fits"])
        self.assertGreater(answer["memory"]["shortfall_bytes"], 7e11)
        self.assertTrue(answer["memory"]["would_fit_with"])
        self.assertGreater(answer["decode"]["tokens_per_second"], 0)
        self.assertIn("does not fit", self.rafter("plan", "Llama-3.1-405B", "--hardware", "L4").stdout.decode())

    def test_a_file_names_its_model(self):
        self.assertEqual(self.plan(ROOT_CASES / "command-r.json", "--hardware", "H100")["model"]["name"], "command-r")
        folder = self.folder / "My-Model"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text((ROOT_CASES / "command-r.json").read_text())
        for model in (folder, folder / "config.json"):
            self.assertEqual(self.plan(model, "--hardware", "H100")["model"]["name"], "My-Model")
        self.assertEqual(self.plan("--model-json", self.write("two.json", {"n_layers": 2, "d_model": 64}), "--hardware", "H100")["model"]["name"], "two")

    def test_huge_numbers_neither_overflow_nor_hang(self):
        model = self.write("huge.json", {"parameters": 1e18})
        answer = self.plan("--model-json", model, "--hardware", "H100", "--context", "1e9", "--batch", "1e6")
        self.assertNotIn("null", json.dumps([answer["decode"], answer["memory"]]))
        deep = self.write("deep.json", {"n_layers": 1000000000, "d_model": 8192})
        self.assertEqual(self.plan("--model-json", deep, "--hardware", "H100")["model"]["weight_flops_per_token"], 24 * 1e9 * 8192**2)

    def test_nonsense_gets_one_line(self):
        good = {"name": "x", "flop_per_s": {"fp16": 1e12}, "memory_bytes": 1e9, "memory_bandwidth_bytes_per_s": 1e11}
        device = self.write("nan.json", json.dumps(good).replace("1000000000.0", "NaN"))
        no_bandwidth = self.write("less.json", {k: v for k, v in good.items() if k != "memory_bandwidth_bytes_per_s"})
        model = ["Llama-2-13B", "--hardware", "A100"]
        for words, arguments in [
            ("nearest: Llama-3.1-8B", ["Lama-3.1-8B", "--hardware", "A100"]),
            ("nearest: H200", ["Llama-2-13B", "--hardware", "H2000"]),
            ("it may be V100-16GB, V100-32GB", ["Llama-2-13B", "--hardware", "Tesla V100"]),
            ("NaN", ["Llama-2-13B", "--hardware", device]),
            ("memory_bandwidth_bytes_per_s", ["Llama-2-13B", "--hardware", no_bandwidth]),
            ("no such file", ["Llama-2-13B", "--hardware", "absent.json"]),
            ("--draft", model + ["--draft", "c=-1"]),
            ("--draft", model + ["--draft", "c=nan"]),
            ("nearest", model + ["--draft", "Lama"]),
            ("did you mean int8", model + ["--weights", "in8"]),
            ("--activations", model + ["--activations", "int3"]),
            ("--kv", model + ["--kv", "int9"]),
            ("40 heads", model + ["--parallel", "tp=16"]),
            ("--parallel", model + ["--parallel", "tp=0"]),
            ("--parallel", model + ["--parallel", "tq=2"]),
            ("--parallel", model + ["--parallel", "tp=2,pp=41"]),
            ("experts", model + ["--parallel", "ep=2"]),
            ("--devices: 7 devices cannot share 40 heads and 40 layers evenly; 5 or 8 can", model + ["--devices", "7"]),
            ("--devices", model + ["--devices", "4", "--parallel", "tp=2"]),
            ("absent.json", model + ["--efficiency", "absent.json"]),
        ]:
            with self.subTest(arguments=arguments):
                self.expect_error(words, "plan", *arguments)
        for option, value, words in [
            ("--batch", "0", 'a whole number from 1 to 1,000,000,000, found 0'),
            ("--batch", "-1", 'a whole number from 1 to 1,000,000,000, found -1'),
            ("--batch", "nan", 'a whole number from 1 to 1,000,000,000, found "nan"'),
            ("--batch", "1.5", 'a whole number from 1 to 1,000,000,000, found 1.5'),
            ("--context", "inf", 'a whole number from 1 to 1,000,000,000,000, found "inf"'),
            ("--prefix-hit", "1.1", 'a number from 0 to 1, found 1.1'),
            ("--alpha", "2", 'a number from 0 to 1, found 2'),
            ("--gamma", "-1", 'a whole number from 0 to 256, found -1'),
            ("--price", "-1", 'a number from 0 to 1e+12, found -1'),
            ("--reserve-memory", "much", 'a size, such as 512MB or 2GiB, found "much"'),
            ("--reserve-memory", "-1GB", 'a size, such as 512MB or 2GiB, found "-1GB"'),
            ("--reserve-memory", "1e300GB", 'a size, such as 512MB or 2GiB, found "1e300GB"'),
        ]:
            with self.subTest(option=option, value=value):
                self.expect_error(f"{option}: expected {words}", "plan", *model, option, value, status=2)
        for arguments in ([], ["Llama-2-13B", "--model-json", "x.json"], ["Llama-2-13B", "--format", "pdf"], ["--list", "prices"]):
            with self.subTest(arguments=arguments):
                self.rafter("plan", *arguments, status=2)

    def test_unknown_keys_get_a_warning(self):
        device = self.write("typo.json", {"name": "x", "flop_per_s": {"fp16": 1e12}, "memory_bytes": 1e9, "memory_bandwidth_bytes_per_s": 1e11,
                                          "link_latencys": 3})
        done = self.rafter("plan", "OPT-13B", "--hardware", device, "--format", "json")
        self.assertIn("did you mean link_latency_s", done.stderr.decode())
        self.assertEqual(len(json.loads(done.stdout)["warnings"]), 1)

    def test_without_a_link_communication_costs_nothing_and_that_is_said(self):
        device = self.write("alone.json", {"name": "x", "flop_per_s": {"fp16": 1e12}, "memory_bytes": 1e12, "memory_bandwidth_bytes_per_s": 1e11})
        answer = self.plan("OPT-13B", "--hardware", device, "--devices", "4")
        self.assertEqual(answer["decode"]["communication_seconds"], 0)
        self.assertTrue(any("link" in note for note in answer["notes"]))

    def test_lists(self):
        devices = json.loads(self.rafter("plan", "--list", "hardware", "--format", "json").stdout)
        self.assertGreaterEqual(len(devices), 29)
        self.assertTrue(all(device["sources"] for device in devices))
        models = json.loads(self.rafter("plan", "--list", "models", "--format", "json").stdout)
        self.assertGreaterEqual(len(models), 25)
        for what in ("hardware", "models"):
            self.assertIn("name", self.rafter("plan", "--list", what).stdout.decode())

    def test_lists_fit_the_terminal(self):
        for what in ("hardware", "models"):
            for columns in program.enough_of((80, 120, 200)):
                master, slave = pty.openpty()
                fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
                process = subprocess.Popen([program.BINARY, "plan", "--list", what], stdout=slave, env={**os.environ, "NO_COLOR": "1"})
                os.close(slave)
                shown = b""
                while True:
                    try:
                        part = os.read(master, 65536)
                    except OSError:
                        break
                    if not part:
                        break
                    shown += part
                os.close(master)
                self.assertEqual(process.wait(), 0)
                lines = shown.decode().replace("\r", "").split("\n")
                with self.subTest(what=what, columns=columns):
                    self.assertGreater(len(lines), 40)
                    self.assertLessEqual(max(map(len, lines)), columns)
                    self.assertEqual(columns > 80, lines[0].endswith(("what it is", "source")), lines[0])

    def test_a_row_of_the_catalog_works_as_a_file(self):
        devices = json.loads(self.rafter("plan", "--list", "hardware", "--format", "json").stdout)
        row = next(d for d in devices if d["name"] == "A100-80GB")
        path = self.write("row.json", row)
        self.assertEqual(self.plan("OPT-13B", "--hardware", path)["decode"], self.plan("OPT-13B", "--hardware", "A100-80GB")["decode"])

    def test_promises(self):
        answer = self.plan("Llama-3.1-8B", "--hardware", "H100", "--slo-itl", "0.01")
        most = answer["slo"]["max_batch"]
        self.assertLessEqual(self.plan("Llama-3.1-8B", "--hardware", "H100", "--batch", most)["inter_token_latency_seconds"], 0.01)
        self.assertGreater(self.plan("Llama-3.1-8B", "--hardware", "H100", "--batch", most + 1)["inter_token_latency_seconds"], 0.01)
        self.assertFalse(self.plan("Llama-3.1-8B", "--hardware", "H100", "--slo-itl", "1e-6")["slo"]["met"])


if __name__ == "__main__":
    program.main()
