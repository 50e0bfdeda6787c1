"""A Hugging Face Hub on this machine: the calls that publishing makes, answered as the Hub does, and its faults.

Commits are kept as the Hub keeps them: a list, newest last, each with the digests of all files of its tree.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

TOKEN = "hf_notarealtoken"
LFS_BYTES = 1024
BY_ITSELF = "/api/agent-harnesses"  # what the client asks once in a process, for its own sake
Answer = tuple[int, Any]
Fault = Callable[[str, str], "Answer | None"]


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Repository:
    """Commits, tags and whether it is private."""

    def __init__(self, private: bool) -> None:
        self.private = private
        self.tags: dict[str, str] = {}
        self.commits: list[dict[str, Any]] = []
        self.commit("initial commit", "", {".gitattributes": b"*.onnx filter=lfs"})

    @property
    def head(self) -> dict[str, Any]:
        return self.commits[-1]

    def commit(self, title: str, description: str, changes: dict[str, bytes | None]) -> dict[str, Any]:
        """Commit as anyone may; None removes a file."""
        tree = {**(self.commits[-1]["tree"] if self.commits else {}), **changes}
        identity = hashlib.sha1(f"{len(self.commits)} {title}".encode(), usedforsecurity=False).hexdigest()
        made = {"id": identity, "title": title, "message": description}
        made["tree"] = {path: content for path, content in tree.items() if content is not None}
        self.commits.append(made)
        return made

    def at(self, revision: str | None) -> dict[str, Any] | None:
        if revision in (None, "main"):
            return self.head
        wanted = self.tags.get(str(revision), revision)
        return next((each for each in self.commits if each["id"] == wanted), None)


class HubServer:
    """The server: its repositories, what it was asked, and its faults.

    A fault is asked first, with method and path, and gives an answer of its own or None. `landing` are statuses that
    the next commits give although they landed; `keeps` makes what is stored of a file; `released` holds answers back.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.faults: list[Fault] = []
        self.landing: list[int] = []
        self.headers: dict[str, str] = {}
        self.token = TOKEN
        self.keeps: Callable[[str, bytes], bytes] = lambda path, content: content
        self.released = threading.Event()
        self.released.set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = urlsplit(self.path).path
                if path != BY_ITSELF:
                    hub.asked.append(f"{self.command} {path}")
                hub.released.wait()
                signed = path.startswith("/upload/")
                allowed = signed or self.headers.get("Authorization") == f"Bearer {hub.token}"
                status, document = hub.answered(self.command, path, body) if allowed else (401, {"error": "Invalid"})
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if code := {404: "RepoNotFound"}.get(status):
                    self.send_header("X-Error-Code", code)
                for name, value in hub.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(data)
                    self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):  # nobody waited
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fail(self, part: str, *statuses: int, body: Any = None) -> None:
        """Answer the next calls whose 'METHOD path' holds `part` with these statuses, one each."""
        left = list(statuses)

        def fault(method: str, path: str) -> Answer | None:
            return (left.pop(0), body or {"error": "on purpose"}) if left and part in f"{method} {path}" else None

        self.faults.append(fault)

    def calls(self, part: str) -> int:
        return sum(part in each for each in self.asked)

    def answered(self, method: str, path: str, body: bytes) -> Answer:
        for fault in self.faults:
            if (answer := fault(method, path)) is not None:
                return answer
        if method == "PUT" and path.startswith("/upload/"):
            self.large[path.removeprefix("/upload/")] = body
            return 200, {}
        document = json.loads(body) if body and not path.endswith(("/commit/main", "/upload")) else {}
        if path == "/api/validate-yaml":
            return self._validated(document["content"])
        if path == "/api/repos/create":
            return self._created(document)
        if found := re.fullmatch(r"/([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", path):
            return 200, {"transfer": "basic", "objects": [self._batch(each) for each in document["objects"]]}
        found = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(?:/(\w+))?(?:/([^/]+))?", path)
        repository = self.repositories.get(found[1]) if found else None
        if found is None or repository is None:
            return 404, {"error": "Repository not found"}
        return self._of(repository, found[1], method, found[2], unquote(found[3] or ""), document, body)

    def _of(
        self, repository: Repository, name: str, method: str, what: str | None, which: str, document: Any, body: bytes
    ) -> Answer:
        match method, what:
            case "GET", None | "revision":
                at = repository.at(which or None)
                return (404, {"error": "no such revision"}) if at is None else (200, self._info(repository, name, at))
            case "GET", "commits":
                listed = [
                    {key: each[key] for key in ("id", "title", "message")}
                    | {"authors": [{"user": "ann"}], "date": "2026-11-21T00:00:00.000Z"}
                    for each in reversed(repository.commits)
                ]
                return 200, listed
            case "GET", "refs":
                tags = [{"name": k, "ref": f"refs/tags/{k}", "targetCommit": v} for k, v in repository.tags.items()]
                main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head["id"]}
                return 200, {"branches": [main], "converts": [], "tags": tags}
            case "POST", "preupload":
                return 200, {"files": [self._mode(repository, each) for each in document["files"]]}
            case "POST", "commit":
                return self._commit(repository, name, [json.loads(line) for line in body.splitlines()])
            case "POST", "tag":
                if document["tag"] in repository.tags:
                    return 409, {"error": "Tag exists"}
                repository.tags[document["tag"]] = which
                return 200, {}
            case "DELETE", "tag":
                del repository.tags[which]
                return 200, {}
        return 404, {"error": f"{method} {what} is not a call of the Hub"}

    def _created(self, document: Any) -> Answer:
        name = f"{document['organization']}/{document['name']}"
        if name in self.repositories:
            return 409, {"error": "You already created this model repo"}
        self.repositories[name] = Repository(document.get("visibility") == "private")
        return 200, {"url": f"{self.url}/{name}"}

    def _validated(self, content: str) -> Answer:
        block = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        metadata = yaml.safe_load(block[1]) if block else None
        if not isinstance(metadata, dict) or not re.fullmatch(r"[a-z0-9.-]+", str(metadata.get("license"))):
            return 400, {"errors": [{"message": '"license" must be one of a list'}], "warnings": []}
        return 200, {"errors": [], "warnings": []}

    def _info(self, repository: Repository, name: str, at: dict[str, Any]) -> Any:
        siblings = [self._sibling(path, content) for path, content in at["tree"].items()]
        return {"id": name, "sha": at["id"], "private": repository.private, "tags": [], "siblings": siblings}

    def _sibling(self, path: str, content: bytes) -> Any:
        sibling: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git_digest(content)}
        if len(content) >= LFS_BYTES:
            sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return sibling

    def _mode(self, repository: Repository, file: Any) -> Any:
        there = repository.head["tree"].get(file["path"])
        mode = "lfs" if file["size"] >= LFS_BYTES else "regular"
        oid = None if there is None else (hashlib.sha256(there).hexdigest() if mode == "lfs" else git_digest(there))
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _batch(self, wanted: Any) -> Any:
        there = (
            {}
            if wanted["oid"] in self.large
            else {"actions": {"upload": {"href": f"{self.url}/upload/{wanted['oid']}"}}}
        )
        return {"oid": wanted["oid"], "size": wanted["size"]} | there  # fmt: skip

    def _commit(self, repository: Repository, name: str, lines: list[Any]) -> Answer:
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, repository.head["id"]):
            return 412, {"error": "A commit has happened since. Please refresh and try again."}
        changes: dict[str, bytes | None] = {}
        for line in lines[1:]:
            path, value = line["value"]["path"], line["value"]
            match line["key"]:
                case "file":
                    changes[path] = self.keeps(path, base64.b64decode(value["content"]))
                case "lfsFile":
                    changes[path] = self.keeps(path, self.large[value["oid"]])
                case "deletedFile":
                    changes[path] = None
        made = repository.commit(header["summary"], header["description"], changes)
        if self.landing:
            return self.landing.pop(0), {"error": "Internal Error"}
        address = f"{self.url}/{name}/commit/{made['id']}"
        return 200, {"commitUrl": address, "commitOid": made["id"], "pullRequestUrl": None}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub that HF_ENDPOINT and HF_TOKEN lead to."""
    made = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.released.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()
