from pathlib import Path

from mlops_assets_tests.cli.conftest import Shell


def test_a_question_is_shown_with_what_would_have_to_be_true_and_its_page(shell: Shell) -> None:
    (waiting,) = shell("reviews", "list", "--json").document
    assert (waiting["open"], waiting["reminders"]) == (True, 0)
    shown = shell("reviews", "show", waiting["decision_id"][:10])
    assert shown.code == 0, shown.err
    assert "To approve, this would have to be true:\n- " in shown.out
    assert "hours ago, 0 reminders" in shown.out
    assert f"mlops reviews approve|reject {waiting['decision_id'][:12]} --reason TEXT" in shown.out
    page = next(line.removeprefix("page: ") for line in shown.out.splitlines() if line.startswith("page: "))
    assert "HUMAN_REVIEW" in Path(page).read_text()


def test_an_approval_during_a_rollout_says_what_it_waits_for(own_shell: Shell) -> None:
    assert own_shell("deploy", "topics", "1", "--strategy", "canary", "--reason", "compare").code == 0
    question = own_shell("reviews", "list", "--json").document[0]
    answer = ("reviews", "approve", question["decision_id"], "--reason", "fine", "--reviewer", "grace")
    approved = own_shell(*answer)
    assert approved.code == 1
    assert "Version 1 of topics is being rolled out to 10% of users." in approved.err
    assert f"next: mlops run topics {question['batch_id']}, once nothing hinders" in " ".join(approved.err.split())
    assert own_shell("rollback", "topics", "--reason", "seen enough").code == 0
    released = own_shell("run", "topics", question["batch_id"], "--json")
    assert (released.code, released.document["version"]) == (0, 3), released.err


def test_an_answer_needs_a_reason_and_closes_the_question(own_shell: Shell) -> None:
    decision = own_shell("reviews", "list", "--json").document[0]["decision_id"]
    refused = own_shell("reviews", "approve", decision[:10], "--reason", " ", "--reviewer", "grace")
    assert refused.code == 1
    assert "An answer needs a reason" in refused.err
    rejected = own_shell("reviews", "reject", decision[:10], "--reason", "too few", "--reviewer", "grace", "--json")
    assert (rejected.code, rejected.document["status"]) == (3, "QUARANTINED"), rejected.err
    (answered,) = own_shell("reviews", "list", "--all", "--json").document
    assert not answered["open"]
    assert "grace rejected it" in answered["closed"]
    assert own_shell("reviews", "remind", "--json").document == {"reminded": [], "expired": []}
