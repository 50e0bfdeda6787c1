"""What every system of an evaluation answered, and what that cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlops_assets.core.errors import TaskFailed
from mlops_assets.core.family import Family
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.evaluation import System, SystemReport
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.evaluation.evaluation_sets import EvaluationDataset
from mlops_assets.lifecycle.evaluation.predictions import Predicted, predict
from mlops_assets.lifecycle.progress import progress_file
from mlops_assets.lifecycle.training.base import base

LATENCY_ROUNDS = 4


@dataclass(frozen=True)
class Measurement:
    """A system's servable with what it answered, or why it did not."""

    servable: str
    version: int | None
    predicted: Predicted | None
    failure: str = ""


def measured_systems(
    platform: Platform, line: Line, candidate: CandidateModel, served: Version | None, datasets: Mapping[str, str]
) -> dict[System, Measurement]:
    """Ask candidate, its companions, production and baseline for predictions on datasets (store digests)."""
    systems: dict[System, tuple[str, int | None]] = {"candidate": (candidate.servable, None)}
    if served is not None:
        systems["production"] = (served.servable, served.version)
    systems["baseline"] = (base(platform, line).servable, None)
    systems |= {name: (servable, None) for name, servable in candidate.companions.items()}
    progress = progress_file(platform, line.line, candidate.batch_id)
    measured: dict[System, Measurement] = {}
    for system, (servable, version) in systems.items():
        try:
            measured[system] = Measurement(servable, version, predict(platform, line, servable, datasets, progress))
        except TaskFailed as error:
            measured[system] = Measurement(servable, version, None, str(error))
    return measured


def costs(
    platform: Platform,
    line: Line,
    family: Family,
    batch_id: str,
    sets: list[EvaluationDataset],
    measured: dict[System, Measurement],
) -> dict[System, SystemReport]:
    """Return size and time of every system that answered."""
    seconds: dict[System, float] = {
        system: each.predicted.seconds_per_unit for system, each in measured.items() if each.predicted
    }
    if {"candidate", "production"} <= set(seconds):
        seconds |= _confirmed(platform, line, batch_id, sets, measured, seconds)
    return {
        system: SystemReport(
            servable=each.servable,
            version=each.version,
            seconds_per_unit=seconds[system],
            unit=family.unit,
            size_bytes=platform.store.size(each.servable),
            load_seconds=each.predicted.load_seconds,
        )
        for system, each in measured.items()
        if each.predicted
    }


def _confirmed(
    platform: Platform,
    line: Line,
    batch_id: str,
    sets: list[EvaluationDataset],
    measured: dict[System, Measurement],
    seconds: Mapping[System, float],
) -> dict[System, float]:
    """Measure candidate and production again, in turn, while the candidate seems too slow; take the least of each.

    The two first figures may come from different days on a busy machine: too slow is what stays too slow.
    """
    compared: dict[System, float] = {system: seconds[system] for system in ("candidate", "production")}
    datasets = {each.name: each.dataset for each in sets}
    progress = progress_file(platform, line.line, batch_id)
    for _ in range(LATENCY_ROUNDS):
        if compared["candidate"] <= line.policy.gates.max_latency_ratio * compared["production"]:
            break
        for system in compared:
            again = predict(platform, line, measured[system].servable, datasets, progress, fresh=True)
            compared[system] = min(compared[system], again.seconds_per_unit)
    return compared
