"""What Dagster knows of a line: keys, edges, checks and pools, small enough to be read in a review."""

import traceback
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox

from mlops_assets.components import ModelLine
from mlops_assets.components.model_line import line_definitions
from mlops_assets_tests.lines import baseline_line

pytestmark = pytest.mark.filterwarnings(  # Dagster's own, from reading YAML
    "ignore:`parse_obj_as` is deprecated", "ignore:.*is currently in (beta|preview)"
)
EDGES = {
    "topics/raw_batch": [],
    "topics/validated_data": ["topics/raw_batch"],
    "topics/candidate_model": ["topics/validated_data"],
    "topics/eval_report": ["topics/candidate_model"],
    "topics/decision": ["topics/eval_report"],
    "topics/deployed_version": ["topics/decision"],
    "topics/quarantine": ["topics/decision"],
}
ROLLOUT = {"topics/rollout": ["topics/deployed_version"]}  # of no batch: the watch writes it down
CHECKS = {
    "topics/validated_data:enough_items": True,
    "topics/validated_data:quality": True,
    "topics/validated_data:dropped_share": True,
    "topics/validated_data:no_security_case": True,
    "topics/validated_data:no_leak": False,
    "topics/candidate_model:finite_loss": False,
    "topics/eval_report:infra": False,
    "topics/eval_report:production_evaluable": False,
    "topics/decision:gates": False,
    "topics/deployed_version:serves_the_judged_bytes": False,
}


def complete(definitions: dg.Definitions) -> dg.Definitions:
    """Add the one resource that a line's definitions leave to `defs/resources.py`."""
    return dg.Definitions.merge(definitions, dg.Definitions(resources={"platform": object()}))


@pytest.fixture
def graph(tmp_path: Path) -> Any:
    return complete(line_definitions(baseline_line(tmp_path))).resolve_asset_graph()


def test_the_chain_is_what_the_design_draws(graph: Any) -> None:
    edges = {
        key.to_user_string(): sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    }
    assert edges == EDGES | ROLLOUT


def test_bad_data_blocks_and_nothing_else_does(graph: Any) -> None:
    found = {f"{key.asset_key.to_user_string()}:{key.name}": graph.get(key).blocking for key in graph.asset_check_keys}
    assert found == CHECKS


def test_a_line_is_one_group_and_intake_holds_no_pool(graph: Any) -> None:
    nodes = [graph.get(dg.AssetKey(name.split("/"))) for name in EDGES]
    assert {node.group_name for node in nodes} == {"topics"}
    assert [sorted(node.pools or ()) for node in nodes] == [[], []] + [["topics"]] * 5
    assert all(node.owners == ["team:tests"] and node.kinds and node.description for node in nodes)
    assert all(node.code_version for node in nodes)
    assert {node.partitions_def.name for node in nodes if node.partitions_def} == {"topics"}


@pytest.mark.parametrize("name", ["context", "config", "type", "lambda"])
def test_a_line_may_have_a_name_that_dagster_keeps_for_itself(tmp_path: Path, name: str) -> None:
    definitions = complete(line_definitions(baseline_line(tmp_path, name=name)))
    assert definitions.resolve_job_def(f"{name}_chain").partitions_def is not None
    assert definitions.resolve_job_def(f"{name}_intake").partitions_def is not None


def test_a_line_has_two_jobs_and_sensors_of_its_own(tmp_path: Path) -> None:
    definitions = complete(line_definitions(baseline_line(tmp_path)))
    assert {job.name for job in definitions.jobs or ()} == {"topics_chain", "topics_intake"}
    own = {f"topics_{name}" for name in ("inbox", "improve", "failure", "trigger", "watch")}
    assert {sensor.name for sensor in definitions.sensors or ()} >= own
    job = definitions.resolve_job_def("topics_chain")
    assert job.executor_def is dg.in_process_executor
    assert int(job.tags["dagster/max_runtime"]) > 0


def load(attributes: dict[str, Any]) -> dg.Definitions:
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(
            component_cls=ModelLine,
            defs_yaml_contents={"type": "mlops_assets.components.ModelLine", "attributes": attributes},
        )
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, definitions):
            assert isinstance(component, ModelLine)
            return complete(definitions)


def attributes(tmp_path: Path) -> dict[str, Any]:
    return baseline_line(tmp_path).model_dump(mode="json")


def test_yaml_becomes_the_same_line(tmp_path: Path) -> None:
    definitions = load(attributes(tmp_path))
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert keys == {*EDGES, *ROLLOUT}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"polcy": {}}, "polcy"),
        ({"golden": {"path": "g", "origin": "synthetic", "siez": 1}}, "siez"),
        ({"config": {"smothing": 1}}, "config.smothing"),
        ({"family": "telepathy"}, "telepathy"),
    ],
)
def test_a_typo_in_yaml_stops_loading_with_its_key(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    with pytest.raises(Exception, match="Error while loading component") as stopped:
        load(attributes(tmp_path) | change)
    assert key in "".join(traceback.format_exception(stopped.value))
