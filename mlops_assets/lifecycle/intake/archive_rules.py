"""What a batch may hold before anyone looks inside, and the codes of what is refused.

Only relative names that mean the same file on every file system pass.
"""

import re
import unicodedata
from collections import Counter
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.core.findings import Rules
from mlops_assets.core.records.data import Finding, Severity

RULES: dict[str, tuple[str, Severity]] = {
    "ARC001": ("archive cannot be read", "quarantine"),
    "ARC002": ("too many entries", "quarantine"),
    "ARC003": ("too many bytes", "quarantine"),
    "ARC004": ("compressed beyond what data is", "quarantine"),
    "ARC005": ("entries overlap", "quarantine"),
    "ARC006": ("name leads outside the batch", "quarantine"),
    "ARC007": ("name is not portable", "quarantine"),
    "ARC008": ("two entries have one name", "quarantine"),
    "ARC009": ("link or device", "quarantine"),
    "ARC010": ("encrypted entry", "quarantine"),
    "ARC011": ("compression method not supported", "quarantine"),
    "ARC012": ("archive inside the batch", "quarantine"),
    "ARC013": ("header contradicts the directory", "quarantine"),
    "ARC020": ("damaged entry", "drop"),
}
FINDINGS: dict[str, str] = {code: title for code, (title, _) in RULES.items()}

SHOWN_FINDINGS = 20

finding = Rules(RULES).finding


class ArchiveLimits(BaseModel):
    """What a batch may hold before anyone looks inside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_entries: int = Field(default=20_000, ge=1, description="Files and folders of a batch")
    max_bytes: int = Field(default=2 << 30, ge=1, description="Bytes of a batch, unpacked")
    max_ratio: float = Field(
        default=200, ge=1, description="Bytes unpacked per byte packed, of the whole and of any entry above 1 MiB"
    )
    max_depth: int = Field(default=16, ge=1, description="Folders within folders")
    max_name_bytes: int = Field(default=255, ge=1, le=255, description="UTF-8 bytes of one part of a name")


class Unsafe(Exception):
    """Why an archive is refused as a whole."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = findings
        super().__init__(findings)


def refuse(found: list[Finding]) -> None:
    """Raise Unsafe if anything was found."""
    if found:
        raise Unsafe(*found[:SHOWN_FINDINGS])


def check_names(names: list[str], limits: ArchiveLimits) -> None:
    """Raise Unsafe for a name that may lead outside, and for two that some file system takes for one."""
    refuse([finding(code, name) for name in names if (code := name_problem(name, limits)) is not None])
    files = Counter(_same(name) for name in names if not name.endswith("/"))
    folders = {_same(str(parent)) for name in names for parent in PurePosixPath(name).parents}
    folders |= {_same(name) for name in names if name.endswith("/")}
    refuse([finding("ARC008", name) for name, count in files.items() if count > 1 or name in folders])


def name_problem(name: str, limits: ArchiveLimits) -> str | None:
    """Return the code of what makes a name unsafe, or None for a name that stays inside on every file system."""
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in name):
        return "ARC007"
    if name.startswith(("/", "~")) or "\\" in name or re.match(r"[A-Za-z]:", name):
        return "ARC006"
    parts = name.removesuffix("/").split("/")
    if ".." in parts:
        return "ARC006"
    portable = len(parts) <= limits.max_depth and all(
        part not in ("", ".") and len(part.encode()) <= limits.max_name_bytes for part in parts
    )
    return None if portable else "ARC007"


def _same(name: str) -> str:
    """Return what is equal for names that some file system takes for one: case and composition aside."""
    folded = unicodedata.normalize("NFD", name.rstrip("/")).casefold()
    return unicodedata.normalize("NFC", folded)
