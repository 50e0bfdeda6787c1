"""Where what a verb makes is kept: bytes under their digest, and the records that name them."""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from mlops_assets.core.records.base import AssetRecord


class ArtifactStore(Protocol):
    """Bytes under their sha256. Pickles are refused by their magic bytes (Refused)."""

    def put_bytes(self, data: bytes) -> str:
        """Store bytes, return their digest."""
        ...

    def put_file(self, path: Path) -> str:
        """Store a file's bytes, return their digest."""
        ...

    def put_folder(self, folder: Path) -> str:
        """Store a folder's files and its tree; return the tree's digest."""
        ...

    def read_bytes(self, digest: str) -> bytes:
        """Return stored bytes; NotFound if absent, Corrupt if they are not what the digest says."""
        ...

    def folder(self, digest: str) -> Path:
        """Return a local, verified, read-only copy of a stored folder."""
        ...

    def file(self, digest: str) -> Path:
        """Return a local, verified path to stored bytes."""
        ...

    def size(self, digest: str) -> int:
        """Return the total bytes of a stored file or folder."""
        ...

    def has(self, digest: str) -> bool:
        """Say whether a digest is stored: a file, or a folder with all of its files."""
        ...

    def remove(self, folders: Collection[str], *, keep: Collection[str]) -> int:
        """Delete folders, and those of their files that no other folder holds and `keep` does not name.

        Returns the bytes freed; Corrupt, and nothing is deleted, if it cannot be known what another folder holds.
        """
        ...


class Records(Protocol):
    """The latest record of each asset of each batch, and all earlier ones."""

    def put(self, asset: str, record: AssetRecord) -> None:
        """Store a record; the same digest twice is one."""
        ...

    def get(self, line: str, batch_id: str, asset: str) -> AssetRecord | None:
        """Return the latest record of an asset, or None."""
        ...

    def history(self, line: str, batch_id: str, asset: str) -> list[AssetRecord]:
        """Return every record of an asset, oldest first."""
        ...

    def forget(self, line: str, batch_id: str, asset: str) -> None:
        """Make an asset count as not made for this batch (its history stays)."""
        ...
