"""The models of a line side by side: versions and candidates on the golden set, what they cost, how they learned."""

from collections.abc import Iterator, Sequence

from mlops_assets.core.line import Line
from mlops_assets.core.ports.intake import Batch
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.evaluation import Comparison, EvalReport, System
from mlops_assets.lifecycle import status
from mlops_assets.lifecycle.evaluation.report import OF_A_CLASS, as_good_without_network, primary_comparison
from mlops_assets.lifecycle.history import Chain
from mlops_assets.lifecycle.line_report.content import Contest, Curve, Measured, VersionRow

SHOWN_CURVES = 8
SYSTEMS: tuple[System, ...] = ("candidate", "production", "reference", "classical", "baseline")
MEASURED: tuple[System, ...] = ("candidate", "production", "baseline")

History = Sequence[tuple[Batch, Chain]]


def contest(platform: Platform, line: Line, history: History) -> Contest:
    """Compare the versions and candidates of a line by their stored evaluations."""
    reports = [made.report for _, made in history if made.report]
    latest = reports[-1] if reports else None
    primary = [row for report in reports if (row := primary_comparison(line, report))]
    best = max(primary, key=lambda row: row.candidate if row.higher_is_better else -row.candidate, default=None)
    curves = [
        Curve(batch_id=batch.batch_id, version=_version(made), points=made.candidate.curve)
        for batch, made in history
        if made.candidate and made.candidate.curve
    ]
    return Contest(
        versions=tuple(_versions(platform, line, history)),
        measured=tuple(_measured(history)),
        costs={name: latest.systems[name] for name in SYSTEMS if name in latest.systems} if latest else {},
        curves=tuple(curves[-SHOWN_CURVES:]),
        classical=as_good_without_network(best) if best else None,
    )


def standing(history: History, servable: str) -> tuple[EvalReport, System] | None:
    """Return the latest evaluation that measured a servable, and as which system."""
    for _, made in reversed(history):
        for system in MEASURED:
            if made.report and system in made.report.systems and made.report.systems[system].servable == servable:
                return made.report, system
    return None


def golden_rows(report: EvalReport) -> Iterator[tuple[str, Comparison]]:
    """Yield the whole-set comparisons of golden sets with their digests; details of single classes are left out."""
    golden = {each.name: each.dataset for each in report.sets if each.kind == "golden"}
    for row in report.comparisons:
        if row.set_name in golden and row.slice is None and OF_A_CLASS not in row.metric:
            yield golden[row.set_name], row


def _versions(platform: Platform, line: Line, history: History) -> Iterator[VersionRow]:
    servables = {each.version: each.servable for each in platform.versions.list(line.line)}
    for each in status.versions(platform, line):
        row = VersionRow(
            version=each["version"],
            roles=tuple(each["roles"]),
            batch_id=each["batch_id"],
            deployed_at=each["deployed_at"],
        )
        found = standing(history, servables[row.version])
        yield row if found is None else row.model_copy(update=_standing(line, *found))


def _standing(line: Line, report: EvalReport, system: System) -> dict[str, object]:
    row = primary_comparison(line, report)
    known: dict[str, object] = {"cost": report.systems[system]}
    if row is None:
        return known
    interval = {"candidate": row.candidate_interval, "production": row.production_interval}.get(system)
    return known | {"value": getattr(row, system), "interval": interval, "origin": row.origin}


def _measured(history: History) -> Iterator[Measured]:
    for batch, made in history:
        if made.report is None:
            continue
        production = made.report.systems.get("production")
        for golden, row in golden_rows(made.report):
            yield Measured(
                batch_id=batch.batch_id,
                verdict=made.decision.verdict if made.decision else None,
                version=_version(made),
                production_version=production.version if production else None,
                golden=golden,
                comparison=row,
            )


def _version(made: Chain) -> int | None:
    return made.deployed.version if made.deployed else None
