"""Where the progress of a batch's long tasks is appended, so that anyone can follow it by reading a file."""

from pathlib import Path

from mlops_assets.core.ports.platform import Platform


def progress_file(platform: Platform, line: str, batch_id: str) -> Path:
    """Return the file that every task of a batch appends its `Progress` messages to, one JSON document a line."""
    return platform.home / "progress" / line / f"{batch_id}.jsonl"
