"""Ratings as items of a dataset: target, slices, and what their copies can be known by."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.family import Leak
from mlops_assets.core.records import Item
from mlops_assets.families.preference.config import Config
from mlops_assets.families.preference.ratings import Rating

SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


def item(rating: Rating, per_user: Mapping[str | None, int], config: Config) -> Item:
    """Return a rating as an item; `per_user` counts the set's ratings by user.

    Slices: `label:`, `history:` (how many ratings of the user are in this set: 'none' without a user, 'few', 'many'),
    `user:` (the cohort that a curator gave: 'new' users never send batches) and the first categorical column.
    """
    likes = rating.value >= config.like_threshold
    when = rating.when.isoformat() if rating.when else ""
    name = sha256_json([dict(rating.features), rating.value, when, rating.result, rating.occurrence])[:24]
    history = "none" if rating.user is None else "few" if per_user[rating.user] < config.few_events else "many"
    slices = [f"label:{'likes' if likes else 'dislikes'}", f"history:{history}"]
    slices += [f"user:{rating.cohort}"] if rating.cohort else []
    kind = rating.features[config.categorical[0]] if config.categorical else None
    slices += [f"{_safe(config.categorical[0])}:{_safe(str(kind))}"] if kind is not None else []
    return Item(
        id=name,
        value=dict(rating.features),
        target={"rating": rating.value, "likes": likes},
        cluster=rating.user or f"event-{name}",
        slices=tuple(slices),
        origin=rating.origin,
        attributes={"rating": rating.value},
        fingerprints=_fingerprints(rating, when, config),
    )


def _fingerprints(rating: Rating, when: str, config: Config) -> dict[str, str]:
    """Return what a copy can be known by: all of it, or with another rating, another name, or without its time.

    A rating without user, time and result is like many others and is known by nothing.
    """
    features = dict(rating.features)
    shown = {name: value for name, value in features.items() if name != config.columns.user}
    parts: dict[str, list[Any]] = {}
    if rating.user or rating.told_apart:
        parts["event"] = [features, rating.value, when, rating.result]
    if when:
        parts |= {"asked": [features, when], "moment": [shown, rating.value, when]}
    if rating.user:
        parts["said"] = [features, rating.value]
    return {name: sha256_json(part) for name, part in parts.items()}


def leaks(items: Sequence[Item], protected: Sequence[Item]) -> list[Leak]:
    """Return copies of protected ratings: 'exact', or 'near' with another rating, another user or without a time."""
    prints = [each.fingerprints for each in protected]
    by_kind = {
        kind: {each[kind]: item.id for each, item in zip(prints, protected, strict=True) if kind in each}
        for kind in ("event", "asked", "moment", "said")
    }
    timeless = {each["said"] for each in prints if "said" in each and "asked" not in each}
    found = []
    for item in items:
        own = item.fingerprints
        if twin := by_kind["event"].get(own.get("event", "")):
            found.append(Leak(item=item.id, protected_item=twin, kind="exact"))
            continue
        twins = [by_kind[kind].get(own.get(kind, "")) for kind in ("asked", "moment")]
        said = own.get("said", "")
        twins += [by_kind["said"].get(said)] if "asked" not in own or said in timeless else []
        found += [Leak(item=item.id, protected_item=twin, kind="near") for twin in twins if twin][:1]
    return found


def _safe(name: str) -> str:
    lower = name.lower().replace(" ", "_")
    return lower if SAFE.fullmatch(lower) else f"x{sha256_json(name)[:12]}"
