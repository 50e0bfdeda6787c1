"""The quarantine bundle: everything a person needs to judge a batch that was set aside, in one folder."""

import shutil
import uuid
from pathlib import Path

from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import AssetRecord
from mlops_assets.core.records.chain import ASSETS
from mlops_assets.core.records.data import RawBatch, ValidatedData
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.training import CandidateModel

README = """\
Batch {batch} of the line {line} was set aside ({code}).

Why: {reason}

What is here
  submission/     what was submitted, as it came
  records/        what every step recorded, as JSON
  findings.jsonl  every finding of the validation, one a line
  report.html     the evaluation, for a browser
  decision.html   the decision and its evidence, for a browser
  candidate/      the exported model that was judged (safetensors, ONNX or JSON; no pickles)
  logs/           logs of the steps
(Only what the batch got to is there.)

What to do
  mlops show {line} {batch}
  mlops quarantine release {line} {batch} --reason TEXT   admit the data again, as a new batch
  mlops quarantine discard {line} {batch} --reason TEXT   close it for good
"""


def write_bundle(
    platform: Platform, line: Line, batch_id: str, *, reason_code: str, reason: str, logs: Path | None
) -> Path:
    """Write the bundle under another name, rename it into place, and return its path; one that is there stays."""
    target = platform.home / "quarantine" / line.line / f"{batch_id}-{_name(reason_code)}"
    if target.exists():
        return target
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}")
    partial.mkdir(parents=True)
    records = _records(platform, line, batch_id)
    _write_records(partial / "records", records)
    _write_contents(platform, partial, records)
    _write_logs(platform, line, batch_id, partial / "logs", logs)
    text = README.format(batch=batch_id, line=line.line, code=reason_code, reason=reason)
    (partial / "README.txt").write_text(text, encoding="utf-8")
    partial.rename(target)
    for abandoned in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(abandoned)
    return target


def _name(reason_code: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in reason_code)


def _records(platform: Platform, line: Line, batch_id: str) -> dict[str, AssetRecord]:
    found = {asset: platform.records.get(line.line, batch_id, asset) for asset in ASSETS}
    return {asset: record for asset, record in found.items() if record is not None}


def _write_records(folder: Path, records: dict[str, AssetRecord]) -> None:
    folder.mkdir()
    for asset, record in records.items():
        (folder / f"{asset}.json").write_text(record.model_dump_json(indent=2), encoding="utf-8")


def _write_contents(platform: Platform, folder: Path, records: dict[str, AssetRecord]) -> None:
    """Copy out of the store: a bundle is for people to open, and must not spoil what the store holds."""
    for record in records.values():
        match record:
            case RawBatch(is_folder=True):
                shutil.copytree(platform.store.folder(record.artifact), folder / "submission")
            case RawBatch():
                (folder / "submission").mkdir()
                name = Path(record.filename).name or "submission"
                shutil.copyfile(platform.store.file(record.artifact), folder / "submission" / name)
            case ValidatedData():
                (folder / "findings.jsonl").write_bytes(platform.store.read_bytes(record.findings))
            case CandidateModel():
                shutil.copytree(platform.store.folder(record.servable), folder / "candidate")
            case EvalReport(page=str(page)):
                (folder / "report.html").write_bytes(platform.store.read_bytes(page))
            case Decision(page=str(page)):
                (folder / "decision.html").write_bytes(platform.store.read_bytes(page))


def _write_logs(platform: Platform, line: Line, batch_id: str, folder: Path, logs: Path | None) -> None:
    folder.mkdir()
    runs = platform.home / "runs" / line.line / batch_id
    for path in sorted(runs.rglob("*.log")) if runs.exists() else []:
        shutil.copyfile(path, folder / path.relative_to(runs).as_posix().replace("/", "-"))
    if logs is not None and logs.is_dir():
        shutil.copytree(logs, folder / "run")
    elif logs is not None:
        shutil.copyfile(logs, folder / logs.name)
