"""The pointer a serving process reads: one small file per line, replaced whole."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from mlops_assets.adapters.files import write_whole
from mlops_assets.core.digests import canonical_json
from mlops_assets.core.ports import ArtifactStore, Pointer, Version


class ServingPointer:
    """Fills `Serving` with `<home>/serving/<line>.json`: line, version, digest, path, revision."""

    def __init__(self, home: Path, *, store: ArtifactStore) -> None:
        self._folder = home.resolve() / "serving"
        self._store = store

    def publish(self, line: str, pointer: Pointer, version: Version) -> None:
        """Point at a version's servable folder, atomically; a pointer older than the published one is ignored.

        The folder is complete and verified before the pointer names it.
        """
        path = self._store.folder(version.servable)
        with self._exclusive(line):
            published = self.live(line)
            if published is not None and int(str(published["revision"])) > pointer.revision:
                return
            live: dict[str, JsonValue] = {
                "line": line,
                "version": version.version,
                "digest": version.servable,
                "path": str(path.resolve()),
                "revision": pointer.revision,
            }
            write_whole(self._file(line), canonical_json(live) + "\n")

    def live(self, line: str) -> dict[str, JsonValue] | None:
        """Return what is published: line, version, digest, path, revision."""
        file = self._file(line)
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def _file(self, line: str) -> Path:
        return self._folder / f"{line}.json"

    @contextmanager
    def _exclusive(self, line: str) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f".{line}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
