"""Rollouts as a person drives them: from the command line, with a line whose strategy is canary."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from mlops_assets.core.line import Release
from mlops_assets_tests.cli.conftest import Shell
from mlops_assets_tests.components.conftest import declare
from mlops_assets_tests.lines import baseline_line


def test_a_person_takes_a_version_to_all_users_and_asks_what_served_when(own_shell: Shell) -> None:
    shell = own_shell
    release = Release(deployment_strategy="canary", canary_percentage=0.2, further_steps=(0.6,))
    declare(shell.folder / "lines", baseline_line(Path(shell.folder), release=release))
    began = shell("deploy", "topics", "1", "--reason", "compare with the base", MLOPS_ACTOR="ann")
    assert began.code == 0, began.err
    assert "v1 of topics answers 20% of users, v2 the others" in began.out
    assert "without one it stays. By hand: mlops advance|promote|rollback topics" in began.out
    advanced = shell("advance", "topics", "--reason", "fine", "--json").document
    assert (advanced["shares"], advanced["rollout"]["step"]) == ({"1": 0.6, "2": 0.4}, 1)
    rows = {row["version"]: row for row in shell("versions", "topics", "--json").document}
    assert (rows[1]["roles"], rows[1]["share"], rows[1]["state"]) == (["canary", "previous"], 0.6, "rolling out")
    assert (rows[2]["roles"], rows[2]["share"], rows[2]["state"]) == (["production"], 0.4, "serving")
    assert shell("promote", "topics", "--reason", "better", "--json").document["shares"] == {"1": 1.0}
    served = shell("served", "topics", "--json").document["served"]
    assert [each["event"] for each in served] == ["bootstrapped", "released", "deployed", "advanced", "promoted"]
    time = datetime.fromisoformat(served[2]["at"]).astimezone(timezone(timedelta(hours=-7))).isoformat()
    (then,) = shell("served", "topics", "--at", time, "--json").document["served"]
    assert (then["actor"], then["reason"]) == ("ann", "compare with the base")
    assert [(arm["role"], arm["version"], arm["share"]) for arm in then["arms"]] == [
        ("production", 2, 0.8),
        ("canary", 1, 0.2),
    ]
    assert then["arms"][0]["batch_id"] in shell("served", "topics").out
    early = shell("served", "topics", "--at", "2020-01-01")
    assert (early.code, "served nothing at 2020-01-01" in early.err) == (1, True)
    wrong = shell("deploy", "topics", "2", "--strategy", "yolo", "--reason", "x")
    assert (wrong.code, "replace, blue_green, canary" in wrong.err) == (2, True)
