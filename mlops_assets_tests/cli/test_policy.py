"""A policy shown with its meaning, and another one tried on the line's history."""

from pathlib import Path

import yaml

from mlops_assets_tests.cli.conftest import Shell


def test_every_number_is_shown_with_default_meaning_and_source(shell: Shell):
    document = shell("policy", "show", "topics", "--json").document
    rows = {row["key"]: row for row in document["explained"]}
    assert all(row["meaning"] for row in rows.values())
    assert {"primary.margin", "data.min_items", "inquiry.seeds", "human.remind_hours", "alpha"} <= set(rows)
    assert (rows["resamples"]["value"], rows["resamples"]["default"], rows["resamples"]["changed"]) == (
        1000,
        10000,
        True,
    )
    assert not rows["alpha"]["changed"]
    assert document["declared_in"] == str(shell.folder / "lines" / "topics.yaml")
    assert len(document["digest"]) == 64


def test_a_history_is_decided_again_under_another_policy(shell: Shell, tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"min_items_to_promote": 1000}))
    done = shell("policy", "backtest", "topics", "--policy", str(other), "--merge", "--json")
    assert done.code == 0, done.err
    first, second = done.document["retrials"]
    assert (first["was"], first["would_be"], first["flips"], first["version"]) == ("APPROVE", "HUMAN_REVIEW", True, 2)
    assert (second["was"], second["flips"]) == ("HUMAN_REVIEW", False)
    said = shell("policy", "backtest", "topics", "--policy", str(other), "--merge")
    assert "1 of 2 decisions flip, 1 of them releases" in said.out
    assert "not measured" in said.out
    assert "would have changed what came after it" in " ".join(said.out.split())


def test_a_wrong_policy_file_is_a_sentence_with_its_key(shell: Shell, tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"primary": {"metric": "wer", "margin": 0.1}}))
    done = shell("policy", "backtest", "topics", "--policy", str(other))
    assert done.code == 1
    assert "policy.primary.metric" in done.err
    assert "Traceback" not in done.err
