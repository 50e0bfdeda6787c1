"""The command as its user meets it: real processes, one line of the baseline family, exit codes and documents."""

import signal
from pathlib import Path

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from mlops_assets_tests.cli.conftest import Shell
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import BATCHES, baseline_line


def test_show_has_every_key_of_the_contract(shell: Shell):
    batch = shell("batches", "topics", "--json").document[0]["batch_id"]
    document = shell("show", "topics", batch, "--json").document
    assert {
        *("batch_id", "line", "status", "contributor", "items", "quality_score", "metrics", "verdict", "reasons"),
        *("decision_id", "deployment_status", "version", "quarantine_path", "dagster_run_ids", "mlflow_run_id"),
    } <= set(document)
    assert {"kept", "dropped"} <= set(document["items"])
    assert {"candidate", "production", "baseline", "delta", "lower", "upper", "n", "origin"} <= set(
        document["metrics"]["accuracy"]
    )
    assert document["metrics"]["accuracy"]["origin"] == "synthetic"


def test_the_same_bytes_are_the_same_batch(shell: Shell):
    first = shell("batches", "topics", "--json").document[0]["batch_id"]
    batch = BATCHES["good"](shell.folder / "uploads" / "good-again")
    document = shell("submit", "topics", str(batch), "--json").document
    assert (document["batch_id"], document["duplicate_of"]) == (first, first)


def test_waiting_for_a_batch_where_no_daemon_runs_runs_it_here(own_shell: Shell):
    batch = BATCHES["broken"](own_shell.folder / "uploads" / "broken")
    done = own_shell("submit", "topics", str(batch), "--wait", "--json")
    assert (done.code, done.document["status"]) == (3, "QUARANTINED"), done.err
    assert "No daemon runs" in done.err
    again = own_shell("submit", "topics", str(batch), "--wait", "--json")
    assert (again.code, again.document["duplicate_of"]) == (3, done.document["batch_id"])
    assert "No daemon runs" not in again.err
    own_shell("quarantine", "discard", "topics", done.document["batch_id"], "--reason", "wrong")
    assert own_shell("submit", "topics", str(batch), "--wait", "--json").document["status"] == "DISCARDED"


@pytest.mark.slow
def test_a_run_that_is_interrupted_leaves_the_batch_as_it_is_and_goes_on_when_run_again(own_shell: Shell):
    batch = own_shell.submit("wrong")
    home = own_shell.folder / "home"
    before = set(home.glob("tasks/*"))
    running = own_shell.start("run", "topics", batch)
    for attempt in Retrying(stop=stop_after_delay(120), wait=wait_fixed(0.05)):
        with attempt:
            assert set(home.glob("tasks/*")) > before
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 1, said
    assert "was interrupted. What was made is kept; run the batch again" in said
    assert own_shell("show", "topics", batch, "--json").document["quarantine_path"] is None
    assert own_shell("run", "topics", batch, "--json").document["verdict"] == "REJECT"


def test_what_there_is_none_of_is_said(own_shell: Shell):
    assert own_shell("events", "list", "topics").out.split()[-1] == "none"


def test_looking_around_answers_with_one_document_each(shell: Shell):
    assert [line["production"] for line in shell("lines", "--json").document if line["line"] == "topics"] == [2]
    assert shell("status", "topics", "--json").document[0]["waiting_for_a_person"] == 1
    assert [version["roles"] for version in shell("versions", "topics", "--json").document] == [
        ["previous"],
        ["production"],
    ]
    decisions = shell("decisions", "list", "topics", "--json").document
    assert [decision["verdict"] for decision in decisions] == ["APPROVE", "HUMAN_REVIEW"]
    shown = shell("decisions", "show", decisions[0]["decision_id"][:8], "--json").document
    assert all(gate["passed"] for gate in shown["gates"])
    assert "alpha" in shell("policy", "show", "topics", "--json").document["policy"]
    chain = shell("lineage", "topics", "2", "--json").document["chain"]
    assert [link["asset"] for link in chain][-1] == "deployed_version"
    assert "topics v1 from the base model\n" in shell("lineage", "topics", "1").out


def test_report_writes_a_page_and_prints_its_tables(shell: Shell, tmp_path: Path):
    done = shell("report", "topics", "--output", str(tmp_path), "--json").document
    assert Path(done["page"]) == tmp_path / "topics.html"
    assert "Error analysis" in Path(done["page"]).read_text()
    batch = done["report"]["exploration"]["batches"][0]["batch_id"]
    assert done["report"]["contest"]["versions"][-1]["roles"] == ["production"]
    one = shell("report", "topics", "--batch", batch[:13], "--output", str(tmp_path), "--open", BROWSER="echo %s")
    page = tmp_path / "topics" / f"{batch}.html"
    assert set(one.out.split()) == {str(page), page.as_uri()}, one.err
    assert batch in page.read_text()


def test_people_get_words_and_no_markup(shell: Shell):
    for arguments in (("batches", "topics"), ("status",), ("decisions", "list"), ("reviews", "list"), ("doctor",)):
        done = shell(*arguments)
        assert "topics" in done.out, done.err
        assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "nowhere", "x"), 1, "There is no line 'nowhere'"),
        (("show", "topics", "2026"), 1, "fits several batches"),
        (("submit", "topics", "no/such/file"), 1, "There is nothing at"),
        (("run", "topics", "2", "--until", "dinner"), 1, "fits several batches"),
        (("versions",), 2, "Missing argument"),
        (("lineage", "topics", "99"), 1, "99"),
        (("quarantine", "show", "topics", "20260101"), 1, "is no batch"),
        (("promote", "topics", "--reason", " \n"), 2, "A reason is needed"),
        (("rollback", "topics", "--to", "1", "--reason", ""), 2, "A reason is needed"),
        (("keys", "add", "Watch", "--role", "admin"), 2, "is what the ledger calls a part of the platform"),
        (("keys", "add", "ann", "--days", "0"), 2, "A key cannot count for 0 days"),
        (("serve", "--inject", "nowhere:1:errors=0.1"), 1, "There is no line 'nowhere'"),
        (("serve", "--inject", "topics:x:errors=0.1"), 2, "'topics:x:errors=0.1' is no fault"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(shell: Shell, arguments: tuple[str, ...], code: int, says: str):
    done = shell(*arguments)
    assert done.code == code
    assert says in " ".join((done.out + done.err).split())
    assert "Traceback" not in done.err


def test_a_misspelt_setting_is_named(shell: Shell):
    done = shell("lines", "--json", MLOPS_HOEM="elsewhere")
    assert done.code == 1
    assert "MLOPS_HOEM" in done.document["error"]


def test_what_dotenv_says_reaches_a_lines_yaml(tmp_path: Path):
    line = baseline_line(tmp_path, description="{{ env('WHOSE_TOPICS') }}")
    declare(tmp_path / "lines", line)
    (tmp_path / ".env").write_text("WHOSE_TOPICS=ours\n")
    done = Shell(tmp_path)("policy", "show", "topics", "--json", MLOPS_ROOT=str(tmp_path))
    assert done.code == 0, done.err


def test_a_review_is_answered_once_and_not_by_the_contributor(own_shell: Shell):
    decision = own_shell("reviews", "list", "--json").document[0]["decision_id"]
    own = own_shell("reviews", "approve", decision[:10], "--reason", "mine", "--reviewer", "ada")
    assert own.code == 1
    approved = own_shell("reviews", "approve", decision[:10], "--reason", "fine", "--reviewer", "grace", "--json")
    assert (approved.code, approved.document["version"]) == (0, 3), approved.err
    assert own_shell("reviews", "reject", decision[:10], "--reason", "no", "--reviewer", "alan").code == 1


def test_rollback_serves_the_former_bytes(own_shell: Shell):
    before = own_shell("versions", "topics", "--json").document
    done = own_shell("rollback", "topics", "--reason", "complaints", "--json")
    assert (done.code, done.document["roles"]["production"]) == (0, 1), done.err
    assert done.document["serving"]["arms"][0]["servable"] == before[0]["digest"]
    again = own_shell("rollback", "topics", "--to", "1", "--reason", "twice")
    assert again.code == 1
    assert "Traceback" not in again.err


def test_a_version_that_answers_is_not_replaced_without_a_comparison(own_shell: Shell):
    before = own_shell("versions", "topics", "--json").document
    done = own_shell("rebaseline", "topics", "--reason", "I would rather have the base model", "--base")
    assert done.code == 1
    assert "can be compared with" in done.err
    assert own_shell("versions", "topics", "--json").document == before


def test_bad_data_is_set_aside_and_the_next_good_batch_works(own_shell: Shell):
    broken = own_shell.submit("broken")
    done = own_shell("run", "topics", broken, "--json")
    assert (done.code, done.document["status"], done.document["verdict"]) == (3, "QUARANTINED", None)
    assert Path(own_shell("quarantine", "show", "topics", broken, "--json").document["folder"]).is_dir()
    assert own_shell("run", "topics", own_shell.submit("leaky"), "--json").code in (0, 3)
