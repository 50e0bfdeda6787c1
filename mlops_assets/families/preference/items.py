"""Ratings as items of a dataset: target, slices, and what their copies can be known by."""

import re
from collections.abc import Mapping, Sequence

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.family import Leak
from mlops_assets.core.records.data import Item
from mlops_assets.families.preference.config import Config
from mlops_assets.families.preference.ratings import Rating

SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


def item(rating: Rating, per_user: Mapping[str | None, int], config: Config) -> Item:
    """Return a rating as an item; `per_user` counts the set's ratings by user.

    Slices: `label:`, `history:` (how many ratings of the user are in this set: 'none' without a user, 'few', 'many'),
    `user:` (the cohort that a curator gave: 'new' users never send batches) and the first categorical column.
    """
    likes = rating.value >= config.like_threshold
    name = f"{rating.said[:24]}{f'-{rating.occurrence}' if rating.occurrence else ''}"
    history = "none" if rating.user is None else "few" if per_user[rating.user] < config.few_events else "many"
    slices = [f"label:{'likes' if likes else 'dislikes'}", f"history:{history}"]
    slices += [f"user:{rating.cohort}"] if rating.cohort else []
    kind = rating.features[config.categorical[0]] if config.categorical else None
    slices += [f"{_safe(config.categorical[0])}:{_safe(str(kind))}"] if kind is not None else []
    return Item(
        id=name,
        value={config.columns.user: rating.user, **rating.features},
        target={"rating": rating.value, "likes": likes},
        cluster=rating.user or f"event-{name}",
        slices=tuple(slices),
        origin=rating.origin,
        attributes={"rating": rating.value},
        fingerprints=rating.fingerprints(),
    )


def leaks(items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
    """Return copies of protected ratings: 'exact', or 'near' with another rating, user, time of day or without time."""
    prints = [each.fingerprints for each in protected]
    by_kind = {
        kind: {each[kind]: item.id for each, item in zip(prints, protected, strict=True) if kind in each}
        for kind in ("event", "asked", "moment", "day", "said")
    }
    timeless = {each["said"] for each in prints if "said" in each and "asked" not in each}
    found = []
    for item in items:
        own = item.fingerprints
        if twin := by_kind["event"].get(own.get("event", "")):
            found.append(Leak(item=item.id, protected_item=twin, kind="exact"))
            continue
        twins = [by_kind[kind].get(own.get(kind, "")) for kind in ("asked", "moment", "day")]
        said = own.get("said", "")
        twins += [by_kind["said"].get(said)] if "asked" not in own or said in timeless else []
        found += [Leak(item=item.id, protected_item=twin, kind="near") for twin in twins if twin][:1]
    return found


def _safe(name: str) -> str:
    lower = name.lower().replace(" ", "_")
    return lower if SAFE.fullmatch(lower) else f"x{sha256_json(name)[:12]}"
