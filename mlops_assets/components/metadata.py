"""What a person sees of each record in the Dagster UI: numbers, tables and pictures, made from the record alone."""

import functools
from collections import Counter
from collections.abc import Mapping

import dagster as dg

from mlops_assets.components.display import Metadata, bullets, picture, table
from mlops_assets.components.evaluation_metadata import measured
from mlops_assets.components.samples import samples
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import AssetRecord
from mlops_assets.core.records.data import RawBatch, ValidatedData
from mlops_assets.core.records.decision import Decision, Exchange
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.outcome import DeployedVersion, Quarantined
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle import status
from mlops_assets.lifecycle.decide.page import write_decision_page
from mlops_assets.lifecycle.evaluation.report import learning_curve_png
from mlops_assets.lifecycle.history import batch_findings
from mlops_assets.lifecycle.line_report import write_line_page

SECONDS_PER_MINUTE = 60


@functools.singledispatch
def describe(record: AssetRecord, platform: Platform, line: Line) -> Metadata:
    """Return the metadata of a record's materialization."""
    raise NotImplementedError(type(record).__name__)


@describe.register
def _(record: RawBatch, platform: Platform, line: Line) -> Metadata:
    return {
        "file": record.filename,
        "size": f"{record.size_bytes / 1e6:.2f} MB",
        "source": record.source,
        "contributor": record.contributor,
        "received": record.received_at,
        "sha256": record.sha256,
    }


@describe.register
def _(record: ValidatedData, platform: Platform, line: Line) -> Metadata:
    counts = Counter[tuple[str, str, str]]()
    for finding in batch_findings(platform, record):
        counts[(finding.code, finding.title, finding.severity)] += 1
    rows = [
        {"code": code, "reason": title, "what happens": severity, "times": times}
        for (code, title, severity), times in counts.most_common()
    ]
    return {
        "accepted": record.accepted,
        "kept": record.kept,
        "total": record.total,
        "dropped": sum(record.dropped.values()),
        "quality score": record.quality_score,
        "origin": record.origin,
        **{f"sum of {name}": value for name, value in record.statistics.items()},
        **({"discards by reason": table(rows)} if rows else {}),
        **({"items by label": table(_by_label(record.labels))} if record.labels else {}),
        **samples(platform.store.folder(record.dataset)),
        **(
            {"stopped because": bullets([f"{r.code} {r.title} {r.detail}" for r in record.reasons])}
            if record.reasons
            else {}
        ),
    }


@describe.register
def _(record: CandidateModel, platform: Platform, line: Line) -> Metadata:
    return {
        "items": record.items,
        "steps": record.steps,
        "minutes": round(record.seconds / SECONDS_PER_MINUTE, 2),
        "device": record.device,
        "stopped": record.stopped,
        "trained from version": record.parent_version or "the base model",
        "replayed batches": len(record.replayed),
        "seed": record.seed,
        "servable": record.servable,
        **({"learning curve": picture(learning_curve_png(record))} if record.curve else {}),
        **_tracked(platform, record.mlflow_run_id),
    }


@describe.register
def _(record: EvalReport, platform: Platform, line: Line) -> Metadata:
    page = {} if record.page is None else {"report": dg.MetadataValue.path(str(platform.store.file(record.page)))}
    return {
        **measured(record, line.policy.primary.metric),
        **page,
        **_line_page(platform, line),
        **_tracked(platform, record.mlflow_run_id),
    }


@describe.register
def _(record: Decision, platform: Platform, line: Line) -> Metadata:
    checks = [
        {
            "holds": "yes" if c.passed else "NO",
            "check": c.name,
            "seen": str(c.observed),
            "limit": str(c.limit),
            "meaning": c.explanation,
        }
        for c in (*record.gates, *record.statistics)
    ]
    page, analysis = write_decision_page(platform, record), record.analysis
    told = {
        "why": [each.text for each in analysis.causes] if analysis else [],
        "to approve, this would have to be true": analysis.to_approve if analysis else [],
        "what would help": analysis.would_help if analysis else [],
        "analyst": [_heard(each) for each in record.exchanges if each.purpose == "verdict"],
    }
    bought = [{"what": each.tool, "cost": each.cost, "why": each.why} for each in record.evidence.purchases]
    return {
        "verdict": f"{record.verdict}, waits for a person" if record.pending else record.verdict,
        "reasons": bullets(record.reasons),
        **({"page of the evidence": dg.MetadataValue.path(str(page))} if page else {}),
        **(
            {"question": f"{record.question} Answer it: mlops reviews show {record.decision_id[:12]}"}
            if record.question
            else {}
        ),
        **{name: bullets(sentences) for name, sentences in told.items() if sentences},
        **({"gates and statistics": table(checks)} if checks else {}),
        "agent path": " → ".join(record.path),
        "decision id": record.decision_id,
        "evidence": record.evidence_digest,
        "policy": record.policy_digest,
        "looks at this golden set": f"{record.evidence.looks} of {line.policy.looks_budget}",
        **(
            {"openings of the sealed set": f"{record.evidence.openings} of {line.policy.openings_budget}"}
            if record.evidence.sealed
            else {}
        ),
        **({"bought": table(bought)} if bought else {}),
    }


@describe.register
def _(record: DeployedVersion, platform: Platform, line: Line) -> Metadata:
    now = next(each for each in status.versions(platform, line) if each["version"] == record.version)
    return {
        "version": record.version,
        "previous version": record.previous_version or "none",
        "strategy": now["strategy"],
        "share of users": f"{now['share']:.0%}",
        "status": status.deployment_status(platform, line, record.batch_id) or record.status,
        "servable": record.servable,
        "decision id": record.decision_id,
        "card": dg.MetadataValue.md(platform.store.read_bytes(record.card).decode()),
        "MLflow model version": record.mlflow_model_version or "not registered yet",
        **_line_page(platform, line),
    }


@describe.register
def _(record: Quarantined, platform: Platform, line: Line) -> Metadata:
    return {
        "reason": f"{record.reason_code}: {record.reason}",
        "status": record.status,
        "deployment status": record.deployment_status,
        "path": dg.MetadataValue.path(str(platform.home / record.path)),
        "alert": record.alert,
    }


def _by_label(labels: Mapping[str, int]) -> list[dict[str, str | int]]:
    return [{"label": label, "items": count} for label, count in labels.items()]


def _line_page(platform: Platform, line: Line) -> Metadata:
    """Write the line's report page anew; whatever goes wrong is said in its place, for the asset itself is made."""
    try:
        return {"line report": dg.MetadataValue.path(str(write_line_page(platform, line, platform.home / "reports")))}
    except Exception as error:
        return {"line report": f"`mlops report {line.line}` writes it; here it could not be written: {error}"}


def _tracked(platform: Platform, run_id: str | None) -> Metadata:
    if run_id is None:
        return {"MLflow run": "recorded when the tracking server is back"}
    link = platform.tracker.link(run_id)
    return {"MLflow run": dg.MetadataValue.url(link) if link else run_id}


def _heard(exchange: Exchange) -> str:
    if exchange.reply is None:
        return f"{exchange.model} gave no usable answer: {exchange.failure} The rule stands."
    return f"{exchange.model} recommends {exchange.reply.recommendation}; its words are on the page."
