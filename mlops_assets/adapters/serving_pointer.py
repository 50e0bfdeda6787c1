"""The pointer a serving process reads: one small file per line, replaced whole."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlops_assets.adapters.files import write_whole
from mlops_assets.core.errors import Corrupt, Unavailable
from mlops_assets.core.ports.releases import Pointer, Version
from mlops_assets.core.ports.storage import ArtifactStore
from mlops_assets.core.serving import Arm, Live, ServedRole


class ServingPointer:
    """Fills `Serving` with `<home>/serving/<line>.json`, a `Live`."""

    def __init__(self, home: Path, *, store: ArtifactStore) -> None:
        self._folder = home.resolve() / "serving"
        self._store = store
        self._known: dict[str, tuple[tuple[int, int, int], Live]] = {}

    def publish(
        self, pointer: Pointer, arms: Sequence[tuple[ServedRole, Version, float]], *, over_newer: bool = False
    ) -> Live:
        """Point at servable folders, atomically; a pointer older than the published one is ignored, or goes over it.

        `arms` are role, version and share of users. The folders are complete and verified before the pointer names
        them. Returns what is published then; Unavailable if the disk does not take it.
        """
        served = tuple(
            Arm(
                role=role,
                version=version.version,
                servable=version.servable,
                path=str(self._store.folder(version.servable).resolve()),
                share=share,
            )
            for role, version, share in arms
        )
        shadow = pointer.rollout.shadow if pointer.rollout else 0.0
        wanted = Live(line=pointer.line, revision=pointer.revision, arms=served, shadow=shadow)
        try:
            with self._exclusive(pointer.line):
                published = self._published(pointer.line)
                newer = published is not None and published.revision > wanted.revision and not over_newer
                if published is not None and (newer or published == wanted):
                    return published
                write_whole(self._file(pointer.line), wanted.canonical_json() + "\n")
        except OSError as error:
            raise Unavailable(
                f"What {pointer.line} serves is decided, but {self._file(pointer.line)} cannot be written: "
                f"{error.strerror or error}. Gateways that read this file serve what they served before.",
                "Make room, or give the right to write there; then the same command writes it, and so do `mlops up` "
                "and every gateway, by themselves.",
            ) from error
        return wanted

    def _published(self, line: str) -> Live | None:
        """Return what is published, None if nothing can be read: it is replaced, as the tables are authoritative."""
        try:
            return self.live(line)
        except Corrupt:
            return None

    def live(self, line: str) -> Live | None:
        """Return what is published of a line; a file that is as it was costs a stat, so that it can be polled.

        Corrupt for a file that is damaged, or that an earlier release of the platform wrote.
        """
        file = self._file(line)
        try:
            found = file.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            known = self._known.get(line)
            if known is None or known[0] != stamp:
                known = self._known[line] = (stamp, _read(file))
        except FileNotFoundError:
            return None
        return known[1]

    def _file(self, line: str) -> Path:
        return self._folder / f"{line}.json"

    @contextmanager
    def _exclusive(self, line: str) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f".{line}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _read(file: Path) -> Live:
    try:
        published = Live.parse_peer(file.read_bytes())
        if not any(arm.role == "production" for arm in published.arms):
            raise ValueError("no arm is in production")
    except ValueError as error:
        raise Corrupt(
            f"The serving pointer {file} cannot be read.",
            "Nothing is lost: the tables say what serves. Gateways write it anew, and so does `mlops up`.",
        ) from error
    return published
