"""Events small enough for tests: users who like short chords, and users who like long drums."""

import json
import random
from pathlib import Path
from typing import Any

KINDS = ("chords", "drums", "melody")


def events(seed: int, *, users: int = 8, each: int = 12) -> list[dict[str, Any]]:
    """Return ratings; half of the users like chords, the others drums, nobody likes what failed."""
    drawn, made = random.Random(seed), []
    for user in range(users):
        for at in range(each):
            kind = KINDS[(at + user) % 3]
            success = drawn.random() > 0.1
            liked = kind == KINDS[user % 2]
            rating = min(5, max(1, (4 if liked else 2) + drawn.choice((-1, 0, 0, 1)) - (not success)))
            when = f"2026-0{1 + drawn.randrange(8)}-{1 + at:02}T{user:02}:{drawn.randrange(60):02}:{at:02}Z"
            made.append(
                {
                    "user": f"user {seed}-{user}",
                    "type": kind,
                    "command": f"generate_{kind}",
                    "key": f"{drawn.randint(1, 12)}{drawn.choice('AB')}",
                    "bars": drawn.choice((4, 8, 16)),
                    "success": success,
                    "rating": rating,
                    "timestamp": when,
                    "origin": "synthetic",
                }
            )
    return made


def write(path: Path, rows: list[Any]) -> Path:
    """Write rows as JSON lines (text as it is) and return the folder they are in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path.parent
