"""Numbered findings of a family's rules: what a stranger sent is cut short and stripped of control characters."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlops_assets.core.records.data import Finding, Severity

TEXT_LIMIT = 160


@dataclass(frozen=True)
class Rules:
    """The rules of one family: code to title and severity."""

    by_code: Mapping[str, tuple[str, Severity]]

    def finding(self, code: str, item: str | None = None, detail: str = "") -> Finding:
        """Return the finding `code` about an item (None: the batch); KeyError for a code that is none of these."""
        title, severity = self.by_code[code]
        return Finding(code=code, title=title, severity=severity, item=item and _plain(item), detail=_plain(detail))

    def refusal(self, code: str, detail: str = "") -> str:
        """Return the finding `code` as the sentence that a client is told: 'Empty audio (SPC012): 0 bytes.'."""
        found = self.finding(code, detail=detail)
        said = f": {found.detail.removesuffix('.')}" if found.detail else ""
        return f"{found.title[0].upper()}{found.title[1:]} ({code}){said}."


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:TEXT_LIMIT])
