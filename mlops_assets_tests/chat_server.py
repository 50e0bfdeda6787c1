"""A chat model's server on this machine: the OpenAI chat completions interface, answering what a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

TRICKLE_SECONDS = 0.05


class Provider:
    """The server: what it was asked, and what it is to answer.

    `content` is what it says, or makes of what was asked. `status` holds for every answer, `statuses` for the first
    ones; `body` replaces the whole document; `released` holds answers back; a `trickling` server sends a byte now and
    then for ever; one without `schemas` refuses to be held to one, and one without `temperatures` to be given one.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.statuses: list[int] = []
        self.headers = {"Retry-After": "0"}
        self.content: str | Callable[[dict[str, Any]], str] | None = json.dumps({"quality_score": 8.5, "issues": []})
        self.finish_reason = "stop"
        self.body: bytes | None = None
        self.trickling = False
        self.schemas = True
        self.temperatures = True
        self.released = threading.Event()
        self.released.set()
        self.closing = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                provider.asked.append(asked)
                status = provider.answered(asked)
                provider.released.wait()
                body = provider.document(status, asked) if provider.body is None else provider.body
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(10**9 if provider.trickling else len(body)))
                for name, value in provider.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body[:1] if provider.trickling else body)
                    while provider.trickling and not provider.closing.wait(TRICKLE_SECONDS):
                        self.wfile.write(b" ")
                except (BrokenPipeError, ConnectionResetError):  # nobody waited
                    return

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def answered(self, asked: dict[str, Any]) -> int:
        """Return the status of the answer to a request."""
        if ("response_format" in asked and not self.schemas) or ("temperature" in asked and not self.temperatures):
            return 400
        return self.statuses.pop(0) if self.statuses else self.status

    def document(self, status: int, asked: dict[str, Any]) -> bytes:
        """Return the answer with that status."""
        if status != 200:
            return json.dumps({"error": {"message": "no", "type": "refused", "code": None}}).encode()
        content = self.content(asked) if callable(self.content) else self.content
        message = {"role": "assistant", "content": content}
        document = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": self.finish_reason, "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        return json.dumps(document).encode()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    made = Provider()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.released.set()
    made.closing.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()
