import json
from pathlib import Path

import pytest

from mlops_assets.core.digests import sha256_file
from mlops_assets.core.errors import NotFound, Refused
from mlops_assets.core.line import Line
from mlops_assets.core.ports.platform import Platform
from mlops_assets.core.records.training import CandidateModel
from mlops_assets.lifecycle.deployment.exporting import export
from mlops_assets_tests.lifecycle.chain import open_light_line, run, submit


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Platform, Line]:
    """A line with the base model as version 1, and version 2 made of a good batch."""
    platform, line = open_light_line(tmp_path_factory.mktemp("released"))
    assert run(platform, line, submit(platform, line, "good")).verdict == "APPROVE"
    return platform, line


def test_what_serves_is_written_with_what_was_measured(released: tuple[Platform, Line], tmp_path: Path):
    platform, line = released
    made = export(platform, line, None, "served", tmp_path / "out")
    assert (made.version, set(made.files)) == (2, {"counts.json", "metrics_v2.json"})
    served = platform.store.folder(platform.versions.get(line.line, 2).servable)
    assert (tmp_path / "out/counts.json").read_bytes() == (served / "counts.json").read_bytes()
    metrics = json.loads((tmp_path / "out/metrics_v2.json").read_text())
    accuracy = metrics["metrics"]["golden"]["accuracy"]
    assert accuracy["value"] > accuracy["production"]
    assert accuracy["interval"][0] < accuracy["value"] < accuracy["interval"][1]
    assert accuracy["origin"] == "synthetic"
    assert metrics["decision_id"]
    assert metrics["files"] == {"counts.json": sha256_file(tmp_path / "out/counts.json")}


def test_the_main_file_is_named_by_line_and_version(released: tuple[Platform, Line], tmp_path: Path):
    """Other families call it model.<ext>; their servable is put in place of this line's."""
    platform, line = released
    (tmp_path / "servable").mkdir()
    (tmp_path / "servable/model.onnx").write_bytes(b"graph")
    (tmp_path / "servable/tokenizer.json").write_text("{}")
    digest = platform.store.put_folder(tmp_path / "servable")
    version = platform.versions.add(
        "mango", servable=digest, model=digest, batch_id=None, decision_id=None, parent_version=None
    )
    other = line.model_copy(update={"line": "mango"})
    made = export(platform, other, version.version, "served", tmp_path / "out")
    assert set(made.files) == {"mango_model_v1.onnx", "tokenizer.json", "metrics_v1.json"}
    assert json.loads((tmp_path / "out/metrics_v1.json").read_text())["metrics"] == {}


def test_again_is_the_same_and_other_bytes_are_left_alone(released: tuple[Platform, Line], tmp_path: Path):
    platform, line = released
    first = export(platform, line, 2, "served", tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert export(platform, line, 2, "served", tmp_path) == first
    with pytest.raises(Refused, match=r"counts\.json is there"):
        export(platform, line, 1, "served", tmp_path)
    assert not (tmp_path / "metrics_v1.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"counts.json", "metrics_v2.json", "notes.txt"}


def test_a_twin_has_a_name_of_its_own(released: tuple[Platform, Line], tmp_path: Path):
    platform, line = released
    batch_id = platform.versions.get(line.line, 2).batch_id
    assert batch_id is not None
    candidate = platform.records.get(line.line, batch_id, "candidate_model")
    assert isinstance(candidate, CandidateModel)
    with pytest.raises(NotFound, match="full-precision twin"):
        export(platform, line, 2, "reference", tmp_path)
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin/model.onnx").write_bytes(b"float graph")
    digest = platform.store.put_folder(tmp_path / "twin")
    platform.records.put("candidate_model", candidate.model_copy(update={"companions": {"reference": digest}}))
    made = export(platform, line, 2, "reference", tmp_path / "out")
    assert set(made.files) == {"topics_model_v2_reference.onnx", "metrics_v2_reference.json"}


@pytest.mark.parametrize("number", [7, None])
def test_a_version_that_is_not_there_is_a_sentence(released: tuple[Platform, Line], tmp_path: Path, number: int | None):
    platform, line = released
    with pytest.raises(NotFound):
        export(platform, line.model_copy(update={"line": "new"}), number, "served", tmp_path)
