"""The part of a batch that no training saw, as one more evaluation set of its report."""

import shutil
import uuid

from mlops_assets.core.dataset import merge, read_items
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.data import ValidatedData
from mlops_assets.lifecycle.evaluation.evaluation_sets import EvaluationDataset
from mlops_assets.lifecycle.training.split import split

NAME = "holdout"


def holdout(platform: Platform, line: Line, data: ValidatedData) -> list[EvaluationDataset]:
    """Return the batch's holdout as an evaluation set; nothing if the batch is too small to have one."""
    folder = platform.store.folder(data.dataset)
    items = split(read_items(folder), line.holdout_share, data.dataset).holdout
    if not items:
        return []
    out = platform.home / "runs" / line.line / f"holdout-{uuid.uuid4().hex[:12]}"
    try:
        merge(out, [(folder, items)])
        dataset = platform.store.put_folder(out)
    finally:
        shutil.rmtree(out)
    return [EvaluationDataset(name=NAME, kind="holdout", origin=data.origin, dataset=dataset)]
