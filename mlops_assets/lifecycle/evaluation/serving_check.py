"""Whether a candidate would serve: loaded and asked by the code that a gateway's model worker runs, in a fresh process.

A score is made by calling a predictor; a client's bytes go another way: through the worker's memory limit, the family's
`refuse`, files without a name, and JSON. What comes out has to be what was scored.
"""

import math
from collections.abc import Sequence

from pydantic import JsonValue

from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.core.tasks import ServedItem, ServeResult, ServeTask
from mlops_assets.lifecycle.evaluation.evaluation_sets import EvaluationDataset
from mlops_assets.lifecycle.evaluation.measuring import Measurement
from mlops_assets.lifecycle.progress import progress_file

ITEMS = 4
TOLERANCE = 0.02  # of a number: other neighbours in a batch are added up in another order


def serving_problem(
    platform: Platform,
    line: Line,
    candidate: CandidateModel,
    sets: Sequence[EvaluationDataset],
    measured: Measurement,
) -> str:
    """Return why a candidate was not scored, or would not serve as it was scored on the golden set; "" if it would."""
    if measured.predicted is None:
        return measured.failure
    golden = next(each for each in sets if each.kind == "golden")
    task = ServeTask(
        family=line.family,
        config=line.config,
        servable=str(platform.store.folder(candidate.servable)),
        data=str(platform.store.folder(golden.dataset)),
        items=ITEMS,
        progress=str(progress_file(platform, line.line, candidate.batch_id)),
    )
    limits = line.limits.model_copy(update={"memory_gb": line.serving.memory_gb})
    try:
        result = platform.compute.run(task, limits)
    except TaskFailed as error:
        return f"A gateway's model worker could not serve it. {error}"
    assert isinstance(result, ServeResult), result.task
    scored = measured.predicted.predictions[golden.name][: len(result.served)]
    told = (_difference(each, wanted) for each, wanted in zip(result.served, scored, strict=True))
    return next(filter(None, told), "")


def _difference(served: ServedItem, scored: JsonValue) -> str:
    if served.problem:
        return f"A gateway would not answer the golden item {served.item}: {served.problem}"
    if not alike(served.output, scored):
        return f"A gateway would answer the golden item {served.item} with {served.output}; scored was {scored}."
    return ""


def alike(one: JsonValue, other: JsonValue) -> bool:
    """Say whether two answers are the same, but for what other neighbours or another processor make of numbers."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(alike, one, other))
        case (bool(), _) | (_, bool()):
            return one is other
        case ((int() | float()), (int() | float())):
            return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        case _:
            return one == other
