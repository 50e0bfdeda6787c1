"""Which items of a batch are trained on, and which are kept back: a function of the items alone, never of chance.

Whole clusters (speakers, users) are kept back where that fits the share, so that nobody is in two parts; a batch of
few clusters is split by item.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlops_assets.core.digests import sha256_json
from mlops_assets.core.records.data import Item


@dataclass(frozen=True)
class Split:
    """The three parts of a batch: for training, for early stopping, and for the report."""

    train: tuple[Item, ...]
    held_out: tuple[Item, ...]
    holdout: tuple[Item, ...]


def split(items: Sequence[Item], share: float, salt: str) -> Split:
    """Keep back at most `share` of the items (0 to 0.5): half for early stopping, half for the report."""
    wanted = int(len(items) * share)
    kept_back = _whole_clusters(items, wanted, salt) or _first(items, wanted, salt)
    ordered = sorted(kept_back, key=lambda item: _hash(salt, item.cluster, item.id))
    middle = (len(ordered) + 1) // 2
    names = {item.id for item in kept_back}
    train = tuple(item for item in items if item.id not in names)
    return Split(train, tuple(ordered[:middle]), tuple(ordered[middle:]))


def sample(items: Iterable[Item], count: int, salt: str) -> list[Item]:
    """Return `count` items chosen by the hash of their ids: the same ones every time."""
    return _first(items, count, salt)


def _whole_clusters(items: Sequence[Item], wanted: int, salt: str) -> list[Item]:
    clusters: dict[str, list[Item]] = {}
    for item in items:
        clusters.setdefault(item.cluster, []).append(item)
    chosen: list[Item] = []
    for cluster in sorted(clusters, key=lambda name: _hash(salt, name)):
        if len(chosen) + len(clusters[cluster]) <= wanted:
            chosen += clusters[cluster]
    return chosen


def _first(items: Iterable[Item], count: int, salt: str) -> list[Item]:
    return sorted(items, key=lambda item: _hash(salt, item.id))[:count]


def _hash(*parts: str) -> str:
    return sha256_json(parts)
