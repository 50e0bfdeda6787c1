"""`mlops why` and `mlops train`: the whole reason, and the loop closed from the command line."""

import json
from pathlib import Path

import yaml

from mlops_assets_tests.cli.conftest import Shell
from mlops_assets_tests.lines import texts


def collected(shell: Shell, folder: Path, items: int) -> Path:
    """Let the line keep payloads and train on ten examples; return a file of predictions and their corrections."""
    path = shell.folder / "lines/topics.yaml"
    document = yaml.safe_load(path.read_text())
    document["attributes"]["collection"]["keep_payloads"] = True
    document["attributes"]["triggers"] = {"retrain_threshold": 10, "trigger_on_error_rate": False}
    path.write_text(yaml.safe_dump(document))
    known = {"kind": "prediction", "version": 2, "arm": "production", "latency_ms": 1, "success": True}
    events = []
    for at, row in enumerate(texts(9, items)):
        events.append({**known, "event_id": f"p{at}", "user": f"user{at % 5}", "input": row["text"]})
        events.append({"kind": "correction", "prediction_id": f"p{at}", "target": row["label"]})
    file = folder / "events.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in events))
    return file


def test_why_names_every_condition_and_what_does_not_run(shell: Shell) -> None:
    told = shell("why", "topics", "--json", MLOPS_DAGSTER_UI="http://127.0.0.1:9")
    assert told.code == 0, told.err
    document = told.document
    assert not document["start"]
    assert {each["name"] for each in document["conditions"]} >= {"triggers.auto_retrain", "policy.data.min_items"}
    running = {each["name"]: each for each in document["running"]}
    assert not running["Dagster"]["works"]
    assert "mlops up" in running["Dagster"]["todo"]
    assert (running["version"]["works"], running["gateway"]["todo"]) == (True, "Start one: mlops serve")
    shown = shell("why", "topics", MLOPS_DAGSTER_UI="http://127.0.0.1:9")
    assert "No training of topics should start. Its last training was" in shown.out
    assert "0 new examples; a batch of the line has at least 4." in shown.out


def test_train_says_why_not_and_takes_what_was_collected_to_its_end_when_forced(
    own_shell: Shell, tmp_path: Path
) -> None:
    added = own_shell("events", "add", "topics", str(collected(own_shell, tmp_path, 60)), "--json")
    assert added.document["counts"] == {"stored": 120}
    refused = own_shell("train", "topics")
    assert refused.code == 3
    assert "hours ago; 24 are to pass between two" in refused.out
    assert "do: Wait, or start one: mlops train topics --force" in refused.out
    done = own_shell("train", "topics", "--force", "--json")
    assert done.code == 3, done.err
    assert (done.document["source"], done.document["items"]["kept"]) == ("events", 60)
    assert done.document["status"] in ("PENDING_REVIEW", "QUARANTINED")
    assert done.document["verdict"] in ("HUMAN_REVIEW", "REJECT")
    again = own_shell("train", "topics", "--force", "--json")
    assert (again.code, again.document["examples"]) == (3, 0)
