"""rafter models get USER/REPO[:QUANT] against an endpoint on loopback: choosing, whole and split files, redirects, tokens, and every way in
which a transfer ends early and goes on."""
import hashlib
import http.server
import json
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import program

REPO = "some-user/Some.Model-GGUF"
TOKEN = "hf_secret"


def content(name, size=300_000):
    """Bytes of a file that no other name has."""
    seed = hashlib.sha256(name.encode()).digest()
    return b"GGUF" + (seed * (size // len(seed) + 1))[: size - 4]


class Endpoint(http.server.ThreadingHTTPServer):
    """A Hugging Face endpoint, and under another port the host that it sends large files' readers to."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.cdn = None  # the endpoint that has the files
        self.reset()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def reset(self):
        self.files = {}      # path -> bytes
        self.listed = None   # the answer to the API, when it is not made of the files
        self.seen = []       # (path, headers)
        self.cut_after = []  # of the next responses: so many bytes, then the connection ends
        self.slow = False    # waits after the first part of a body
        self.needs_token = False
        self.with_sha = True
        self.with_etag = True
        self.ranges = True
        self.etags = {}      # path -> another ETag
        self.status = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, dict(self.headers)))
        if server.status:
            return self.answer(server.status, b"no")
        if server.needs_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, b"who are you?")
        if self.path == f"/api/models/{REPO}?blobs=true":
            siblings = [{"rfilename": "notes.md", "size": 1}]
            for path, data in server.files.items():
                lfs = {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}} if server.with_sha else {}
                siblings.append({"rfilename": path, "size": len(data), **lfs})
            return self.answer(200, server.listed if server.listed is not None else json.dumps({"id": REPO, "siblings": siblings}).encode())
        start = f"/{REPO}/resolve/main/"
        path = self.path[len(start):] if self.path.startswith(start) else self.path[len("/cdn/"):] if self.path.startswith("/cdn/") else None
        if path not in server.files:
            return self.answer(404, b"not found")
        data = server.files[path]
        linked = f'"{hashlib.sha256(data).hexdigest()}"'
        if server.cdn:
            server.cdn.files[path] = data
            return self.answer(302, b"elsewhere", Location=f"{server.cdn.url}/cdn/{path}", X_Linked_Etag=linked, X_Linked_Size=str(len(data)))
        return self.file(data, server.etags.get(path, linked))

    def file(self, data, etag):
        begin = 0
        wanted = self.headers.get("Range")
        if wanted and self.server.ranges and self.headers.get("If-Range", etag) == etag:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(data):
                return self.answer(416, b"", Content_Range=f"bytes */{len(data)}")
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if self.server.with_etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        body = data[begin:]
        if self.server.cut_after:
            body = body[: self.server.cut_after.pop(0)]
            self.close_connection = True
        if self.server.slow:
            self.wfile.write(body[:100_000])
            self.wfile.flush()
            time.sleep(60)
        self.wfile.write(body)


class Hub(program.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.cdn = Endpoint(), Endpoint()
        cls.models = cls.folder / "cache" / "rafter" / "models"
        for name in [name for name in cls.environment if name.lower().endswith("_proxy")]:
            del cls.environment[name]
        cls.environment |= {"HF_ENDPOINT": cls.hub.url + "/", "NO_PROXY": "*"}
        cls.environment.pop("HF_TOKEN", None)

    @classmethod
    def tearDownClass(cls):
        for server in (cls.hub, cls.cdn):
            server.shutdown()
            server.server_close()
        super().tearDownClass()

    def setUp(self):
        self.hub.reset()
        self.cdn.reset()
        self.hub.cdn = None
        shutil.rmtree(self.models, ignore_errors=True)

    def have(self, *paths):
        self.hub.files = {path: content(path) for path in paths}

    def get(self, name=REPO, status=0, **options):
        return self.rafter("models", "get", name, status=status, **options).stderr.decode()

    def fails(self, words, name=REPO, **options):
        message = self.get(name, status=1, **options)
        self.assertIn(words, message)
        return message

    def here(self):
        return {path.name: path.read_bytes() for path in self.models.iterdir()} if self.models.exists() else {}

    def downloads(self):
        return [headers for path, headers in self.hub.seen + self.cdn.seen if "/api/" not in path and not (self.hub.cdn and "/resolve/" in path)]


class Choosing(Hub):
    def test_the_only_model(self):
        self.have("only.gguf")
        self.hub.files["mmproj-model-f16.gguf"] = b"a vision tower"
        self.hub.files["imatrix.gguf"] = b"an importance matrix"
        message = self.get()
        self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})
        self.assertIn(f"{REPO} is here: {self.models / 'only.gguf'}", message)
        self.assertIn("only", self.rafter("models").stdout.decode())

    def test_a_quantisation_in_any_case_and_place(self):
        paths = ["m-Q4_K_S.gguf", "m-Q4_K_M.gguf", "m.q8_0.gguf", "BF16/m-BF16.gguf", "Q6_K/m.gguf"]
        self.have(*paths)
        for quant, path in [("", paths[1]), (":q4_k_s", paths[0]), (":Q4_K_M", paths[1]), (":Q8_0", paths[2]), (":bf16", paths[3]),
                            (":Q6_K", paths[4]), (":m.q8_0.gguf", paths[2]), (":m-q4_k_s", paths[0])]:
            with self.subTest(quant=quant):
                self.setUp()
                self.have(*paths)
                self.get(REPO + quant)
                self.assertEqual(self.here(), {path.rpartition("/")[2]: content(path)})

    def test_what_is_there_is_listed_where_none_or_several_are_meant(self):
        self.have("m-Q8_0.gguf", "m-Q5_K_M.gguf")
        message = self.fails("expected a quantisation after a colon, found none, and no single Q4_K_M; name one of:")
        self.assertIn("\n  m-Q5_K_M.gguf\n  m-Q8_0.gguf\n", message)
        self.fails('expected one model for "Q4_K", found none', REPO + ":Q4_K")
        self.have("a-Q4_K_M.gguf", "b-Q4_K_M.gguf", "c-Q8_0.gguf")
        message = self.fails("found several; name one of:\n  a-Q4_K_M.gguf\n  b-Q4_K_M.gguf\n")
        self.assertNotIn("c-Q8_0", message)
        self.have()
        self.fails("expected a .gguf file, or config.json and .safetensors files, in this repository, found none")
        self.assertEqual(self.here(), {})

    def test_split_files_are_fetched_whole(self):
        parts = [f"Q8_0/m-Q8_0-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
        self.have("m-Q4_0.gguf", *parts)
        message = self.get(REPO + ":Q8_0")
        self.assertEqual(self.here(), {path.rpartition("/")[2]: content(path) for path in parts})
        self.assertIn("m-Q8_0-00001-of-00003.gguf\n", message)
        del self.hub.files[parts[1]]
        self.fails("Q8_0/m-Q8_0.gguf: expected 3 parts, found 2", REPO + ":Q8_0")

    def test_a_checkpoint_where_there_is_no_gguf_file(self):
        wanted = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "README.md",
                  "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
        self.have(*wanted, "consolidated.safetensors", "adapter_model.safetensors", "onnx/model.safetensors", "pytorch_model.bin", "tf_model.h5")
        message = self.get()
        folder = self.models / REPO.partition("/")[2]
        self.assertEqual({path.name: path.read_bytes() for path in folder.iterdir()}, {path: content(path) for path in wanted})
        self.assertIn(f"{REPO} is here: {folder}\n", message)
        n_before = len(self.downloads())
        self.get()
        self.assertEqual(len(self.downloads()), n_before)
        self.fails("found a checkpoint of safetensors files only", REPO + ":Q8_0")
        self.have(*wanted, "m-Q8_0.gguf")
        self.get()
        self.assertEqual((self.models / "m-Q8_0.gguf").read_bytes(), content("m-Q8_0.gguf"))

    def test_a_checkpoint_needs_its_config(self):
        self.have("model.safetensors")
        self.fails("config.json and .safetensors files")

    def test_names(self):
        self.have("only.gguf")
        for name in (f"hf.co/{REPO}", f"https://huggingface.co/{REPO}"):
            self.get(name)
        for name in ("a/b/c", "a/..", "../b", "a/b?c", "a/", "/b", "a b/c", "a/b:"):
            self.fails("expected", name)
        self.assertEqual({path for path, _ in self.hub.seen if "api" in path}, {f"/api/models/{REPO}?blobs=true"})

    def test_paths_that_lead_out_are_refused(self):
        for path in ("../evil.gguf", "/evil.gguf", "a/../../evil.gguf", "a//evil.gguf", "./evil.gguf", "a\\evil.gguf", "e\nvil.gguf", "a/.evil.gguf"):
            self.hub.listed = json.dumps({"siblings": [{"rfilename": path, "size": 5}]}).encode()
            self.fails("refused a file whose path is not safe")
        self.assertEqual(self.here(), {})
        self.assertEqual(self.downloads(), [])

    def test_names_that_need_escapes(self):
        path = "a b+c%20#?.gguf"
        self.hub.listed = json.dumps({"siblings": [{"rfilename": path, "size": 300_000}]}).encode()
        self.hub.files = {"a%20b%2Bc%2520%23%3F.gguf": content("x")}
        self.get()
        self.assertEqual(self.here(), {path: content("x")})

    def test_answers_that_are_no_list(self):
        for listed, words in ((b"<html>", "expected JSON"), (b"[]", "expected a list of files"), (b'{"siblings": 5}', "expected a list of files"),
                              (b'{"siblings": [5]}', "expected an object"), (b'{"siblings": [{"rfilename": 5}]}', "expected a text")):
            self.hub.listed = listed
            self.fails(words)

    def test_statuses(self):
        self.fails("no-user/no-model: the endpoint answered with status 404: no such repository", "no-user/no-model")
        self.have("only.gguf")
        for status in (403, 500):
            self.hub.status = status
            self.fails(f"{REPO}: the endpoint answered with status {status}")
        self.fails("Failed to connect", env={**self.environment, "HF_ENDPOINT": "http://127.0.0.1:1"})


class Transfers(Hub):
    def test_the_token_goes_to_the_endpoint_and_to_no_other_host(self):
        self.have("only.gguf")
        self.hub.needs_token = True
        self.hub.cdn = self.cdn
        self.fails("status 401: no such repository, or access to it needs a token (HF_TOKEN)")
        self.get(env={**self.environment, "HF_TOKEN": TOKEN})
        self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})
        self.assertEqual({headers.get("Authorization") for _, headers in self.hub.seen}, {None, f"Bearer {TOKEN}"})
        self.assertEqual([headers.get("Authorization") for _, headers in self.cdn.seen], [None])
        self.fails("line end", env={**self.environment, "HF_TOKEN": TOKEN + "\r\nX: y"})

    def test_a_file_that_is_there_is_not_fetched_again(self):
        self.have("only.gguf")
        self.get()
        self.hub.seen.clear()
        self.get()
        self.assertEqual(self.downloads(), [])
        (self.models / "only.gguf").write_bytes(b"x" * len(content("only.gguf")))
        self.fails("another file has this name (SHA-256 ")
        (self.models / "only.gguf").write_bytes(b"x")
        self.fails("another file has this name (")
        self.assertEqual(self.here(), {"only.gguf": b"x"})

    def test_a_wrong_checksum_leaves_nothing(self):
        for with_cdn in (False, True):
            self.setUp()
            self.have("only.gguf")
            self.hub.listed = json.dumps({"siblings": [{"rfilename": "only.gguf", "size": 300_000, "lfs": {"sha256": "0" * 64}}]}).encode()
            self.fails("only.gguf: checksum: expected SHA-256 " + "0" * 64)
            self.assertEqual(self.here(), {})

    def test_the_linked_etag_is_a_checksum_too(self):
        self.have("only.gguf")
        self.hub.with_sha = False
        self.hub.cdn = self.cdn
        self.get()
        self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})
        self.setUp()
        self.have("only.gguf")
        self.hub.with_sha = False
        self.assertIn("gives no checksum", self.get())

    def test_a_connection_that_breaks_is_taken_up_again(self):
        self.have("only.gguf")
        for server in (self.hub, self.cdn):
            self.setUp()
            self.have("only.gguf")
            self.hub.cdn = self.cdn if server is self.cdn else None
            server.cut_after = [100_000, 50_000]
            self.get()
            self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})
            self.assertEqual([headers.get("Range") for headers in self.downloads()], [None, "bytes=100000-", "bytes=150000-"])
            etag = f'"{hashlib.sha256(content("only.gguf")).hexdigest()}"'
            self.assertEqual([headers.get("If-Range") for headers in self.downloads()], [None, etag, etag])

    def test_a_connection_that_always_breaks_ends_and_goes_on_later(self):
        self.have("only.gguf")
        self.hub.cut_after = [100_000] + [0] * 10
        self.fails("run the same command again to continue")
        self.assertEqual(self.here()["only.gguf.part"], content("only.gguf")[:100_000])
        self.hub.cut_after = []
        self.hub.seen.clear()
        self.get()
        self.assertEqual([headers.get("Range") for headers in self.downloads()], ["bytes=100000-"])
        self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})

    def start_slow(self):
        self.hub.slow = True
        process = subprocess.Popen([program.BINARY, "models", "get", REPO], stderr=subprocess.PIPE, env=self.environment)
        part = self.models / "only.gguf.part"
        while process.poll() is None and not (part.exists() and part.stat().st_size >= 100_000):
            time.sleep(0.01)
        return process

    def test_after_a_kill_or_ctrl_c(self):
        for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
            self.setUp()
            self.have("only.gguf")
            process = self.start_slow()
            process.send_signal(number)
            _, message = process.communicate(timeout=30)
            self.assertEqual(process.returncode, status, message)
            if number == signal.SIGINT:
                self.assertIn(b"interrupted; run the same command again to continue\n", message)
            self.hub.slow = False
            self.hub.seen.clear()
            self.get()
            self.assertEqual([headers.get("Range") for headers in self.downloads()], ["bytes=100000-"])
            self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})

    def interrupted(self):
        """A third of the file is here."""
        self.setUp()
        self.have("only.gguf")
        self.hub.cut_after = [100_000] + [0] * 10
        self.fails("to continue")
        self.hub.cut_after = []
        self.hub.seen.clear()

    def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(self):
        self.interrupted()
        self.hub.files["only.gguf"] = content("another")
        self.assertIn("starting over", self.get())
        self.assertEqual(self.here(), {"only.gguf": content("another")})

    def test_a_server_without_ranges_gives_all_of_it(self):
        self.interrupted()
        self.hub.ranges = False
        self.assertIn("starting over", self.get())
        self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})

    def test_without_an_etag_nothing_is_continued(self):
        self.interrupted()
        (self.models / "only.gguf.part.etag").unlink()
        self.hub.with_etag = False
        self.get()
        self.assertEqual([headers.get("Range") for headers in self.downloads()], [None])
        self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})

    def test_all_of_it_but_its_name(self):
        self.interrupted()
        (self.models / "only.gguf.part").write_bytes(content("only.gguf"))
        self.get()
        self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})

    def test_a_full_disk(self):
        self.have("only.gguf")
        done = self.rafter("models", "get", REPO, status=1, restore_signals=False,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)))
        self.assertIn("cannot write: File too large; run the same command again to continue", done.stderr.decode())
        self.get()
        self.assertEqual(self.here(), {"only.gguf": content("only.gguf")})

    def test_a_disk_without_room_is_said_before_the_transfer(self):
        self.hub.listed = json.dumps({"siblings": [{"rfilename": "only.gguf", "size": 10**18}]}).encode()
        self.have("only.gguf")
        self.fails("on that disk; run the same command again to continue")

    def test_more_bytes_than_listed(self):
        self.have("only.gguf")
        self.hub.listed = json.dumps({"siblings": [{"rfilename": "only.gguf", "size": 1000}]}).encode()
        self.fails("expected 1,000 bytes, found more")
        self.assertNotIn("only.gguf", self.here())

    def test_no_redirects_for_ever(self):
        self.have("only.gguf")
        self.hub.cdn = self.hub
        self.fails("redirects")

    def test_a_folder_that_cannot_be_made(self):
        self.have("only.gguf")
        self.fails("cannot be made", env={**self.environment, "XDG_CACHE_HOME": "/dev/null"})


if __name__ == "__main__":
    program.main()
