"""`mlops doctor`: what is installed, reachable or misconfigured, and what to do about it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from pathlib import Path

import typer

from mlops_assets.cli.output import Exit, Json, answer, table
from mlops_assets.core.errors import PlatformError, Unavailable
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record
from mlops_assets.lifecycle.auditing import disagreements
from mlops_assets.lifecycle.deployment.guarding import require_whole
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings, read_settings

FREE_GB = 5
RESTORE = "Restore it from a backup of the home, or begin anew in another folder (MLOPS_HOME)."


class Diagnosis(Record):
    """One thing that was looked at."""

    name: str
    state: str
    found: str
    todo: str = ""


def doctor(json: Json = False) -> None:
    """Say what is missing or wrong, and what to do about it; exit 1 if something stops the platform."""
    found = list(_diagnose())
    answer(
        [each.model_dump(mode="json") for each in found],
        lambda out: out.print(
            table("mlops doctor", ("", "what", "found", "do"), [(d.state, d.name, d.found, d.todo) for d in found])
        ),
    )
    raise typer.Exit(Exit.FAILED if any(each.state == "FAIL" for each in found) else Exit.DONE)


def _ok(name: str, found: str) -> Diagnosis:
    return Diagnosis(name=name, state="ok", found=found)


def _warn(name: str, found: str, todo: str) -> Diagnosis:
    return Diagnosis(name=name, state="warn", found=found, todo=todo)


def _fail(name: str, found: str, todo: str) -> Diagnosis:
    return Diagnosis(name=name, state="FAIL", found=found, todo=todo)


def _diagnose() -> Iterator[Diagnosis]:
    yield _ok("python", f"{sys.version.split()[0]} on {sys.platform}")
    try:
        settings = read_settings()
    except PlatformError as error:
        yield _fail("settings", error.what, error.todo)
        return
    yield from _home(settings.home)
    try:
        platform = open_platform()
        lines = list(platform.lines())
    except Exception as error:
        yield _broken("platform", error, "Mend the above, then try again.")
        return
    for name, look in PARTS.items():
        yield from _looked(name, look(platform), RESTORE)
    if settings.alert_urls:
        yield _ok("alerts", f"{len(settings.alert_urls)} addresses")
    else:
        yield _warn("alerts", "no address: alerts go to the log only", "Set MLOPS_ALERT_URLS (see .env.example).")
    for line in lines:
        yield from _looked(line.line, _line(platform, settings, line), "Mend the above, then try again.")
        yield from _looked(f"{line.line}: what serves", _served(platform, line), RESTORE)


def _looked(name: str, found: Iterator[Diagnosis], todo: str) -> Iterator[Diagnosis]:
    """Pass on what was found; a look that breaks off is a finding, too: whatever is wrong, the rest is looked at."""
    try:
        yield from found
    except Exception as error:
        yield _broken(name, error, todo)


def _broken(name: str, error: Exception, todo: str) -> Diagnosis:
    if isinstance(error, PlatformError):
        return _fail(name, error.what, error.todo or todo)
    return _fail(name, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}", todo)


def _home(home: Path) -> Iterator[Diagnosis]:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        yield _fail("home", f"{home} cannot be written", "Set MLOPS_HOME to a folder that you own.")
        return
    free = shutil.disk_usage(existing).free / 1e9
    if free < FREE_GB:
        yield _warn("disk", f"{free:.1f} GB free for {home}", f"Free {FREE_GB} GB, or set MLOPS_HOME elsewhere.")
    else:
        yield _ok("home", f"{home} ({free:.0f} GB free)")


def _ledger(platform: Platform) -> Iterator[Diagnosis]:
    if broken := platform.ledger.verify():
        yield _fail("ledger", _first(broken), "Restore the database from a backup: history was changed.")
    else:
        yield _ok("ledger", f"{len(platform.ledger.entries())} entries, chain holds")


def _records(platform: Platform) -> Iterator[Diagnosis]:
    if differing := disagreements(platform):
        todo = "Restore the database from a backup: records were changed behind the ledger."
        yield _fail("records", _first(differing), todo)
    else:
        yield _ok("records", "decisions and releases are those of the ledger")


def _alerts(platform: Platform) -> Iterator[Diagnosis]:
    if waiting := platform.alerts.deliver():
        yield _warn("alerts", f"{waiting} could not be delivered yet", "Check MLOPS_ALERT_URLS and the network.")


def _mlflow(platform: Platform) -> Iterator[Diagnosis]:
    if calls := platform.tracker.reconcile():
        yield _warn("mlflow", f"{calls} calls wait for the tracking server", "Check MLOPS_TRACKING_URI.")
    else:
        yield _ok("mlflow", "reachable")


PARTS: dict[str, Callable[[Platform], Iterator[Diagnosis]]] = {
    "ledger": _ledger,
    "records": _records,
    "alerts": _alerts,
    "mlflow": _mlflow,
}


def _first(problems: Sequence[str]) -> str:
    return " ".join(problems[:3]) + (f" And {len(problems) - 3} more." if len(problems) > 3 else "")


def _served(platform: Platform, line: Line) -> Iterator[Diagnosis]:
    """Read every byte of what serves, and of what a rollback would serve again."""
    roles = platform.versions.pointer(line.line).roles
    for role, number in roles.items():
        require_whole(platform, line, platform.versions.get(line.line, number))
        yield _ok(f"{line.line}: {role}", f"version {number} is whole")


def _line(platform: Platform, settings: Settings, line: Line) -> Iterator[Diagnosis]:
    try:
        family = platform.family(line.family)
        config = family.Config.model_validate(line.config)
    except PlatformError as error:
        yield _fail(line.line, error.what, error.todo)
        return
    with chdir(settings.root):
        checks = family.diagnose(config)
    for check in checks:
        name = f"{line.line}: {check.name}"
        found = str(check.observed or ("there" if check.passed else "missing"))
        yield _ok(name, found) if check.passed else _warn(name, found, check.explanation)
    yield from _models(platform, line)
    yield from _hub(platform, line)
    if line.sealed is None:
        yield _warn(
            f"{line.line}: sealed set",
            "none: approvals rest on the golden set alone, which a breeder of candidates can wear out",
            "Declare `sealed:` in its YAML (docs/decisions.md).",
        )
    for known in (line.golden, *([line.sealed] if line.sealed else []), *line.suites):
        what, todo = f"{line.line}: {known.path}", "Run `make fetch`, or put the set there."
        if (settings.root / known.path).exists():
            yield _ok(what, f"{known.origin} evaluation set")
        elif known.optional:
            yield _warn(what, "optional set is absent", todo)
        else:
            yield _fail(what, "set is absent", todo)


def _models(platform: Platform, line: Line) -> Iterator[Diagnosis]:
    """Set up the language models that a line names, without asking them anything; only a judge can stop a chain."""
    if judge := line.judge:
        name, used = f"{line.line}: data judge", f"{judge.model}, {judge.mode} the checks"
        yield _model(name, lambda: platform.judge.ready(judge), used, without="the checks alone decide", wrong=_fail)
    if analyst := line.policy.analyst:
        name, trades = f"{line.line}: analyst", len(line.policy.analyst_may_approve_within)
        used = f"{analyst.model}, lowers and explains" + (f", decides within {trades} trade-offs" if trades else "")
        yield _model(name, lambda: platform.analyst.ready(analyst), used, without="the rule alone decides", wrong=_warn)


def _hub(platform: Platform, line: Line) -> Iterator[Diagnosis]:
    """Ask for the line's repository without changing anything; only a line that waits for the Hub cannot do without."""
    if line.hub is None:
        return
    name = f"{line.line}: hub"
    try:
        yield _ok(name, platform.hub.ready(line.hub))
    except PlatformError as error:
        yield (_warn if line.hub.serve_before_published else _fail)(name, error.what, error.todo)


def _model(
    name: str, ready: Callable[[], None], used: str, *, without: str, wrong: Callable[[str, str, str], Diagnosis]
) -> Diagnosis:
    try:
        ready()
    except Unavailable as error:
        return _warn(name, error.what, f"Set it in the environment or in .env; until then {without}.")
    except PlatformError as error:
        return wrong(name, error.what, error.todo)
    return _ok(name, used)
