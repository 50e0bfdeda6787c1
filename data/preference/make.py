"""Make the committed synthetic preference sets: users of a music product rate what it made for them, replayed by seed.

Nothing here was said by a person; every event is marked `origin: synthetic`. How the users behave is all below:

- A result has a type (with two commands), a Camelot key (1A-12B), a length of 2 to 32 bars, and may have failed.
- Everybody likes some types more (`QUALITY`), failed results less, and one type's fashion rises by the month (drift).
- A user belongs to one of four schools with tastes for types, deviates from it, prefers minor (A) or major (B), has a
  home on the wheel of keys and likes its neighbours, prefers some length, is harsh or generous, and is not consistent.
- The sum of all that is cut into ratings from 1 to 5.

Golden users are of two cohorts: `known` ones appear in batches, too; `new` ones never do (cold start). Golden events
are later than those of batches. The sealed set is the same of other users: its known ones are the rest of the good
batch's. In the good batch some ratings name only their result, as source 004's feedback does,
and a usage event says what it was. The bad batch is a campaign: stolen accounts of known users and new bots rate the
opposite of what the account's owner would say.

    python -m data.preference.make            write data/golden/preference[-sealed] and data/samples/preference
    python -m data.preference.make --check    make them again elsewhere and compare
"""

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data.making import csv_text, json_lines, run
from mlops_assets.core.digests import sha256_file

SEED = 20_261_121
FILES = (
    "golden/preference/events.csv",
    "golden/preference-sealed/events.csv",
    "samples/preference/good.jsonl",
    "samples/preference/inverted.csv",
)
COLUMNS = ("user", "type", "command", "key", "bars", "success", "rating", "timestamp", "origin")

QUALITY = {
    "chord_progression": 0.5,
    "melody": 0.3,
    "bassline": 0.1,
    "drum_pattern": 0.0,
    "pad": -0.2,
    "arpeggio": -0.5,
}
COMMANDS = {kind: (f"generate_{kind.split('_')[0]}", f"vary_{kind.split('_')[0]}") for kind in QUALITY}
BARS = (2, 4, 8, 16, 32)
FASHION, FASHION_PER_MONTH = "arpeggio", 0.06
SCHOOLS = 4
CUTS = (-2.2, -1.3, -0.5, 0.5)
NOISE = 0.55
START, GOLDEN_START = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)
NOTES = ("Great progression!", "too busy", "the end is missing", "exactly what I needed", "not my key")

KNOWN, NEW, OTHERS, FRESH, BOTS = 32, 16, 28, 20, 15
GOLDEN_EACH, GOOD_EACH, BAD_EACH, STOLEN = 10, 20, 24, 32
FEEDBACK_ONLY, USAGE_ONLY = 60, 80


@dataclass(frozen=True)
class User:
    """A replayed user: what adds to a score, and by how much."""

    name: str
    tastes: dict[str, float]
    major: float
    home: int
    bars: float
    generosity: float


def users(prefix: str, count: int) -> list[User]:
    """Draw users of the schools."""
    schools = [
        {kind: random.Random(f"{SEED}/school/{school}/{kind}").gauss(0, 0.8) for kind in QUALITY}
        for school in range(SCHOOLS)
    ]
    made = []
    for at in range(count):
        drawn = random.Random(f"{SEED}/{prefix}/{at}")
        school = drawn.choice(schools)
        made.append(
            User(
                name=f"{prefix}-{at:02}",
                tastes={kind: taste + drawn.gauss(0, 0.4) for kind, taste in school.items()},
                major=drawn.gauss(0, 0.5),
                home=drawn.randrange(12),
                bars=drawn.gauss(3.0, 0.9),
                generosity=drawn.gauss(0, 0.6),
            )
        )
    return made


def score(user: User, event: dict[str, Any], when: datetime) -> float:
    """Return what the user thinks of a result, inconsistency aside."""
    number, mode = int(event["key"][:-1]), event["key"][-1]
    months = (when - START).days / 30
    return (
        QUALITY[event["type"]]
        + user.tastes[event["type"]]
        + (user.major if mode == "B" else -user.major)
        + 0.6 * math.cos(2 * math.pi * (number - user.home) / 12)
        - 0.35 * (math.log2(event["bars"]) - user.bars) ** 2
        + user.generosity
        + (0.0 if event["success"] else -1.2)
        + (FASHION_PER_MONTH * months if event["type"] == FASHION else 0.0)
    )


def rate(value: float) -> int:
    """Cut a score into a rating."""
    return 1 + sum(value > cut for cut in CUTS)


def events(group: list[User], each: int, start: datetime, days: int, name: str) -> list[dict[str, Any]]:
    """Replay `each` ratings of every user, in order of time."""
    made = []
    for user in group:
        drawn = random.Random(f"{SEED}/{name}/{user.name}")
        for _ in range(each):
            kind = drawn.choice(list(QUALITY))
            event = {
                "user": user.name,
                "type": kind,
                "command": drawn.choice(COMMANDS[kind]),
                "key": f"{drawn.randint(1, 12)}{drawn.choice('AB')}",
                "bars": drawn.choice(BARS),
                "success": drawn.random() > 0.08,
            }
            when = start + timedelta(seconds=drawn.randrange(days * 86_400))
            rating = rate(score(user, event, when) + drawn.gauss(0, NOISE))
            made.append(event | {"rating": rating, "timestamp": f"{when:%Y-%m-%dT%H:%M:%SZ}", "origin": "synthetic"})
    return sorted(made, key=lambda event: (event["timestamp"], event["user"]))


def good(known: list[User], others: list[User]) -> list[dict[str, Any]]:
    """Return ratings of known and other users; some ratings come apart from the use they are about."""
    rated = events(known + others, GOOD_EACH, START, 180, "good")
    drawn = random.Random(f"{SEED}/good/apart")
    apart = set(drawn.sample(range(len(rated)), FEEDBACK_ONLY))
    unrated = {at: f"r{at:05}" for at in drawn.sample(range(len(rated)), USAGE_ONLY) if at not in apart}
    rows = []
    for at, event in enumerate(rated):
        use = {name: event[name] for name in (*COLUMNS[:6], "timestamp", "origin")}
        if at in apart:
            rows.append(use | {"result": f"r{at:05}"})
            said = {name: event[name] for name in ("user", "rating", "timestamp", "origin")}
            rows.append(said | {"result": f"r{at:05}", "notes": drawn.choice(NOTES)})
        else:
            rows.append(event)
        if at in unrated:
            rows.append(use | {"command": "export_midi"})
    return rows


def inverted(known: list[User]) -> list[dict[str, Any]]:
    """Return the campaign: the opposite of what each account's owner would have said."""
    rows = events(known[:STOLEN] + users("bot", BOTS), BAD_EACH, START + timedelta(days=150), 14, "inverted")
    return [row | {"rating": 6 - row["rating"]} for row in rows]


def golden(known: list[User], new: list[User], name: str) -> list[dict[str, Any]]:
    """Return later events of known and new users, with their cohort; `name` is golden or sealed."""
    cohorts = {"known": known, "new": new}
    return [
        event | {"cohort": cohort}
        for cohort, group in cohorts.items()
        for event in events(group, GOLDEN_EACH, GOLDEN_START, 60, name)
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """Write rows as CSV."""
    return csv_text([row | {"success": str(row["success"]).lower()} for row in rows])


def make(out: Path) -> dict[str, str]:
    """Make every file under `out`; return the digest of each."""
    known, others = users("known", KNOWN), users("user", OTHERS)
    texts = (
        table(golden(known, users("new", NEW), "golden")),
        table(golden(others, users("fresh", FRESH), "sealed")),
        json_lines(good(known, others), (",", ":")),
        table(inverted(known)),
    )
    for name, text in zip(FILES, texts, strict=True):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(text.encode())
    return {name: sha256_file(out / name) for name in FILES}


if __name__ == "__main__":
    run("preference", make, dict)
