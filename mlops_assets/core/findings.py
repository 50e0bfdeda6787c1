"""Numbered findings of a family's rules: what comes from a batch is cut short and stripped of control characters."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlops_assets.core.records import Finding, Severity

TEXT_LIMIT = 160


@dataclass(frozen=True)
class Rules:
    """The rules of one family: code to title and severity."""

    by_code: Mapping[str, tuple[str, Severity]]

    def finding(self, code: str, item: str | None = None, detail: str = "") -> Finding:
        """Return the finding `code` about an item (None: the batch); KeyError for a code that is none of these."""
        title, severity = self.by_code[code]
        return Finding(code=code, title=title, severity=severity, item=item and _plain(item), detail=_plain(detail))


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:TEXT_LIMIT])
