"""What a recorded decision rests on: its digest as it was written, the stored policy, the answers, and the code.

The evidence may have been written by an earlier release, whose records lacked fields that are filled in now; what was
written is what counts, so digests are those of the JSON as it was stored.
"""

import functools
from pathlib import Path

from pydantic import ValidationError

from mlops_assets.core.digests import sha256_file, sha256_json, tree_digest
from mlops_assets.core.errors import Corrupt, NotFound
from mlops_assets.core.line import Line
from mlops_assets.core.policy import Policy
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.storage import ArtifactStore
from mlops_assets.core.records.base import Record
from mlops_assets.core.records.decision import AnalystReply, Decision
from mlops_assets.lifecycle.decide.rules import verdict
from mlops_assets.lifecycle.decide.ruling import Ruling

LIFECYCLE = Path(__file__).parents[1]


def digest_as_written(record: Record) -> str:
    """Return the digest of a record that was read back: without the fields that its writer did not know."""
    return sha256_json(record.model_dump(mode="json", exclude_unset=True))


def stored_policy(store: ArtifactStore, digest: str) -> Policy:
    """Return the policy that a decision was made by; NotFound if it was not kept, Corrupt if it cannot be read."""
    try:
        return Policy.model_validate_json(store.read_bytes(digest))
    except NotFound:
        raise NotFound(
            f"The policy {digest[:12]} is not in the artifact store.",
            "Decisions made before policies were kept cannot be replayed; copy `artifacts` along with the home.",
        ) from None
    except ValidationError as error:
        raise Corrupt(
            f"The policy {digest[:12]} is not one that this release can read: {error}.",
            "Replay with the release that decided (the evidence names its code).",
        ) from None


def replayed(decision: Decision, policy: Policy) -> Ruling:
    """Return the ruling on a decision's evidence, given the answers that it recorded."""
    return verdict(decision.evidence, policy, decision.review, analyst_reply(decision))


def analyst_reply(decision: Decision) -> AnalystReply | None:
    """Return what the analyst last said of a decision, if it was asked and answered."""
    asked = [each.reply for each in decision.exchanges if each.purpose == "verdict"]
    return asked[-1] if asked else None


def judging_code(platform: Platform, line: Line) -> str:
    """Return the version of the code that measures and judges a line's candidates: its family's, and the rules'."""
    return f"{platform.code_version(line.family)}.{rules_code()}"


@functools.cache
def rules_code() -> str:
    """Return the digest of the sources of the statistics' use and the rules, 12 hex digits."""
    paths = [
        *LIFECYCLE.glob("decide/*.py"),
        *(LIFECYCLE / "evaluation" / f"{name}.py" for name in ("comparing", "evaluate")),
    ]
    return tree_digest({path.relative_to(LIFECYCLE).as_posix(): sha256_file(path) for path in paths})[:12]
