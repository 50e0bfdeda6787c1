"""What the pages show of a line's versions: what they are, what served when, and what may be done to each."""

from datetime import datetime

from mlops_assets.core.errors import NotFound
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.evaluation import Comparison, EvalReport
from mlops_assets.core.serving import Strategy
from mlops_assets.lifecycle.deployment.serving_history import Served, fallback, history
from mlops_assets.lifecycle.evaluation.report import primary_comparison
from mlops_assets.lifecycle.pages import percent
from mlops_assets.serving.moves import Verb
from mlops_assets.serving.pages import lines

SHOWN_HISTORY = 30


class VersionRow(Record):
    """One version: where it came from, what it holds now, and what may be done to it."""

    version: int
    roles: tuple[str, ...]
    share: float | None
    retired_at: str | None
    deployed_at: str
    parent: int | None
    batch_id: str | None
    decision_id: str | None
    servable: str
    measured: Comparison | None
    verbs: tuple[Verb, ...]


class VersionsPage(Record):
    """The page of a line's versions, the newest first."""

    view: lines.LineView
    rows: tuple[VersionRow, ...]
    served: tuple[Served, ...]
    fallback: int | None
    next_share: float | None


def versions_page(platform: Platform, line: Line, now: datetime) -> VersionsPage:
    """Return what the page of a line's versions shows at `now` (aware)."""
    view = lines.line_view(platform, line, now, platform.watch.gateways(now - lines.ALIVE), 0)
    pointer, back = platform.versions.pointer(line.line), fallback(platform, line)
    shares = {arm.version: arm.share for arm in view.arms}
    rows = []
    for each in reversed(platform.versions.list(line.line)):
        roles = tuple(sorted(role for role, number in pointer.roles.items() if number == each.version))
        rows.append(
            VersionRow(
                version=each.version,
                roles=roles,
                share=shares.get(each.version),
                retired_at=each.retired_at,
                deployed_at=each.deployed_at,
                parent=each.parent_version,
                batch_id=each.batch_id,
                decision_id=each.decision_id,
                servable=each.servable,
                measured=_measured(platform, line, each.batch_id),
                verbs=_verbs(view, each.version, roles, each.retired_at, back),
            )
        )
    steps, rollout = line.release.steps, pointer.rollout
    further = rollout is not None and rollout.strategy == "canary" and rollout.step + 1 < len(steps)
    return VersionsPage(
        view=view,
        rows=tuple(rows),
        served=tuple(reversed(history(platform, line)[-SHOWN_HISTORY:])),
        fallback=back,
        next_share=max(steps[rollout.step + 1], rollout.share) if rollout and further else None,
    )


class Confirmation(Record):
    """What a person is told before they move a line, and what the form then asks for."""

    view: lines.LineView
    verb: Verb
    version: int | None
    strategy: Strategy
    title: str
    says: str
    button: str


def confirmation(platform: Platform, line: Line, verb: Verb, version: int | None, now: datetime) -> Confirmation:
    """Return what is to be confirmed; NotFound for a version there is not, or where there is nothing to do."""
    shown = versions_page(platform, line, now)
    rolling = shown.view.rollout
    if verb == "rollback":
        version = None if rolling else version or shown.fallback
    elif verb in ("advance", "promote"):
        version = None
    if version is not None:
        platform.versions.get(line.line, version)
    elif rolling is None or verb in ("deploy", "retire") or (verb == "advance" and shown.next_share is None):
        raise NotFound(f"There is nothing of {line.line} to {verb}.", f"See /lines/{line.line}/versions.")
    title, says, button = _words(shown, verb, version)
    return Confirmation(
        view=shown.view,
        verb=verb,
        version=version,
        strategy=line.release.deployment_strategy,
        title=title,
        says=says,
        button=button,
    )


def _words(shown: VersionsPage, verb: Verb, version: int | None) -> tuple[str, str, str]:
    name, live = shown.view.line, shown.view.production
    rolling = shown.view.rollout.version if shown.view.rollout else None
    match verb:
        case "rollback" if rolling is not None:
            says = f"Version {live} answers all users again, at once."
            return f"Take version {rolling} back?", says, f"Take version {rolling} back"
        case "rollback":
            says = f"Version {version} answers all users in place of version {live}, at once."
            return f"Roll {name} back to version {version}?", says, f"Roll back to version {version}"
        case "deploy":
            says = f"It is to serve in place of version {live}."
            return f"Deploy version {version}?", says, f"Deploy version {version}"
        case "advance":
            share = percent(shown.next_share or 0)
            return f"Go on to {share} of users?", f"Version {rolling} is to answer them.", f"Go on to {share}"
        case "promote":
            says = f"It replaces version {live}, whatever its judge says."
            return f"Give version {rolling} all users?", says, f"Promote version {rolling}"
        case "retire":
            says = "It can never serve again, and its bytes may be deleted."
            return f"Retire version {version}?", says, f"Retire version {version}"


def _verbs(
    view: lines.LineView, version: int, roles: tuple[str, ...], retired: str | None, back: int | None
) -> tuple[Verb, ...]:
    """Return what may be done to a version; while one is being rolled out, that is ended first."""
    if retired or version in {arm.version for arm in view.arms}:
        return ()
    verbs: list[Verb] = [] if view.rollout else ["rollback", "deploy"]
    return (*verbs, *(("retire",) if not roles and version != back else ()))


def _measured(platform: Platform, line: Line, batch_id: str | None) -> Comparison | None:
    report = batch_id and platform.records.get(line.line, batch_id, "eval_report")
    return primary_comparison(line, report) if isinstance(report, EvalReport) else None
