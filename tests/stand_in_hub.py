"""A stand-in for the Hub on 127.0.0.1, which the real client asks: one repository for each way a lookup can end."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "tie_word_embeddings": False,
}
GOOD = json.dumps(LLAMA).encode()
#: Repository -> (status, the Hub's error code, body of config.json).
REPOSITORIES: dict[str, tuple[int, str, bytes]] = {
    "org/good": (200, "", GOOD),
    "org/gated": (403, "GatedRepo", b""),
    "org/private": (401, "RepoNotFound", b""),
    "org/missing": (404, "RepoNotFound", b""),
    "org/no-config": (404, "EntryNotFound", b""),
    "org/broken": (200, "", b'{"model_type": "llama",'),
    "org/list": (200, "", b"[1, 2]"),
    "org/binary": (200, "", b"\xff\xfe\x00" * 10),
    "org/deep": (200, "", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "org/huge": (200, "", b" " * (2 * 2**20)),
    "org/another-type": (200, "", b'{"model_type": "no_such_type"}'),
    "org/down": (503, "", b""),
    "org/slow": (0, "", b""),
}
SAFETENSORS = {"safetensors": {"parameters": {"BF16": 123_456}, "total": 123_456}, "id": "org/good"}


class _Hub(BaseHTTPRequestHandler):
    asked: list[str]
    release: threading.Event

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if self.path.startswith("/api/models/"):
            self._send(200, "", json.dumps(SAFETENSORS).encode(), body)
            return
        repository = "/".join(self.path.split("/")[1:3])
        status, code, content = REPOSITORIES.get(repository, (404, "RepoNotFound", b""))
        if status == 0:
            self.release.wait(30)
            return
        self._send(status, code, content, body)

    def _send(self, status: int, code: str, content: bytes, body: bool) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hash(content):x}"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is written to the terminal."""


@contextmanager
def stand_in_hub() -> Iterator[tuple[str, list[str]]]:
    """The address of a stand-in that answers, and the requests that it got."""
    asked: list[str] = []
    handler = type("Hub", (_Hub,), {"asked": asked, "release": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        handler.release.set()  # type: ignore[attr-defined]
        time.sleep(0.01)
        server.shutdown()
        server.server_close()
