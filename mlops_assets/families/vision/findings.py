"""The numbered reasons of a vision batch: what each code says, and what it does to the item or the batch."""

from mlops_assets.core.findings import Rules
from mlops_assets.core.records.data import Severity

_RULES: dict[str, tuple[str, Severity]] = {
    "VIS001": ("the manifest cannot be read as one", "quarantine"),
    "VIS002": ("path points outside the batch", "drop"),
    "VIS003": ("manifest row cannot be read", "drop"),
    "VIS004": ("control or NUL character", "drop"),
    "VIS005": ("row without picture", "drop"),
    "VIS006": ("picture without label", "drop"),
    "VIS007": ("label is none of the line's", "drop"),
    "VIS008": ("origin is neither 'real' nor 'synthetic'", "drop"),
    "VIS009": ("no pictures", "quarantine"),
    "VIS010": ("not a JPEG, PNG or WebP picture", "drop"),
    "VIS011": ("empty file", "drop"),
    "VIS012": ("picture cannot be decoded completely", "drop"),
    "VIS013": ("too many pixels", "drop"),
    "VIS014": ("animated picture", "drop"),
    "VIS015": ("too small", "drop"),
    "VIS016": ("too long and narrow", "drop"),
    "VIS017": ("nothing can be seen", "drop"),
    "VIS020": ("same picture again", "drop"),
    "VIS021": ("nearly the same picture again", "drop"),
    "VIS022": ("same picture, other label", "drop"),
    "VIS030": ("blurred", "flag"),
    "VIS031": ("too dark", "flag"),
    "VIS032": ("too bright", "flag"),
    "VIS033": ("no contrast", "flag"),
    "VIS034": ("without colours", "flag"),
    "VIS035": ("maybe not of any class: the subject's colours are missing", "flag"),
    "VIS036": ("colours converted to RGB of 8 bits", "flag"),
    "VIS037": ("transparency put on white", "flag"),
    "VIS040": ("all pictures have one label", "flag"),
    "VIS041": ("manifest column ignored", "flag"),
    "VIS042": ("file ignored", "flag"),
}

FINDINGS: dict[str, str] = {code: title for code, (title, _) in _RULES.items()}


class Fault(Exception):
    """An item that cannot be used: the code of the finding, and a detail for the contributor."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{FINDINGS[code]} ({code}) {detail}".strip())


finding, refusal = Rules(_RULES).finding, Rules(_RULES).refusal
