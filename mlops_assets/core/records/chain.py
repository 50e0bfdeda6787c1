"""The chain's assets by name, in order."""

from mlops_assets.core.records.base import AssetRecord
from mlops_assets.core.records.data import RawBatch, ValidatedData
from mlops_assets.core.records.decision import Decision
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.core.records.outcome import DeployedVersion, Quarantined
from mlops_assets.core.records.training import CandidateModel

ASSETS: dict[str, type[AssetRecord]] = {
    "raw_batch": RawBatch,
    "validated_data": ValidatedData,
    "candidate_model": CandidateModel,
    "eval_report": EvalReport,
    "decision": Decision,
    "deployed_version": DeployedVersion,
    "quarantine": Quarantined,
}
