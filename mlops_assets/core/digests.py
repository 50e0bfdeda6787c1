"""Content addresses: canonical JSON and sha256 over bytes, files and folders.

A folder's digest is the sha256 of the canonical JSON of its sorted ``{relative posix path: file sha256}``,
so it depends on names and bytes alone, never on times, owners or the order a file system lists them in.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


def canonical_json(value: Any) -> str:
    """Serialise JSON data to its one canonical text: sorted keys, no spaces, UTF-8, NaN refused (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_bytes(data: bytes) -> str:
    """Return the 64 lower-case hex digits of the sha256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_json(value: Any) -> str:
    """Return the sha256 of the canonical JSON of `value`."""
    return sha256_bytes(canonical_json(value).encode())


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, read in 1 MiB chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def folder_files(folder: Path) -> dict[str, Path]:
    """List a folder's regular files, by relative posix path, sorted; symbolic links are not followed."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def tree_digest(files: dict[str, str]) -> str:
    """Return the digest of a folder given as ``{relative posix path: sha256}``."""
    return sha256_json(files)


def sha256_folder(folder: Path) -> str:
    """Return the digest of a folder's names and bytes."""
    return tree_digest({name: sha256_file(path) for name, path in folder_files(folder).items()})
