"""The numbered reasons of a preference batch: what each code says, and what it does to the event or the batch."""

from mlops_assets.core.findings import Rules
from mlops_assets.core.records.data import Severity

_RULES: dict[str, tuple[str, Severity]] = {
    "PRF001": ("no JSONL, CSV or Parquet file", "quarantine"),
    "PRF002": ("columns cannot be told: one is there twice, or is no column of plain values", "quarantine"),
    "PRF003": ("event cannot be read", "drop"),
    "PRF004": ("line too long", "drop"),
    "PRF005": ("control or NUL character", "drop"),
    "PRF006": ("no event has a usable rating", "quarantine"),
    "PRF007": ("file cannot be read as Parquet", "quarantine"),
    "PRF008": ("too many events", "quarantine"),
    "PRF010": ("rating is no number", "drop"),
    "PRF011": ("rating out of range", "drop"),
    "PRF012": ("rating between two levels", "drop"),
    "PRF013": ("name or id too long", "drop"),
    "PRF014": ("event occurs again", "drop"),
    "PRF015": ("the same user rated the same result otherwise", "drop"),
    "PRF016": ("origin is neither 'real' nor 'synthetic'", "drop"),
    "PRF017": ("cohort is neither 'new' nor 'known'", "drop"),
    "PRF020": ("one user gave a large share of the ratings", "flag"),
    "PRF021": ("user always gives the same rating, as a machine would", "flag"),
    "PRF022": ("all ratings are equal", "quarantine"),
    "PRF030": ("usage without a rating: counted, not learned from", "flag"),
    "PRF031": ("free text is not kept", "flag"),
    "PRF032": ("personal data in free text, which is not kept", "flag"),
    "PRF033": ("user id is an e-mail address; only its pseudonym is kept", "flag"),
    "PRF034": ("rating without a user", "flag"),
    "PRF035": ("unknown value, treated as 'other'", "flag"),
    "PRF036": ("implausible number ignored", "flag"),
    "PRF037": ("time unreadable or implausible, ignored", "flag"),
    "PRF038": ("rating rounded", "flag"),
    "PRF039": ("ratings without time or result: repeats cannot be told", "flag"),
    "PRF040": ("column ignored", "flag"),
    "PRF041": ("file ignored", "flag"),
}

FINDINGS: dict[str, str] = {code: title for code, (title, _) in _RULES.items()}

finding, refusal = Rules(_RULES).finding, Rules(_RULES).refusal
