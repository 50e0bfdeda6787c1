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
