"""Answer a review in a process of its own: `python -m ... HOME DECISION REVIEWER yes|no`."""

import sys
from pathlib import Path

from mlops_assets.core.records.decision import ReviewAnswer
from mlops_assets.lifecycle.decide import answer
from mlops_assets_tests.lifecycle.decide.evaluated import open_platform

if __name__ == "__main__":
    home, decision, reviewer, approve = sys.argv[1:]
    given = ReviewAnswer(
        approve=approve == "yes", reviewer=reviewer, reason="heard it", answered_at="2026-01-01T00:00:00+00:00"
    )
    print(answer(open_platform(Path(home)), decision, given).verdict)  # noqa: T201
