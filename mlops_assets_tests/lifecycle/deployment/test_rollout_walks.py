"""Any sequence of verbs is what the ledger replays."""

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core.errors import PlatformError
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle import auditing
from mlops_assets.lifecycle.deployment import serving_history
from mlops_assets.lifecycle.deployment.moving import KINDS
from mlops_assets.lifecycle.deployment.rollout import deploy
from mlops_assets.wiring.platform import open_platform
from mlops_assets.wiring.settings import Settings
from mlops_assets_tests.lifecycle.released import call, lined_up, live, opened
from mlops_assets_tests.postgres_fixture import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

VERBS = st.tuples(
    st.sampled_from(["deploy", "advance", "promote", "hold", "rollback", "retire", "reconcile"]), st.integers(1, 4)
)


def walk(platform: Platform, line: Line, verbs: list[tuple[str, int]]) -> None:
    """Call any verbs in any order; what is refused changes nothing, and the ledger tells the whole story."""
    seen, said = [platform.versions.pointer(line.line)], list[str]()
    for verb, number in verbs:
        before = platform.versions.pointer(line.line)
        try:
            call(platform, line, verb, number)
        except PlatformError as error:
            said.append(str(error))
            changed = platform.versions.pointer(line.line) != before
        else:
            changed = False
        assert not changed
        after = platform.versions.pointer(line.line)
        if after != before:
            seen.append(after)
            assert after.revision in (before.revision + 1, before.revision + 2)
        published = live(platform, line)
        assert (published.revision, published.production.version) == (after.revision, after.roles["production"])
        assert sum(arm.share for arm in published.arms) == pytest.approx(1)
        assert (after.rollout is None) == (not {"canary", "candidate"} & set(after.roles))
        if after.rollout is not None:
            assert after.rollout.against == after.roles["production"] != after.rollout.version
        if before.rollout is not None and verb == "rollback":
            assert after.roles["production"] == before.roles["production"]
        for number in after.roles.values():
            assert platform.versions.get(line.line, number).retired_at is None
    assert all(sentence[0].isupper() or sentence.startswith(line.line) for sentence in said)
    told = serving_history.history(platform, line)
    assert [each.revision for each in told] == list(range(1, seen[-1].revision + 1)), "one entry for each revision"
    by_revision = {each.revision: each for each in told}
    for pointer in seen[1:]:
        share = pointer.rollout.share if pointer.rollout else 0.0
        arms = {arm.version: arm.share for arm in by_revision[pointer.revision].arms}
        assert arms[pointer.roles["production"]] == 1 - share
        assert pointer.rollout is None or arms[pointer.rollout.version] == share
    assert all(earlier.until == later.at for earlier, later in pairwise(told))
    assert {each.event for each in told} <= set(KINDS.values())
    assert auditing.disagreements(platform) == []


@settings(max_examples=8, deadline=None)
@given(strategy=st.sampled_from(["replace", "blue_green", "canary"]), verbs=st.lists(VERBS, max_size=10))
def test_any_sequence_of_verbs_is_what_the_ledger_replays(strategy: str, verbs: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory(prefix="rollout-") as folder:
        platform, line = lined_up(Path(folder), versions=4, deployment_strategy=strategy)
        walk(platform, line, verbs)


def test_the_same_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    made = open_platform(Settings(root=tmp_path, home=tmp_path / "home", database_url=postgres_url))
    local, line = opened(tmp_path, deployment_strategy="canary")
    platform = replace(made, tracker=local.tracker, lines=local.lines)
    for number in range(1, 5):
        digest = platform.store.put_folder(_folder(tmp_path / f"v{number}", str(number)))
        platform.versions.add(
            line.line, servable=digest, model=digest, batch_id=None, decision_id=f"d{number}", parent_version=None
        )
    deploy(platform, line, 1, actor="ann", reason="the first")
    steps = ["deploy", "advance", "hold", "advance", "promote", "rollback", "deploy", "rollback", "retire"]
    walk(platform, line, [(verb, 2 + at // 6) for at, verb in enumerate(steps)])


def _folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "model.json").write_text(text)
    return path
