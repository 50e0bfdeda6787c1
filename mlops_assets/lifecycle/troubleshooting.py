"""Why a line's pipeline stands still: what 004 tells people to check, checked for them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from mlops_assets.core.errors import NotFound, Unavailable
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.base import Record

SILENT_AFTER = timedelta(minutes=2)


class Trouble(Record):
    """One thing that has to work: whether it does, in a sentence, and what to do if it does not."""

    name: str
    works: bool
    sentence: str
    todo: str = ""


def troubleshoot(platform: Platform, line: Line, now: datetime) -> tuple[Trouble, ...]:
    """Check what a line needs to train and to collect: database, configuration, daemons, sensors, version, gateway."""
    return (
        _database(platform, line),
        _collection(line),
        *_orchestrator(platform, line),
        _serving(platform, line),
        _gateway(platform, line, now),
    )


def _database(platform: Platform, line: Line) -> Trouble:
    known = platform.events.last(line.line)
    return Trouble(name="database", works=True, sentence=f"It answers; it has numbered {known} events of the line.")


def _collection(line: Line) -> Trouble:
    own = line.collection
    off = [
        name
        for name, on in (
            ("collect_feedback", own.collect_feedback),
            ("collect_controller_data", own.collect_controller_data),
        )
        if not on
    ]
    kept = "are kept" if own.keep_payloads else "are not kept, so that corrections of them cannot be learned from"
    sentence = f"The configuration is valid. {', '.join(off) or 'Nothing'} is switched off; inputs {kept}."
    works = own.collect_feedback
    todo = "" if works else "Set collection.collect_feedback: true to learn from ratings and corrections."
    return Trouble(name="configuration", works=works, sentence=sentence, todo=todo)


def _orchestrator(platform: Platform, line: Line) -> Iterator[Trouble]:
    try:
        asleep = platform.orchestrator.asleep()
        sensors = platform.orchestrator.sensors(line.line)
    except (Unavailable, NotFound) as error:
        yield Trouble(name="Dagster", works=False, sentence=error.what, todo=error.todo)
        return
    yield Trouble(
        name="daemon",
        works=not asleep,
        sentence=f"Not running: {', '.join(asleep)}." if asleep else "It runs.",
        todo="Start it: `mlops up`, or `dagster-daemon run`." if asleep else "",
    )
    off = [each.name for each in sensors if not each.running]
    failed = [f"{each.name}: {each.said}" for each in sensors if each.running and each.failed]
    said = [f"Switched off: {', '.join(off)}"] if off else []
    said += [f"Failing: {'; '.join(failed)[:500]}"] if failed else []
    yield Trouble(
        name="sensors",
        works=not said,
        sentence=f"{'. '.join(said)}." if said else f"All {len(sensors)} are on.",
        todo=f"POST /pipeline/start?line={line.line}, or switch them on in Dagster's UI."
        if off
        else "Read the log of the look in Dagster's UI."
        if failed
        else "",
    )


def _serving(platform: Platform, line: Line) -> Trouble:
    number = platform.versions.pointer(line.line).roles.get("production")
    if number is None:
        return Trouble(
            name="version",
            works=False,
            sentence="No version serves yet, so nothing can be predicted and corrected.",
            todo=f"Release one: mlops submit {line.line} PATH, mlops run {line.line} BATCH.",
        )
    return Trouble(name="version", works=True, sentence=f"Version {number} serves.")


def _gateway(platform: Platform, line: Line, now: datetime) -> Trouble:
    beats = [each.gateway for each in platform.watch.gateways(now - SILENT_AFTER) if line.line in each.lines]
    return Trouble(
        name="gateway",
        works=bool(beats),
        sentence=f"The line is served by {', '.join(beats)}." if beats else "No gateway has said that it serves it.",
        todo="" if beats else "Start one: mlops serve",
    )
