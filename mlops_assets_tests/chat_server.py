"""A chat model's server on this machine: the OpenAI chat completions interface, answering what a test wants."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Provider:
    """The server: what it was asked, and what it is to answer; `released` holds answers back."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.content = json.dumps({"quality_score": 8.5, "issues": []})
        self.released = threading.Event()
        self.released.set()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                provider.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                provider.released.wait()
                body = json.dumps(provider.answer()).encode()
                self.send_response(provider.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", "0")
                self.end_headers()
                try:
                    self.wfile.write(body)
                except BrokenPipeError:  # the judge did not wait
                    return

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def answer(self) -> dict[str, Any]:
        if self.status != 200:
            return {"error": {"message": "no", "type": "refused", "code": None}}
        message = {"role": "assistant", "content": self.content}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    made = Provider()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.released.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()
