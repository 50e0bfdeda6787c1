"""How a batch's way ended: as a version, or set aside for a person."""

from typing import Literal

from pydantic import Field

from mlops_assets.core.records.base import AssetRecord

DeploymentStatus = Literal[
    "SUCCESS", "CANARY", "PENDING_REVIEW", "PENDING_PUBLISH", "FAILED_EVALUATION", "ROLLED_BACK", "ERROR"
]


class DeployedVersion(AssetRecord):
    """A released version of a line."""

    version: int
    servable: str
    model: str
    decision_id: str
    previous_version: int | None
    status: DeploymentStatus
    card: str = Field(description="Store digest of the model card")
    mlflow_model_version: str | None = None
    deployed_at: str


class Quarantined(AssetRecord):
    """A batch set aside for a person: where its bundle lies and why."""

    reason_code: str
    reason: str
    status: Literal["held", "released", "discarded"]
    deployment_status: DeploymentStatus
    path: str = Field(description="Folder of the bundle, relative to the home")
    alert: str = Field(description="Incident key of the alert")
    quarantined_at: str
