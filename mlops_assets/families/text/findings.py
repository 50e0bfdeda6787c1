"""The numbered reasons of a text batch: what each code says, and what it does to the row or the batch."""

from mlops_assets.core.findings import Rules
from mlops_assets.core.records.data import Severity

RULES: dict[str, tuple[str, Severity]] = {
    "TXT001": ("no CSV, JSONL or Parquet file", "quarantine"),
    "TXT002": ("columns cannot be told: one is missing or there twice", "quarantine"),
    "TXT003": ("row cannot be read", "drop"),
    "TXT004": ("text in another encoding than UTF-8", "drop"),
    "TXT005": ("control or NUL character", "drop"),
    "TXT006": ("file cannot be read as what its name says", "quarantine"),
    "TXT010": ("empty message", "drop"),
    "TXT011": ("message too short", "drop"),
    "TXT012": ("message too long", "drop"),
    "TXT013": ("empty label", "drop"),
    "TXT014": ("unknown label", "drop"),
    "TXT015": ("confidence or score is no number in 0..1", "drop"),
    "TXT016": ("doubtful label", "drop"),
    "TXT017": ("origin is neither 'real' nor 'synthetic'", "drop"),
    "TXT018": ("language code cannot be read", "drop"),
    "TXT020": ("message occurs again", "drop"),
    "TXT021": ("same message, other label", "drop"),
    "TXT022": ("nearly the same message, same label", "drop"),
    "TXT023": ("personal data in the message", "drop"),
    "TXT024": ("message is a spreadsheet formula", "drop"),
    "TXT030": ("doubtful label", "flag"),
    "TXT031": ("label in other capitals", "flag"),
    "TXT032": ("personal data in the message", "flag"),
    "TXT033": ("letters damaged by a wrong encoding", "flag"),
    "TXT034": ("language is not the line's", "flag"),
    "TXT035": ("column ignored", "flag"),
    "TXT036": ("file ignored", "flag"),
    "TXT037": ("all messages have one label", "flag"),
    "TXT039": ("nearly the same message, same label", "flag"),
    "TXT038": ("label and score disagree", "flag"),
}

FINDINGS: dict[str, str] = {code: title for code, (title, _) in RULES.items()}

finding, refusal = Rules(RULES).finding, Rules(RULES).refusal
