"""The Hugging Face Hub as a mirror of a line's versions: one commit and one tag each, believed once read back.

The Hub may commit and answer 500, so nothing is concluded from an answer: every attempt reads the repository first,
looks for its own commit by the marker in the commit's description, and commits on top of the head it has read. What
somebody else committed is never overwritten, deleted or moved.
"""

import hashlib
import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from mlops_assets.core.errors import Corrupt, PlatformError, Refused, Unavailable
from mlops_assets.core.line import Hub
from mlops_assets.core.ports.mirrors import Publication
from mlops_assets.core.retry_after import retry_after

TOKEN = "HF_TOKEN"
CARD = "README.md"
RETRIED = (408, 429, 500, 502, 503, 504)
IDLE_SECONDS = 30.0
REST_SECONDS = 300.0
MOST_WAIT_SECONDS = 60.0
MEND = "Mend it on the Hub or in the line's YAML; publishing goes on by itself."
VERSION, FILES = "mlops-version: ", "mlops-files: "
Content = Path | bytes
T = TypeVar("T")
_client = threading.RLock()  # the library has one HTTP client per process


class _Away(Exception):
    """The Hub gave no answer that settles anything; trying again may help, after `seconds` if the Hub named them."""

    def __init__(self, what: str, seconds: float | None = None) -> None:
        super().__init__(what)
        self.seconds = seconds


@dataclass(frozen=True)
class _Commit:
    """A commit on the main branch, newest first; `version` and `files` are those of one made here, else empty."""

    id: str
    version: str
    files: frozenset[str]


class HuggingFaceHub:
    """Fills `Hub` with the client of huggingface_hub; the endpoint is that of HF_ENDPOINT, the token HF_TOKEN's.

    `idle_seconds` is how long the Hub may say nothing. After a failure a repository is left alone for `rest_seconds`:
    an expired token, or a Hub that is away, is not asked at every turn.
    """

    def __init__(
        self,
        *,
        idle_seconds: float = IDLE_SECONDS,
        rest_seconds: float = REST_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._rest_seconds = rest_seconds
        self._sleep = sleep
        self._rests: dict[str, tuple[float, PlatformError]] = {}
        self._tagged: dict[str, dict[str, str]] = {}

    def publish(self, settings: Hub, publication: Publication, *, attempts: int) -> str:
        """Commit, read back and tag a version, once however often it is called; return the commit's id.

        Unavailable after `attempts` without an answer; Refused for a token without the right, a public repository where
        a private one is wanted, or a file that somebody else changed; Corrupt if the Hub holds other bytes.
        """
        return self._ask(settings, attempts, lambda api: _published(api, settings, publication))

    def tag(self, settings: Hub, tags: Mapping[str, str], *, moving: str) -> None:
        """Make tags name their commits; a process asks once for the same, so what is done by hand is seen at its start.

        Between its old place and the new one the tag `moving` is away for a moment. Corrupt if another one names
        another commit.
        """
        if self._tagged.get(settings.repo) == tags:
            return

        def move(api: Any) -> None:
            there = _tags(api, settings.repo)
            if there.get(moving, tags[moving]) != tags[moving]:
                api.delete_tag(settings.repo, tag=moving)
                del there[moving]
            for name in tags.keys() - there.keys():
                api.create_tag(settings.repo, tag=name, revision=tags[name])
            for name in tags.keys() & there.keys():
                _require_tag(settings, name, there[name], tags[name])

        self._ask(settings, 1, move)
        self._tagged[settings.repo] = dict(tags)

    def ready(self, settings: Hub) -> str:
        """Return what is found at the repository; nothing is made."""

        def look(api: Any) -> str:
            info = _info(api, settings)
            return f"{settings.repo} is made by the first release" if info is None else f"{settings.repo} answers"

        return self._ask(settings, 1, look)

    def _ask(self, settings: Hub, attempts: int, question: Callable[[Any], T]) -> T:
        """Put a question to the Hub, again while it gives no answer; errors are a person's and hold no token."""
        token = os.environ.get(TOKEN, "").strip()
        if not token:
            raise Refused(f"{TOKEN} is not set, so nothing can be published to {settings.repo}.", _todo(settings))
        until, why = self._rests.get(settings.repo, (0.0, None))
        if why is not None and time.monotonic() < until:
            raise why
        retrying = Retrying(
            retry=retry_if_exception_type(_Away),
            stop=lambda state: stop_after_attempt(attempts)(state) or _named(state) > MOST_WAIT_SECONDS,
            wait=lambda state: max(_named(state), wait_random_exponential(max=MOST_WAIT_SECONDS)(state)),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            with _api(token, self._idle_seconds) as api:
                answer = retrying(_settled, lambda: question(api), settings, token)
        except _Away as away:
            error = Unavailable(
                f"The Hub did not take {settings.repo}: {_clean(away, token)}.", "It is tried again by itself."
            )
            self._rest(settings, max(self._rest_seconds, away.seconds or 0), error)
        except PlatformError as error:
            self._rest(settings, self._rest_seconds, error)
        self._rests.pop(settings.repo, None)
        return answer

    def _rest(self, settings: Hub, seconds: float, error: PlatformError) -> NoReturn:
        self._rests[settings.repo] = time.monotonic() + seconds, error
        raise error from None


def _published(api: Any, settings: Hub, publication: Publication) -> str:
    """Do one attempt, from wherever an earlier one got to."""
    info = _info(api, settings) or _made(api, settings)
    if settings.private and info.private is False:
        raise Refused(
            f"{settings.repo} on the Hub is public.", "Make it private there, or say `private: false` in the line."
        )
    version = f"{publication.line} {publication.tag} {publication.servable}"
    files: dict[str, Content] = {
        path.relative_to(publication.folder).as_posix(): path
        for path in sorted(publication.folder.rglob("*"))
        if path.is_file()
    }
    files[CARD] = publication.card.encode()
    if _find(_commits(api, settings.repo), version) is None:
        _commit(api, settings, info, publication, files, version)
    commit = _find(_commits(api, settings.repo), version)
    if commit is None:
        raise _Away("the commit is not in its history yet")
    _read_back(api, settings, commit.id, files)
    where = _tags(api, settings.repo).get(publication.tag)
    if where is None:
        api.create_tag(settings.repo, tag=publication.tag, revision=commit.id)
        where = _tags(api, settings.repo).get(publication.tag)
    _require_tag(settings, publication.tag, where, commit.id)
    return commit.id


def _require_tag(settings: Hub, name: str, where: str | None, commit: str) -> None:
    if where != commit:
        raise Corrupt(
            f"Tag {name} of {settings.repo} names {where}, not the commit {commit} of that version.",
            "Remove the tag on the Hub; it is set again by itself.",
        )


def _commit(
    api: Any, settings: Hub, info: Any, publication: Publication, files: Mapping[str, Content], version: str
) -> None:
    """Commit all files on top of the head that was read, unless somebody else's work would be lost."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    head = _tree(info)
    last = next((each for each in _commits(api, settings.repo) if each.version), None)
    ours = frozenset[str]() if last is None else last.files
    before = {} if last is None else _tree(api.model_info(settings.repo, revision=last.id, files_metadata=True))
    for path in sorted(ours.union(files)):
        changed = path in head and head[path] != before.get(path)
        if changed and not (path in files and _same(head[path], files[path])):
            raise Refused(
                f"{path} of {settings.repo} was changed by somebody else; publishing {publication.tag} would undo it.",
                "Take that change back on the Hub, or rename the file; publishing goes on by itself.",
            )
    api.create_commit(
        settings.repo,
        operations=[
            *(
                CommitOperationAdd(path, content if isinstance(content, bytes) else str(content))
                for path, content in files.items()
            ),
            *(CommitOperationDelete(path_in_repo=path) for path in sorted((ours & head.keys()) - files.keys())),
        ],
        commit_message=f"{publication.line} {publication.tag}",
        commit_description=f"{VERSION}{version}\n{FILES}{json.dumps(sorted(files))}",
        parent_commit=info.sha,
    )  # fmt: skip


def _read_back(api: Any, settings: Hub, commit: str, files: Mapping[str, Content]) -> None:
    """Raise Corrupt unless the Hub's digests of a commit's files are those of the files given to it."""
    there = _tree(api.model_info(settings.repo, revision=commit, files_metadata=True))
    wrong = [path for path, content in files.items() if not _same(there.get(path), content)]
    if wrong:
        raise Corrupt(
            f"Commit {commit} of {settings.repo} does not hold what was published: {', '.join(sorted(wrong)[:5])}.",
            "Look at the repository's files and its .gitignore; then remove the commit, and publishing starts again.",
        )


def _info(api: Any, settings: Hub) -> Any:
    """Return the repository at its head, None if there is none that this token may see."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(settings.repo, files_metadata=True)
    except RepositoryNotFoundError as error:
        if error.response.status_code != 404:
            raise
        return None


def _made(api: Any, settings: Hub) -> Any:
    api.create_repo(settings.repo, private=settings.private)
    info = _info(api, settings)
    if info is None:
        raise _Away("the repository that was made is not there yet")
    return info


def _commits(api: Any, repo: str) -> list[_Commit]:
    return [_read(each.commit_id, f"{each.title}\n{each.message}") for each in api.list_repo_commits(repo)]


def _read(commit: str, message: str) -> _Commit:
    lines = message.splitlines()
    version = next((line.removeprefix(VERSION) for line in lines if line.startswith(VERSION)), "")
    files = next((line.removeprefix(FILES) for line in lines if line.startswith(FILES)), "[]")
    return _Commit(commit, version.strip(), frozenset(json.loads(files)))


def _find(commits: list[_Commit], version: str) -> _Commit | None:
    return next((each for each in commits if each.version == version), None)


def _tags(api: Any, repo: str) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(repo).tags}


def _tree(info: Any) -> dict[str, str]:
    """Return the digest of each file: sha256 of one in LFS, else git's of the blob (SHA-1 of 'blob SIZE\\0BYTES')."""
    return {each.rfilename: each.lfs.sha256 if each.lfs else each.blob_id for each in info.siblings}


def _same(digest: str | None, content: Content) -> bool:
    if digest is None:
        return False
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    hasher = hashlib.sha256() if len(digest) == 64 else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    if isinstance(content, bytes):
        hasher.update(content)
    else:
        with content.open("rb") as file:
            hashlib.file_digest(file, lambda: hasher)
    return hasher.hexdigest() == digest


@contextmanager
def _api(token: str, idle_seconds: float) -> Iterator[Any]:
    """Give a client that stops waiting, and leaves all trying again to one place.

    The library's own client has no time limit and waits and retries inside of calls; its second way to upload (xet)
    cannot be given a limit. Both are set aside for the length of the block.
    """
    import httpx2
    from huggingface_hub import HfApi, constants, set_client_factory
    from huggingface_hub.utils import disable_progress_bars
    from huggingface_hub.utils._http import default_client_factory, hf_request_event_hook

    class Client(httpx2.Client):
        def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            request.extensions["timeout"] = httpx2.Timeout(idle_seconds).as_dict()  # some calls ask for none
            asked = f"{request.method} {request.url.host}{request.url.path}"
            try:
                response = super().send(request, **options)
            except httpx2.TransportError as error:
                raise _Away(f"{asked} ended with {type(error).__name__}") from None
            if response.status_code in RETRIED:
                raise _Away(f"{asked} gave {response.status_code}", retry_after(response.headers))
            return response

    with _client:
        hooks, xet = {"request": [hf_request_event_hook]}, constants.HF_HUB_DISABLE_XET
        set_client_factory(lambda: Client(event_hooks=hooks, follow_redirects=True))
        constants.HF_HUB_DISABLE_XET = True
        disable_progress_bars()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)  # how the library uploads
                yield HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token)
        finally:
            constants.HF_HUB_DISABLE_XET = xet
            set_client_factory(default_client_factory)


def _settled(question: Callable[[], T], settings: Hub, token: str) -> T:
    """Return the answer; _Away where another attempt may settle it, else an error for a person."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return question()
    except (_Away, PlatformError):
        raise
    except (OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        cause = _root(error, (_Away, HfHubHTTPError))
        if isinstance(cause, _Away):
            raise cause from None
        if isinstance(cause, HfHubHTTPError):
            raise _answered(cause, settings, token) from None
        if isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError):  # the library's own refusals
            raise Refused(f"{settings.repo} was not published: {_clean(error, token)}", MEND) from None
        said = error.__cause__ or error
        raise _Away(f"{type(said).__name__}: {said}") from None


def _answered(error: Any, settings: Hub, token: str) -> Exception:
    """Return what a refusal means: 409 is a lock and 412 a head that moved; both are settled by reading again."""
    status = error.response.status_code
    if status in (409, 412):
        return _Away(f"its head is locked or has moved ({status})")
    if status in (401, 403):
        return Refused(
            f"The Hub does not let the token in {TOKEN} write to {settings.repo} ({status}).", _todo(settings)
        )
    said = error.server_message or "no reason given"
    return Refused(f"The Hub refused {settings.repo} ({status}): {_clean(said, token)}", MEND)


def _root(error: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    found: BaseException | None = error
    while found is not None and not isinstance(found, kinds):
        found = found.__cause__ or found.__context__
    return found


def _named(state: RetryCallState) -> float:
    """Return the seconds after which the Hub wants to be asked again, 0 if it named none."""
    error = state.outcome.exception() if state.outcome else None
    return error.seconds or 0.0 if isinstance(error, _Away) else 0.0


def _todo(settings: Hub) -> str:
    return f"Set {TOKEN}, in the environment or in .env, to a token that may write to {settings.repo}."


def _clean(text: object, token: str) -> str:
    return str(text).replace(token, "***")
