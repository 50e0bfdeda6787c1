"""The numbered reasons of a speech batch: what each code says, and what it does to the item or the batch."""

from mlops_assets.core.findings import Rules
from mlops_assets.core.records.data import Severity

_RULES: dict[str, tuple[str, Severity]] = {
    "SPC001": ("the manifest cannot be read as one", "quarantine"),
    "SPC002": ("path points outside the batch", "quarantine"),
    "SPC003": ("manifest row cannot be read", "drop"),
    "SPC004": ("manifest line or transcript too long", "drop"),
    "SPC005": ("control or NUL character", "drop"),
    "SPC006": ("transcript without audio", "drop"),
    "SPC007": ("audio without transcript", "drop"),
    "SPC010": ("not a WAV, FLAC or OGG file", "drop"),
    "SPC011": ("encoding not on the list of safe ones", "drop"),
    "SPC012": ("empty audio", "drop"),
    "SPC013": ("truncated audio", "drop"),
    "SPC014": ("audio cannot be decoded", "drop"),
    "SPC015": ("audio holds NaN or infinity", "drop"),
    "SPC016": ("too many channels", "drop"),
    "SPC017": ("sample rate out of range", "drop"),
    "SPC018": ("audio too short or too long", "drop"),
    "SPC019": ("silent audio", "drop"),
    "SPC020": ("empty transcript", "drop"),
    "SPC021": ("transcript does not fit the audio's length", "drop"),
    "SPC022": ("personal data or a secret in the transcript", "drop"),
    "SPC023": ("duplicate audio", "drop"),
    "SPC024": ("near-duplicate audio", "drop"),
    "SPC025": ("same audio, other transcript", "drop"),
    "SPC026": ("language code cannot be read", "drop"),
    "SPC027": ("origin is neither 'real' nor 'synthetic'", "drop"),
    "SPC030": ("channels mixed to one", "flag"),
    "SPC031": ("clipped audio", "flag"),
    "SPC032": ("script does not fit the language", "flag"),
    "SPC033": ("language is not the line's", "flag"),
    "SPC034": ("manifest column ignored", "flag"),
    "SPC035": ("file ignored", "flag"),
}

FINDINGS: dict[str, str] = {code: title for code, (title, _) in _RULES.items()}

finding, refusal = Rules(_RULES).finding, Rules(_RULES).refusal
