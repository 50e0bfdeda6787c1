import http.server
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.adapters.artifact_store import FsspecStore
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.leases import SqlLeases
from mlops_assets.adapters.database.outbox import Outbox
from mlops_assets.adapters.mlflow_settings import quiet
from mlops_assets.adapters.tracker_mlflow import MlflowTracker
from mlops_assets.core.line import EvaluationSet, Line
from mlops_assets.core.policy import Margin, Policy
from mlops_assets.core.ports.releases import Pointer, Role, Version
from mlops_assets.core.records.decision import Decision, Evidence, Verdict
from mlops_assets.core.records.evaluation import Comparison, EvalReport, SetResult, SystemReport
from mlops_assets.core.records.training import CandidateModel, CurvePoint

BATCH = "20260309-aaaaaaaaaaaa"
DATASET = "d" * 64


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's tables once: it takes it seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with quiet():
        MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def uri(template: Path, tmp_path: Path) -> str:
    shutil.copyfile(template, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def make(sqlite: Database, tmp_path: Path) -> Callable[..., MlflowTracker]:
    """Make trackers of one platform: same home, same outbox."""
    store = FsspecStore(str(tmp_path / "artifacts"), tmp_path)

    def tracker(uri: str, **more: Any) -> MlflowTracker:
        return MlflowTracker(uri, tmp_path, store=store, outbox=Outbox(sqlite), leases=SqlLeases(sqlite), **more)

    return tracker


@pytest.fixture
def client(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(uri)


LINE = Line(
    line="speech",
    family="speech",
    description="Words from recordings",
    golden=EvaluationSet(path="g", origin="real"),
    policy=Policy(primary=Margin(metric="wer", margin=0.003)),
)


def candidate(batch_id: str = BATCH) -> CandidateModel:
    return CandidateModel(
        line="speech",
        batch_id=batch_id,
        parents={"validated_data": "b" * 64},
        parent_version=1,
        parent_model="1" * 64,
        model="2" * 64,
        servable="3" * 64,
        recipe=f"recipe of {batch_id}",
        seed=7,
        items=90,
        steps=2,
        seconds=4.5,
        device="cpu",
        curve=(
            CurvePoint(step=0, loss=0.9, held_out_loss=0.95, learning_rate=1e-5, seconds=1),
            CurvePoint(step=1, loss=0.5, learning_rate=2e-5, seconds=2),
        ),
        stopped="finished",
        code_version="abc",
        replayed=("20260308-bbbbbbbbbbbb",),
    )


def report() -> EvalReport:
    shared = {"metric": "wer", "set_name": "golden", "higher_is_better": False, "unit": "ratio", "clusters": 4}
    return EvalReport(
        line="speech",
        batch_id=BATCH,
        systems={
            "candidate": SystemReport(
                servable="3" * 64, seconds_per_unit=0.1, unit="second of audio", size_bytes=10, load_seconds=1
            )
        },
        sets=(
            SetResult(name="golden", kind="golden", dataset=DATASET, origin="real", n=40, clusters=4, scores="5" * 64),
        ),
        comparisons=(
            Comparison(**shared, candidate=0.1, production=0.2, delta=0.1, lower=0.05, n=40, origin="real"),
            Comparison(**shared, slice="voice:slt", candidate=0.3, n=10, origin="synthetic"),
        ),
        scorer="jiwer 4",
        infra_ok=True,
        alpha=0.05,
        resamples=1000,
        seed=1,
    )


def decision(verdict: Verdict = "HUMAN_REVIEW", *, pending: bool = False) -> Decision:
    evaluated = report()
    evidence = Evidence(
        line="speech",
        batch_id=BATCH,
        candidate="3" * 64,
        production="9" * 64,
        production_version=1,
        golden={"golden": DATASET},
        policy=LINE.policy.digest,
        contributor="ann",
        kept=90,
        dropped_share=0.0,
        quality_score=9.0,
        report=evaluated.digest,
        infra_ok=True,
        sets=evaluated.sets,
        comparisons=evaluated.comparisons,
        systems=evaluated.systems,
        looks=1,
        code_version="abc",
    )
    return Decision(
        line="speech",
        batch_id=BATCH,
        decision_id="d1",
        verdict=verdict,
        pending=pending,
        reasons=("The gain is unclear.",),
        gates=(),
        statistics=(),
        evidence=evidence,
        evidence_digest=evidence.digest,
        policy_digest=evidence.policy,
        path=("gather", "human"),
        decided_at="2026-03-09T00:00:00.000+00:00",
    )


def version(number: int, batch_id: str | None = BATCH) -> Version:
    return Version(
        line="speech",
        version=number,
        servable="3" * 64 if batch_id else "4" * 64,
        model="2" * 64,
        batch_id=batch_id,
        decision_id=f"d{number}",
        parent_version=None,
        deployed_at="2026-03-09T00:00:00.000+00:00",
    )


def pointer(revision: int, roles: dict[Role, int]) -> Pointer:
    return Pointer(line="speech", revision=revision, roles=roles)


def whole_chain(tracker: MlflowTracker) -> None:
    tracker.training(LINE, candidate(), {"rate": 1e-5, "datasets": {BATCH: DATASET, "golden old": "e" * 64}})
    tracker.evaluation(LINE, candidate(), report(), "<html>fine</html>")
    tracker.decision(LINE, decision(pending=True), "<html>asked</html>")
    tracker.decision(LINE, decision("APPROVE"), "<html>answered</html>")
    tracker.release(version(1), None, "# Card")
    tracker.release(version(2, batch_id=None), None, "# Card 2")
    tracker.roles("speech", pointer(1, {"production": 2, "previous": 1}))


def runs(client: Any) -> list[Any]:
    return client.search_runs([each.experiment_id for each in client.search_experiments()])


def test_a_training_run_holds_inputs_parameters_and_curve(make, uri, client, tmp_path) -> None:
    run_id = make(uri).training(LINE, candidate(), {"rate": 1e-5, "datasets": {BATCH: DATASET}})
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["rate"] == "1e-05"
    assert run.data.params["seed"] == "7"
    assert run.data.tags["mlops.batch"] == BATCH
    assert run.data.tags["mlops.record.validated_data"] == "b" * 64
    assert [(each.step, each.value) for each in client.get_metric_history(run_id, "loss")] == [(0, 0.9), (1, 0.5)]
    assert len(client.get_metric_history(run_id, "held_out_loss")) == 1
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == (BATCH, DATASET[:36])
    assert DATASET in given.dataset.source
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(tmp_path / "mlflow" / "speech")


def test_without_named_datasets_the_batches_are_the_inputs(make, uri, client) -> None:
    run_id = make(uri).training(LINE, candidate(), {})
    inputs = {each.dataset.name: each.dataset.digest for each in client.get_run(run_id).inputs.dataset_inputs}
    assert inputs == {BATCH: "b" * 36, "20260308-bbbbbbbbbbbb": "bbbbbbbbbbbb"}


def test_an_evaluation_is_on_the_run_of_its_training(make, uri, client, tmp_path) -> None:
    tracker = make(uri)
    run_id = tracker.training(LINE, candidate(), {})
    with_run = candidate().model_copy(update={"mlflow_run_id": run_id})
    assert tracker.evaluation(LINE, with_run, report(), "<html>fine</html>") == run_id
    metrics = client.get_run(run_id).data.metrics
    assert metrics["golden/wer/delta"] == 0.1
    assert metrics["golden/voice_slt/wer/candidate"] == 0.3
    assert metrics["candidate/seconds_per_second of audio"] == 0.1
    page = client.download_artifacts(run_id, "report/evaluation.html", str(tmp_path))
    assert Path(page).read_text() == "<html>fine</html>"
    contexts = {each.dataset.name: each.tags[0].value for each in client.get_run(run_id).inputs.dataset_inputs}
    assert contexts["golden"] == "evaluation"


def test_a_decision_is_on_the_run_of_its_candidate_and_its_answer_takes_its_place(make, uri, client, tmp_path) -> None:
    tracker = make(uri)
    run_id = tracker.training(LINE, candidate(), {})
    tracker.decision(LINE, decision(pending=True), "<html>asked</html>")
    asked = client.get_run(run_id).data.tags
    assert (asked["mlops.verdict"], asked["mlops.pending"]) == ("HUMAN_REVIEW", "yes")
    tracker.decision(LINE, decision("APPROVE"), "<html>answered</html>")
    assert tracker.reconcile() == 0
    (run,) = runs(client)
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    tags = run.data.tags
    assert (tags["mlops.verdict"], tags["mlops.pending"], tags["mlops.decision"]) == ("APPROVE", "no", "d1")
    assert tags["mlops.evidence"] == decision().evidence_digest
    assert tags["mlops.policy"] == LINE.policy.digest
    page = client.download_artifacts(run_id, "report/decision.html", str(tmp_path))
    assert Path(page).read_text() == "<html>answered</html>"


def test_a_decision_on_a_candidate_that_was_trained_elsewhere_makes_one_run_that_its_version_joins(
    make, uri, client
) -> None:
    tracker = make(uri)
    tracker.decision(LINE, decision("APPROVE"), "<html>fine</html>")
    tracker.release(version(1), decision("APPROVE"), "# Card")
    (run,) = runs(client)
    assert run.data.tags["mlops.verdict"] == "APPROVE"
    assert client.get_model_version("speech", 1).run_id == run.info.run_id


def test_versions_and_roles_are_mirrored_exactly(make, uri, client) -> None:
    tracker = make(uri)
    run_id = tracker.training(LINE, candidate(), {})
    number = tracker.release(version(1), None, "# Card")
    assert tracker.release(version(1), None, "# Card") == number
    assert tracker.release(version(2, batch_id=None), None, "# Other") != number
    registered = client.get_model_version("speech", number)
    assert registered.description == "# Card"
    assert registered.tags["mlops.version"] == "1"
    assert registered.tags["mlops.batch"] == BATCH
    assert registered.run_id == run_id

    def aliases() -> dict[str, str]:
        found = client.get_registered_model("speech").aliases
        return {
            role: client.get_model_version("speech", number).tags["mlops.version"] for role, number in found.items()
        }

    tracker.roles("speech", pointer(1, {"production": 1}))
    assert aliases() == {"production": "1"}
    client.set_registered_model_alias("speech", "champion", "1")
    tracker.roles("speech", pointer(2, {"production": 2, "previous": 1}))
    assert aliases() == {"production": "2", "previous": "1"}
    tracker.roles("speech", pointer(3, {"production": 9}))
    assert aliases() == {}


def test_a_process_that_starts_takes_back_what_was_done_to_the_registry_by_hand(make, uri, client) -> None:
    def aliases() -> dict[str, str]:
        found = client.get_registered_model("speech").aliases
        return {role: client.get_model_version("speech", at).tags["mlops.version"] for role, at in found.items()}

    tracker, now = make(uri), pointer(7, {"production": 1, "canary": 2})
    for number in (1, 2):
        tracker.release(version(number), None, f"# Card {number}")
    tracker.roles("speech", now)
    assert aliases() == {"production": "1", "canary": "2"}
    client.set_registered_model_alias(
        "speech", "production", client.get_model_version_by_alias("speech", "canary").version
    )
    client.delete_registered_model_alias("speech", "canary")
    tracker.roles("speech", now)
    assert aliases() == {"production": "2"}, "a process looks once: upkeep asks every half minute"
    make(uri).roles("speech", now)
    assert aliases() == {"production": "1", "canary": "2"}
    client.delete_model_version("speech", client.get_model_version_by_alias("speech", "canary").version)
    make(uri).roles("speech", now)
    assert aliases() == {"production": "1", "canary": "2"}
    client.delete_registered_model("speech")
    make(uri).roles("speech", now)
    assert aliases() == {"production": "1", "canary": "2"}
    assert client.get_model_version_by_alias("speech", "canary").description == "# Card 2"
    make(uri).roles("speech", pointer(7, {"production": 2}))
    assert aliases() == {"production": "2"}, "tables that a backup brought back lead, too"


def test_calls_made_again_change_nothing(make, uri, client, sqlite) -> None:
    tracker = make(uri)
    whole_chain(tracker)
    whole_chain(tracker)
    assert len(runs(client)) == 2
    assert len(client.search_model_versions("name = 'speech'")) == 2
    with sqlite.write() as connection:
        connection.exec_driver_sql("UPDATE outbox SET done = 0")
    assert make(uri).reconcile() == 0, "as after a crash between the effect and its record"
    assert len(runs(client)) == 2
    assert len(client.search_model_versions("name = 'speech'")) == 2
    run = next(run for run in runs(client) if "loss" in run.data.metrics)
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 2
    assert len(run.inputs.dataset_inputs) == 3


@pytest.mark.parametrize("away", ["sqlite:////proc/none/mlflow.db", "http://127.0.0.1:1"])
def test_while_mlflow_is_away_calls_wait_and_are_made_once(make, uri, client, away, caplog) -> None:
    tracker = make(away)
    assert tracker.training(LINE, candidate(), {}) is None
    assert tracker.evaluation(LINE, candidate(), report(), "<html>fine</html>") is None
    tracker.decision(LINE, decision("APPROVE"), "<html>approved</html>")
    assert tracker.release(version(1), None, "# Card") is None
    tracker.roles("speech", pointer(1, {"production": 1}))
    assert tracker.reconcile() == 5
    assert "did not take tracker/training" in caplog.text
    back = make(uri)
    assert back.reconcile() == 0
    assert back.reconcile() == 0
    (run,) = runs(client)
    assert run.data.metrics["golden/wer/delta"] == 0.1
    assert run.data.tags["mlops.verdict"] == "APPROVE"
    assert client.get_model_version_by_alias("speech", "production").run_id == run.info.run_id


def test_a_server_that_errs_keeps_the_call_waiting(make) -> None:
    class Failing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tracker = make(f"http://127.0.0.1:{server.server_port}")
        assert tracker.training(LINE, candidate(), {}) is None
        assert tracker.reconcile() == 1
        assert tracker.link("x") is None
        server.shutdown()


def test_a_link_leads_to_the_page_of_the_run(make, uri, client) -> None:
    run_id = make(uri).training(LINE, candidate(), {})
    experiment = client.get_run(run_id).info.experiment_id
    assert make(uri).link(run_id) is None
    link = make(uri, ui="http://localhost:5000/").link(run_id)
    assert link == f"http://localhost:5000/#/experiments/{experiment}/runs/{run_id}"


def test_it_is_quiet_and_leaves_the_environment_alone(make, uri, capfd) -> None:
    before = dict(os.environ)
    whole_chain(make(uri))
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")
