"""How near a training step of the preference family comes to numpy's own matrix product, and what serving costs.

The ceiling is as many floating-point operations as the step's products need (2 per weight and event forward, 4 more
backward), as one product of a step's batch by a square matrix, timed in turn with the step. The network is so narrow
that gathers, Adam and Python between small arrays are most of a step; the second ratio, at ten times the width and
batch, says what is left of that when there is something to multiply. No target is set for either.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from alternate import alternate, show

from mlops_assets.families.preference.config import Config
from mlops_assets.families.preference.model import Events, fitted, untrained
from mlops_assets.families.preference.training import Learner

USERS, NAMES, SIDE = 200, 24, 128
WIDE = {"hidden": 320, "embedding": 40, "user_factors": 80, "batch_size": 640}


def step(config: Config) -> tuple[Callable[[], Any], float]:
    """Return a training step on one batch, and the operations of its matrix products."""
    values: list[dict[str, Any]] = [
        {"user": f"user {at % USERS}", "bars": 2.0 ** (at % 6)} | dict.fromkeys(config.categorical, f"{at % NAMES}")
        for at in range(20 * NAMES)
    ]
    model = fitted(untrained(config), values, config)
    rng, n, columns = np.random.default_rng(0), config.batch_size, tuple(model.shape.categories)
    events = Events(
        users=rng.integers(0, USERS, n),
        categories=rng.integers(0, NAMES, (n, len(columns))),
        numbers=rng.normal(size=(n, 1)),
        levels=rng.integers(0, config.levels, n),
    )
    learner = Learner.begin(model.weights)
    weights = sum(model.weights[name].size for name in ("hidden", "quality", "taste"))
    return lambda: learner.step(events, columns, 1e-4, 1, config), 6.0 * weights * n


def products(operations: float, rows: int) -> Callable[[], Any]:
    """Return a matrix product of about as many operations."""
    rng = np.random.default_rng(0)
    inner = max(1, round(operations / (2 * rows * SIDE)))
    a, b = rng.normal(size=(rows, inner)), rng.normal(size=(inner, SIDE))
    return lambda: a @ b


def main(quick: bool, as_json: bool) -> None:
    """Time both widths."""
    figures, rounds, calls = {}, 5 if quick else 7, 50 if quick else 400
    for name, config in (("as served", Config()), ("ten times as wide", Config().model_copy(update=WIDE))):
        work, operations = step(config)
        product = products(operations, config.batch_size)
        repeat = calls if name == "as served" else max(1, calls // 20)
        ratio = alternate(
            lambda product=product, repeat=repeat: [product() for _ in range(repeat)],
            lambda work=work, repeat=repeat: [work() for _ in range(repeat)],
            rounds,
        )
        figures[f"numpy's matrix product of as many operations / preference training step, {name}"] = ratio
        if name == "as served":
            figures["microseconds of a preference training step of 64 events"] = 1e6 * ratio.b_seconds / repeat
    show(figures, as_json)


if __name__ == "__main__":
    main("--quick" in sys.argv, "--json" in sys.argv)
