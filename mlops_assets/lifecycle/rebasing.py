"""`rebaseline`: the way out when production cannot be evaluated any more, so that batches are judged by numbers again.

A version whose servable does not load under the present code, or whose bytes are lost, leaves nothing to compare with.
Its weights are exported again; where they are lost, too, and someone asks for it, the base model takes its place. It is
no way round a comparison: it is refused while production answers.
"""

import shutil
import uuid
from collections.abc import Callable, Iterable
from typing import Literal

from pydantic import JsonValue

from mlops_assets.core.errors import Corrupt, NotFound, Refused, TaskFailed
from mlops_assets.core.line import Line
from mlops_assets.core.ports.accountability import LedgerEntry
from mlops_assets.core.ports.mirrors import Alert
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Pointer, Role, Version
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.evaluation import Comparison, EvalReport
from mlops_assets.core.tasks import ExportTask
from mlops_assets.lifecycle.deployment.guarding import require_idle
from mlops_assets.lifecycle.deployment.moving import move, standing
from mlops_assets.lifecycle.deployment.publishing import mirror
from mlops_assets.lifecycle.evaluation.comparing import primary_metric
from mlops_assets.lifecycle.evaluation.evaluate import contest
from mlops_assets.lifecycle.evaluation.evaluation_sets import EvaluationDataset, evaluation_sets
from mlops_assets.lifecycle.evaluation.predictions import predict
from mlops_assets.lifecycle.failpoints import failpoint
from mlops_assets.lifecycle.holding import hold, hold_pointer, production
from mlops_assets.lifecycle.progress import progress_file
from mlops_assets.lifecycle.training.base import BaseModel, base

UNUSABLE = (TaskFailed, NotFound, Corrupt, Refused)
Source = Literal["weights", "base"]


class Rebaselined(Record):
    """What took production's place, and what is known of both on the golden set, in the primary metric's unit."""

    line: str
    replaced: int
    version: int
    source: Source
    why: str
    metric: str
    before: float | None
    after: float | None


def rebaseline(platform: Platform, line: Line, *, reason: str, actor: str, to_base: bool = False) -> Rebaselined:
    """Replace a production version that cannot be evaluated: by its weights exported again, else by the base model.

    Called again, it finishes what a crash left undone. Refused while production loads and answers the golden set, and
    if no weights can be used and `to_base` is not set; NotFound for a line that serves nothing; Busy while a batch
    has the line, or a version is being rolled out.
    """
    holder = f"rebaseline by {actor}"
    with hold(platform, line, holder), hold_pointer(platform, line, holder):
        pointer = standing(platform, line).pointer
        served = production(platform, line)
        if served is None:
            raise NotFound(f"{line.line} serves no version.", f"Submit a batch: `mlops submit {line.line} PATH`.")
        golden = evaluation_sets(platform, line)[0]
        platform.store.folder(golden.dataset)
        require_idle(line, pointer)
        why = _unanswered(platform, line, served.servable, golden)
        if why is None:
            return _finished(platform, line, served, pointer)
        source, made = _made(platform, line, served, golden, to_base)
        version = platform.versions.add(
            line.line,
            servable=made.servable,
            model=made.model,
            batch_id=None,
            decision_id=f"rebaseline-{pointer.revision + 1}-{made.servable[:12]}",
            parent_version=served.version,
        )
        failpoint("rebaseline: after version")
        told = _told(platform, line, golden, served, version, source, why)
        body: dict[str, JsonValue] = {
            **told.model_dump(mode="json"),
            "reason": reason,
            "old": {"servable": served.servable, "model": served.model},
            "new": {"servable": version.servable, "model": version.model},
            "code": platform.code_version(line.family),
        }
        roles: dict[Role, int] = {**pointer.roles, "production": version.version}
        moved = move(platform, line, "rebaseline", pointer, roles, actor=actor, body=body)
        _tell(platform, line, version, moved, told)
        return told


def _unanswered(platform: Platform, line: Line, servable: str, golden: EvaluationDataset) -> str | None:
    """Return why a servable does not answer the golden set in a fresh process; None if it does."""
    progress = progress_file(platform, line.line, "rebaseline")
    try:
        predict(platform, line, servable, {golden.name: golden.dataset}, progress, fresh=True)
    except UNUSABLE as error:
        return error.what
    return None


def _finished(platform: Platform, line: Line, served: Version, pointer: Pointer) -> Rebaselined:
    """Tell everybody once more of the last move, if it was this one; else there is nothing to replace."""
    last = next(iter(platform.ledger.entries(line.line, "rebaselined")[-1:]), None)
    if last is None or last.body["revision"] != pointer.revision or last.body["version"] != served.version:
        raise Refused(
            f"Version {served.version} of {line.line} loads and answers the golden set: it can be compared with.",
            "Submit a batch and let the comparison decide, or go back with `mlops rollback`.",
        )
    told = _read(last)
    _tell(platform, line, served, pointer, told)
    return told


def _read(entry: LedgerEntry) -> Rebaselined:
    return Rebaselined.model_validate({name: entry.body[name] for name in Rebaselined.model_fields})


def _made(
    platform: Platform, line: Line, served: Version, golden: EvaluationDataset, to_base: bool
) -> tuple[Source, BaseModel]:
    """Return the first that answers: production's weights, exported again, or the base model."""
    attempts: list[tuple[Source, Callable[[], BaseModel]]] = [("weights", lambda: _exported(platform, line, served))]
    if to_base:
        attempts.append(("base", lambda: base(platform, line, fresh=True)))
    failures: list[str] = []
    for source, make in attempts:
        try:
            made = make()
        except UNUSABLE as error:
            failures.append(f"{source}: {error.what}")
            continue
        failure = _unanswered(platform, line, made.servable, golden)
        if failure is None:
            return source, made
        failures.append(f"{source}: {failure}")
    raise Refused(
        f"Nothing can take the place of version {served.version} of {line.line}. {' '.join(failures)}",
        "Mend the cause and try again." if to_base else "`--base` starts again from the line's base model.",
    )


def _exported(platform: Platform, line: Line, served: Version) -> BaseModel:
    """Export production's weights by the present code, in a process of its own."""
    folder = platform.home / "runs" / line.line / f"export-{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    try:
        task = ExportTask(
            family=line.family,
            config=line.config,
            model=str(platform.store.folder(served.model)),
            servable=str(folder / "servable"),
            progress=str(folder / "progress.jsonl"),
        )
        platform.compute.run(task, line.limits)
        return BaseModel(model=served.model, servable=platform.store.put_folder(folder / "servable"))
    finally:
        shutil.rmtree(folder)


def _told(
    platform: Platform,
    line: Line,
    golden: EvaluationDataset,
    served: Version,
    version: Version,
    source: Source,
    why: str,
) -> Rebaselined:
    family = platform.family(line.family)
    metric = primary_metric(family.metrics(family.Config.model_validate(line.config)), line).name
    found = contest(platform, line, "rebaseline", {"candidate": version.servable}, [golden])
    report = platform.records.get(line.line, served.batch_id, "eval_report") if served.batch_id else None
    known = report.comparisons if isinstance(report, EvalReport) else ()

    def figure(comparisons: Iterable[Comparison]) -> float | None:
        chosen = (
            each for each in comparisons if (each.metric, each.set_name, each.slice) == (metric, golden.name, None)
        )
        return next((each.candidate for each in chosen), None)

    return Rebaselined(
        line=line.line,
        replaced=served.version,
        version=version.version,
        source=source,
        why=why,
        metric=metric,
        before=figure(known),
        after=figure(found.comparisons),
    )


def _tell(platform: Platform, line: Line, version: Version, pointer: Pointer, told: Rebaselined) -> None:
    """Make serving and registry follow the pointer, and say so; idempotent."""
    mirror(platform, line, version, None, pointer)
    what = "its weights, exported again," if told.source == "weights" else "the base model"
    platform.alerts.send(
        Alert(
            key=f"rebaselined:{line.line}:{pointer.revision}",
            title=f"{line.line}: version {told.version} took the place of version {told.replaced} without a comparison",
            text=f"Version {told.replaced} could not be evaluated: {told.why} Now {what} serves; "
            f"{told.metric} on the golden set is {'unknown' if told.after is None else format(told.after, '.4f')}.",
            line=line.line,
        )
    )
