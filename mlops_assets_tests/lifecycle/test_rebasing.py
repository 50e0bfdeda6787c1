import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.ports.releases import Version
from mlops_assets.core.records.evaluation import EvalReport
from mlops_assets.lifecycle.deployment.bootstrapping import bootstrap
from mlops_assets.lifecycle.evaluation.evaluate import evaluate
from mlops_assets.lifecycle.failpoints import VARIABLE
from mlops_assets.lifecycle.holding import production
from mlops_assets.lifecycle.intake.validate import validate
from mlops_assets.lifecycle.rebasing import rebaseline
from mlops_assets.lifecycle.training.train import train
from mlops_assets_tests.lifecycle.chain import judge, open_light_line, run, submit
from mlops_assets_tests.platform_fixture import RecordingTracker

REBASELINE = """
import sys
from pathlib import Path
from mlops_assets.lifecycle.rebasing import rebaseline
from mlops_assets_tests.lifecycle.chain import open_light_line
rebaseline(*open_light_line(Path(sys.argv[1])), reason="new code", actor="eve")
"""


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Platform, Line]:
    return open_light_line(tmp_path)


def stranded(platform: Platform, line: Line) -> Version:
    """Serve a trained version whose servable an older code wrote, which the present one cannot load."""
    batch = submit(platform, line, "good")
    validate(platform, line, batch)
    trained = train(platform, line, batch)
    (platform.root / "old").mkdir()
    (platform.root / "old" / "counts.json").write_text('{"layout": 1}')
    version = platform.versions.add(
        line.line,
        servable=platform.store.put_folder(platform.root / "old"),
        model=trained.model,
        batch_id=None,
        decision_id="by-older-code",
        parent_version=trained.parent_version,
    )
    pointer = platform.versions.pointer(line.line)
    platform.versions.move(line.line, pointer, {"production": version.version, "previous": 1})
    return version


def serving(platform: Platform, line: Line) -> Version:
    version = production(platform, line)
    assert version is not None
    return version


def spoil(platform: Platform) -> None:
    """Spoil every model that the store holds, and every copy of one."""
    for path in platform.home.rglob("*"):
        if path.is_file() and (data := path.read_bytes()).startswith(b"{") and b'"smoothing"' in data:
            path.chmod(0o644)
            path.write_bytes(data.replace(b'"smoothing"', b'"smothering"'))


def test_weights_that_the_present_code_can_read_are_exported_again_and_the_ledger_says_who_and_why(
    opened: tuple[Platform, Line],
):
    platform, line = opened
    old = stranded(platform, line)
    done = rebaseline(platform, line, reason="new code", actor="eve")
    version = serving(platform, line)
    assert (done.source, done.replaced, done.version) == ("weights", old.version, version.version)
    assert (version.model, version.parent_version) == (old.model, old.version)
    assert done.after is not None
    assert done.after > 0.7, "it is the model that was trained"
    pointer = platform.versions.pointer(line.line)
    assert pointer.roles["previous"] == 1, "nobody goes back to what cannot be loaded"
    live = platform.serving.live(line.line)
    assert live is not None
    assert (live.production.version, live.revision) == (version.version, pointer.revision)
    assert isinstance(platform.tracker, RecordingTracker)
    assert platform.tracker.pointers[-1] == pointer
    assert "rebaseline" in platform.tracker.releases[-1][2]
    (entry,) = platform.ledger.entries(line.line, "rebaselined")
    assert (entry.actor, entry.body["reason"], entry.body["metric"]) == ("eve", "new code", "accuracy")
    assert entry.body["old"] == {"servable": old.servable, "model": old.model}
    assert entry.body["new"] == {"servable": version.servable, "model": version.model}


def test_afterwards_a_batch_is_judged_by_numbers_again(opened: tuple[Platform, Line]):
    platform, line = opened
    stranded(platform, line)
    blind = submit(platform, line, "wrong")
    validate(platform, line, blind)
    train(platform, line, blind)
    assert "production" not in evaluate(platform, line, blind).systems
    rebaseline(platform, line, reason="new code", actor="eve")
    assert judge(platform, line, blind).verdict == "REJECT"
    report = platform.records.get(line.line, blind, "eval_report")
    assert isinstance(report, EvalReport)
    assert report.systems["production"].version == serving(platform, line).version


def test_it_is_no_way_round_a_comparison(opened: tuple[Platform, Line]):
    platform, line = opened
    with pytest.raises(NotFound):
        rebaseline(platform, line, reason="nothing there", actor="eve")
    run(platform, line, submit(platform, line, "good"))
    before = platform.versions.pointer(line.line)
    with pytest.raises(Refused, match="can be compared with"):
        rebaseline(platform, line, reason="I like the base model", actor="eve", to_base=True)
    assert platform.versions.pointer(line.line) == before
    assert platform.ledger.entries(line.line, "rebaselined") == []


def test_lost_weights_are_replaced_by_the_base_model_only_if_someone_says_so(opened: tuple[Platform, Line]):
    platform, line = opened
    run(platform, line, submit(platform, line, "good"))
    lost = serving(platform, line)
    spoil(platform)
    with pytest.raises(Refused, match="--base"):
        rebaseline(platform, line, reason="the disk", actor="eve")
    assert serving(platform, line) == lost
    done = rebaseline(platform, line, reason="the disk", actor="eve", to_base=True)
    assert (done.source, done.replaced) == ("base", lost.version)
    assert done.before is not None, "what the report of its batch says"
    decision = judge(platform, line, submit(platform, line, "good", seed=9))
    assert decision.evidence.systems["production"].version == done.version
    assert next(each.delta for each in decision.evidence.comparisons if each.set_name == "golden") is not None


def test_spoiled_bytes_of_the_base_model_itself_are_made_again(opened: tuple[Platform, Line]):
    platform, line = opened
    first = bootstrap(platform, line)
    assert first is not None
    spoil(platform)
    done = rebaseline(platform, line, reason="the disk", actor="eve", to_base=True)
    assert (done.source, serving(platform, line).servable) == ("base", first.servable)


@pytest.mark.parametrize(
    "point",
    [
        "rebaseline: after version",
        "rebaseline: after ledger",
        "rebaseline: after pointer",
        "release: after serving",
    ],
)
def test_killed_half_way_it_is_finished_by_the_same_command(tmp_path: Path, point: str):
    platform, line = open_light_line(tmp_path)
    old = stranded(platform, line)
    died = subprocess.run([sys.executable, "-c", REBASELINE, str(tmp_path)], env={**os.environ, VARIABLE: point})
    assert died.returncode == -9
    platform, line = open_light_line(tmp_path)
    done = rebaseline(platform, line, reason="new code", actor="eve")
    assert (done.replaced, done.version) == (old.version, old.version + 1)
    assert [each.version for each in platform.versions.list(line.line)] == [1, 2, 3]
    assert serving(platform, line).version == done.version
    live = platform.serving.live(line.line)
    assert live is not None
    assert live.production.version == done.version
    assert len(platform.ledger.entries(line.line, "rebaselined")) == 1
