"""The network and its gradient, written out: small enough that numpy trains it in a second.

An event's columns become a description r (embeddings, standardised numbers, one hidden layer over both). It has a
quality ``r w`` for everybody, and a user u finds it better or worse by ``b_u + <v_u, r T>``: a factorisation model
whose item side is a network (dot products do better than a network over both sides: Rendle et al. 2020). An unknown
user has no such term. The score s becomes a rating by cumulative logits, ``P(rating > level k) = sigmoid(s - cut_k)``
with cuts in order (McCullagh 1980), so one model says how much and whether a result will be liked.
"""

from collections.abc import Mapping

import numpy as np

from mlops_assets.families.preference.model import Events, Floats, Ints, Weights

LEAST = 1e-12


def cuts(weights: Mapping[str, Floats]) -> Floats:
    """Return the cuts between levels, ascending, shape (levels - 1,)."""
    gaps = np.logaddexp(0, weights["gaps"])
    return weights["first_cut"] + np.concatenate([[0.0], np.cumsum(gaps)])


def probabilities(weights: Mapping[str, Floats], columns: tuple[str, ...], events: Events) -> Floats:
    """Return the probability of each level, shape (events, levels)."""
    score = _forward(weights, columns, events)["score"]
    above = _sigmoid(score[:, None] - cuts(weights))
    return -np.diff(np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0))), axis=1)


def loss(weights: Mapping[str, Floats], columns: tuple[str, ...], events: Events) -> float:
    """Return the mean negative log-likelihood of the ratings, in nats."""
    likely = probabilities(weights, columns, events)[np.arange(len(events)), events.levels]
    return float(-np.log(np.maximum(likely, LEAST)).mean())


def gradient(weights: Mapping[str, Floats], columns: tuple[str, ...], events: Events) -> tuple[float, Weights, Ints]:
    """Return the mean loss, its gradient by weight, and the rows of the user table the gradient's rows belong to."""
    seen = _forward(weights, columns, events)
    n, cut = len(events), cuts(weights)
    above = _sigmoid(seen["score"][:, None] - cut)
    padded = np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    at = np.arange(n)
    likely = np.maximum(padded[at, events.levels] - padded[at, events.levels + 1], LEAST)
    slope = np.zeros_like(padded)
    slope[at, events.levels] -= 1 / likely / n
    slope[at, events.levels + 1] += 1 / likely / n
    by_cut = slope[:, 1:-1] * above * (1 - above)
    by_score = by_cut.sum(axis=1)
    found = _backward(weights, columns, events, seen, by_score)
    later = -np.cumsum(by_cut.sum(axis=0)[::-1])[::-1]
    found["first_cut"], found["gaps"] = later[:1], later[1:] * _sigmoid(weights["gaps"])
    rows, where = np.unique(events.users, return_inverse=True)
    by_user = np.zeros((len(rows), weights["user"].shape[1]))
    np.add.at(by_user, where, np.column_stack([seen["taste"] * by_score[:, None], by_score]))
    by_user[rows == 0] = 0
    found["user"] = by_user
    return float(-np.log(likely).mean()), found, rows


def _forward(weights: Mapping[str, Floats], columns: tuple[str, ...], events: Events) -> dict[str, Floats]:
    tables = [weights[f"column:{name}"][events.categories[:, at]] for at, name in enumerate(columns)]
    inputs = np.concatenate([*tables, events.numbers], axis=1)
    hidden = np.tanh(inputs @ weights["hidden"] + weights["hidden_bias"])
    described = np.concatenate([inputs, hidden], axis=1)
    taste = described @ weights["taste"]
    user = weights["user"][events.users]
    score = described @ weights["quality"] + (taste * user[:, :-1]).sum(axis=1) + user[:, -1]
    return {"inputs": inputs, "hidden": hidden, "described": described, "taste": taste, "user": user, "score": score}


def _backward(
    weights: Mapping[str, Floats], columns: tuple[str, ...], events: Events, seen: dict[str, Floats], by_score: Floats
) -> Weights:
    by_taste = by_score[:, None] * seen["user"][:, :-1]
    by_described = by_score[:, None] * weights["quality"] + by_taste @ weights["taste"].T
    width = seen["inputs"].shape[1]
    by_hidden = by_described[:, width:] * (1 - seen["hidden"] ** 2)
    by_inputs = by_described[:, :width] + by_hidden @ weights["hidden"].T
    found = {
        "quality": seen["described"].T @ by_score,
        "taste": seen["described"].T @ by_taste,
        "hidden": seen["inputs"].T @ by_hidden,
        "hidden_bias": by_hidden.sum(axis=0),
    }
    for at, name in enumerate(columns):
        table = weights[f"column:{name}"]
        size = table.shape[1]
        found[f"column:{name}"] = np.zeros_like(table)
        np.add.at(found[f"column:{name}"], events.categories[:, at], by_inputs[:, at * size : (at + 1) * size])
    return found


def _sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))
