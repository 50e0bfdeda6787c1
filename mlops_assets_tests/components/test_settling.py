"""How often a batch is judged anew because production moved."""

from pathlib import Path

from mlops_assets.components.settling import JUDGEMENTS_PER_BATCH, judge_again
from mlops_assets.lifecycle import decide
from mlops_assets.lifecycle.deployment.rollout import deploy
from mlops_assets_tests.lifecycle.chain import YES, judge, open_light_line, run, submit


def test_a_judgement_that_a_person_answered_is_one_judgement(tmp_path: Path) -> None:
    platform, line = open_light_line(tmp_path)
    run(platform, line, submit(platform, line, "good"))
    served = platform.versions.get(line.line, 2)
    batch = submit(platform, line, "small")
    for judgement in range(1, JUDGEMENTS_PER_BATCH + 1):
        decision = judge(platform, line, batch)
        assert decision.pending
        decide.answer(platform, decision.decision_id, YES)
        assert judge_again(platform, line, batch) == (judgement < JUDGEMENTS_PER_BATCH)
        same = platform.versions.add(
            line.line,
            servable=served.servable,
            model=served.model,
            batch_id=None,
            decision_id=f"again-{judgement}",
            parent_version=2,
        )
        deploy(platform, line, same.version, strategy="replace", actor="ann", reason="another one")
