"""The artifact store: bytes under their sha256, in a local folder or an object store, by URL alone.

Layout: `sha256/ab/<digest>` holds a file's bytes; `trees/ab/<digest>` a folder's manifest, the canonical JSON of its
`{relative path: sha256}`, whose own sha256 is the folder's digest. Nothing is ever changed in place. A local file is
written under another name, synced, and renamed; a remote one is committed only when its digest was right. Putting bytes
whose local file was spoiled mends it.

A folder is read from a copy under the cache. Copies, not hard links: whatever spoils a copy must not reach the store.
"""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from mlops_assets.adapters.executable_content import executable_bytes, executable_content
from mlops_assets.adapters.files import remove_abandoned, staged
from mlops_assets.core.digests import CHUNK, canonical_json, folder_files, sha256_bytes, sha256_file, tree_digest
from mlops_assets.core.errors import Busy, Corrupt, NotFound, Refused

DIGEST = re.compile(r"[0-9a-f]{64}")
READ_ONLY = 0o444
UNFINISHED = "unfinished"
WRITERS = 8  # each waits for the disk most of the time
Signature = tuple[tuple[str, int, int, int], ...]


class FsspecStore:
    """Fills `ArtifactStore`. `url` is a folder or any fsspec URL; `home` holds the cache of local copies.

    What was verified in this process is hashed again only when size, change time or inode of a file
    changed.
    """

    def __init__(self, url: str, home: Path) -> None:
        self._files, self._root = fsspec.url_to_fs(url)
        self._local = isinstance(self._files, LocalFileSystem)
        self._cache = home / "cache"
        self._verified: dict[Path, Signature] = {}
        remove_abandoned(self._cache / UNFINISHED)
        if self._local:
            remove_abandoned(Path(self._root) / UNFINISHED)

    def put_bytes(self, data: bytes) -> str:
        """Store bytes, return their digest; Refused if they hold a pickle."""
        _refuse(executable_bytes(data), "These bytes")
        digest = sha256_bytes(data)
        if not self._holds(self._blob(digest), digest):
            self._write(self._blob(digest), data)
        return digest

    def put_file(self, path: Path) -> str:
        """Store a file's bytes, return their digest; Refused if it holds a pickle."""
        _refuse(executable_content(path), path.name)
        return self._put_blob(path)

    def put_folder(self, folder: Path) -> str:
        """Store a folder's files, then its tree; return the tree's digest. If a file is refused, nothing is stored."""
        files = folder_files(folder)
        for name, path in files.items():
            _refuse(executable_content(path), name)
        with ThreadPoolExecutor(WRITERS) as writers:
            tree = dict(zip(files, writers.map(self._put_blob, files.values()), strict=True))
        digest = tree_digest(tree)
        if not self._holds(self._tree(digest), digest):
            self._write(self._tree(digest), canonical_json(tree).encode())
        return digest

    def read_bytes(self, digest: str) -> bytes:
        """Return stored bytes; NotFound if absent, Corrupt if they are not what the digest says."""
        return self._read(self._blob(digest), digest)

    def folder(self, digest: str) -> Path:
        """Return a local, verified copy of a stored folder, its files read-only; a spoiled copy is made anew."""
        copy = self._cache / "trees" / digest
        if copy.is_dir() and self._is_whole(copy, digest):
            return copy
        tree = self._manifest(digest)
        fresh = self._cache / UNFINISHED / uuid.uuid4().hex
        fresh.mkdir(parents=True)
        try:
            for name, blob in tree.items():
                self._copy_out(blob, fresh / name)
            self._put_in_place(fresh, copy, digest)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return copy

    def file(self, digest: str) -> Path:
        """Return a local, verified path to stored bytes, read-only."""
        if self._local:
            path = Path(self._blob(digest))
            if not path.is_file():
                raise _not_found(digest)
            if not self._is_whole(path, digest):
                raise _corrupt(digest)
            return path
        path = self._cache / "files" / digest
        if not (path.is_file() and self._is_whole(path, digest)):
            self._copy_out(digest, path)
        return path

    def size(self, digest: str) -> int:
        """Return the total bytes of a stored file or folder."""
        if self._files.exists(self._blob(digest)):
            return self._files.size(self._blob(digest))
        return sum(self._files.size(self._blob(blob)) for blob in self._manifest(digest).values())

    def has(self, digest: str) -> bool:
        """Say whether a digest is stored, as a file or as a folder with all of its files."""
        if self._files.exists(self._blob(digest)):
            return True
        return self._files.exists(self._tree(digest)) and all(
            self._files.exists(self._blob(blob)) for blob in set(self._manifest(digest).values())
        )

    def remove(self, folders: Collection[str], *, keep: Collection[str]) -> int:
        """Delete stored folders, and those of their files that nothing else needs; return the bytes freed.

        A file stays that any other stored folder holds, or that `keep` names. Files go first and manifests last, so
        that what a crash cuts off is done by the next call. Corrupt if a folder's manifest cannot be read: nobody knows
        what it needs. The caller sees to it that nobody stores anything like it meanwhile.
        """
        doomed = {digest for digest in folders if digest not in keep and self._files.exists(self._tree(digest))}
        if not doomed:
            return 0
        files = {file for digest in doomed for file in self._manifest(digest).values()}
        needed = {file for digest in self._trees() - doomed for file in self._manifest(digest).values()}
        freed = 0
        for digest in sorted(files - needed - set(keep)):
            freed += self._delete(self._blob(digest))
            (self._cache / "files" / digest).unlink(missing_ok=True)
        for digest in sorted(doomed):
            shutil.rmtree(self._cache / "trees" / digest, ignore_errors=True)
            freed += self._delete(self._tree(digest))
        return freed

    def _trees(self) -> set[str]:
        return {name for path in self._files.find(f"{self._root}/trees") if DIGEST.fullmatch(name := Path(path).name)}

    def _delete(self, address: str) -> int:
        try:
            size = self._files.size(address)
            self._files.rm_file(address)
        except FileNotFoundError:  # an earlier call that was cut off deleted it
            return 0
        return size or 0

    def _holds(self, address: str, digest: str) -> bool:
        """Say whether bytes are stored already; a local file that was spoiled is not, so that a put mends it."""
        if self._local:
            return Path(address).is_file() and self._is_whole(Path(address), digest)
        return self._files.exists(address)

    def _blob(self, digest: str) -> str:
        return self._address("sha256", digest)

    def _tree(self, digest: str) -> str:
        return self._address("trees", digest)

    def _address(self, kind: str, digest: str) -> str:
        if not DIGEST.fullmatch(digest):
            raise NotFound(f"{digest!r} is not a digest.", "A digest is 64 hexadecimal digits.")
        return f"{self._root}/{kind}/{digest[:2]}/{digest}"

    def _put_blob(self, path: Path) -> str:
        digest = sha256_file(path)
        if not self._holds(self._blob(digest), digest):
            with path.open("rb") as source, self._writing(self._blob(digest)) as target:
                if _copy(source, target) != digest:
                    raise Busy(f"{path.name} changed while it was stored.", "Try again when it is written.")
        return digest

    def _write(self, address: str, data: bytes) -> None:
        with self._writing(address) as file:
            file.write(data)

    @contextmanager
    def _writing(self, address: str) -> Iterator[IO[bytes]]:
        if self._local:
            with staged(Path(address), Path(self._root) / UNFINISHED) as unfinished:
                with unfinished.open("xb") as file:
                    yield file
                unfinished.chmod(READ_ONLY)
            return
        self._files.makedirs(address.rpartition("/")[0], exist_ok=True)
        file = self._files.open(address, "wb", autocommit=False)
        try:
            yield file
        except BaseException:
            file.discard()
            raise
        file.close()
        file.commit()

    def _read(self, address: str, digest: str) -> bytes:
        try:
            data = self._files.cat_file(address)
        except FileNotFoundError as error:
            raise _not_found(digest) from error
        if sha256_bytes(data) != digest:
            raise _corrupt(digest)
        return data

    def _manifest(self, digest: str) -> dict[str, str]:
        return json.loads(self._read(self._tree(digest), digest))

    def _copy_out(self, digest: str, path: Path) -> None:
        try:
            with self._files.open(self._blob(digest), "rb") as source, staged(path, durable=False) as unfinished:
                with unfinished.open("xb") as target:
                    if _copy(source, target) != digest:
                        raise _corrupt(digest)
                unfinished.chmod(READ_ONLY)
        except FileNotFoundError as error:
            raise _not_found(digest) from error

    def _put_in_place(self, fresh: Path, copy: Path, digest: str) -> None:
        """Rename a new copy into place, or keep the one that another process has put there meanwhile."""
        copy.parent.mkdir(parents=True, exist_ok=True)
        spoiled = fresh.with_suffix(".spoiled")
        try:
            if copy.exists() and not self._is_whole(copy, digest):
                copy.rename(spoiled)
                shutil.rmtree(spoiled)
            fresh.rename(copy)
            self._verified[copy] = _signature(folder_files(copy))
        except OSError:
            if not (copy.is_dir() and self._is_whole(copy, digest)):
                raise

    def _is_whole(self, path: Path, digest: str) -> bool:
        files = folder_files(path) if path.is_dir() else {"": path}
        signature = _signature(files)
        if self._verified.get(path) == signature:
            return True
        found = {name: sha256_file(file) for name, file in files.items()}
        whole = (tree_digest(found) if path.is_dir() else found[""]) == digest
        if whole:
            self._verified[path] = signature
        return whole


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def _signature(files: dict[str, Path]) -> Signature:
    def of(name: str, stat: os.stat_result) -> tuple[str, int, int, int]:
        return name, stat.st_size, stat.st_ctime_ns, stat.st_ino

    return tuple(of(name, path.stat()) for name, path in files.items())


def _refuse(found: str | None, name: str) -> None:
    if found is not None:
        raise Refused(
            f"{name} is {found}, which can run code when it is loaded.", "Use safetensors, ONNX, tflite or JSON."
        )


def _not_found(digest: str) -> NotFound:
    return NotFound(f"The artifact store has no {digest}.", "Restore it from a backup, or make the artifact again.")


def _corrupt(digest: str) -> Corrupt:
    return Corrupt(
        f"The stored bytes of {digest} are not what they were when they were stored.",
        "Check the disk, and restore the file from a backup.",
    )
