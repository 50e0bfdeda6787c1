"""MLflow's model registry as a mirror: a registered model per line, our version numbers as tags, roles as aliases."""

import logging
from collections.abc import Mapping
from typing import Any

from mlops_assets.core.digests import canonical_json
from mlops_assets.core.ports.releases import Pointer, Version

VERSION = "mlops.version"
SERVABLE = "servable/artifact.json"
PAGE_SIZE = 1000
log = logging.getLogger(__name__)


class Registry:
    """The registered models at one client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def find(self, line: str, version: int) -> str | None:
        """Return MLflow's number for a version, if it is registered."""
        return self._registered(line).get(version)

    def register(self, version: Version, run: Any, lineage: Mapping[str, str] | None, card: str) -> None:
        """Register a version once, with its card as the description.

        Its source is a file in the run that names the servable's digest: the bytes stay in the artifact store.
        """
        self._ensure(version.line)
        if self.find(version.line, version.version) is not None:
            return
        artifact = {"sha256": version.servable, "model": version.model}
        self._client.log_text(run.info.run_id, canonical_json(artifact), SERVABLE)
        tags = {
            VERSION: str(version.version),
            "mlops.servable": version.servable,
            "mlops.model": version.model,
            "mlops.batch": version.batch_id or "base",
            "mlops.decision": version.decision_id or "none",
            "mlops.parent_version": str(version.parent_version or "base"),
            **(lineage or {}),
        }
        self._client.create_model_version(
            version.line,
            source=f"{run.info.artifact_uri}/{SERVABLE.partition('/')[0]}",
            run_id=run.info.run_id,
            tags=tags,
            description=card,
        )

    def roles(self, pointer: Pointer) -> None:
        """Set the aliases that are wrong, delete those that are no role of a registered version."""
        self._ensure(pointer.line)
        aliases = dict(self._client.get_registered_model(pointer.line).aliases)
        registered = self._registered(pointer.line)
        wanted = {role: registered[version] for role, version in pointer.roles.items() if version in registered}
        for role in pointer.roles.keys() - wanted.keys():
            log.warning("Version %s of %s is not registered in MLflow", pointer.roles[role], pointer.line)
        for alias in aliases.keys() - wanted.keys():
            self._client.delete_registered_model_alias(pointer.line, alias)
        for role, number in wanted.items():
            if str(aliases.get(role)) != number:
                self._client.set_registered_model_alias(pointer.line, role, number)

    def _ensure(self, line: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(line, tags={"mlops.line": line})
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _registered(self, line: str) -> dict[int, str]:
        """Return MLflow's numbers by ours."""
        numbers: dict[int, str] = {}
        token = None
        while True:
            page = self._client.search_model_versions(f"name = '{line}'", max_results=PAGE_SIZE, page_token=token)
            numbers.update({int(each.tags[VERSION]): str(each.version) for each in page if VERSION in each.tags})
            token = page.token
            if not token:
                return numbers
