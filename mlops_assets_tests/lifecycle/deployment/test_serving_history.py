"""What served when, as the ledger tells it."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path

from mlops_assets.lifecycle.deployment import serving_history
from mlops_assets.lifecycle.deployment.rollout import deploy, promote
from mlops_assets_tests.lifecycle.released import lined_up, opened


def test_what_served_at_a_time_is_known_to_the_millisecond_in_any_zone(tmp_path: Path) -> None:
    platform, line = lined_up(tmp_path, deployment_strategy="canary")
    deploy(platform, line, 2, actor="ann", reason="a try")
    promote(platform, line, actor="ann", reason="fine")
    told = serving_history.history(platform, line)
    zones = [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-12))]
    moments = [datetime.fromisoformat(each.at) for each in told]
    for moment, zone in product(moments, zones):
        last = max(at for at, other in enumerate(moments) if other == moment)
        assert serving_history.served_at(platform, line, moment.astimezone(zone)) == told[last], "from its moment on"
        before = serving_history.served_at(platform, line, (moment - timedelta(milliseconds=1)).astimezone(zone))
        earlier = [each for each, other in zip(told, moments, strict=True) if other < moment]
        assert before == (earlier[-1] if earlier else None), "and not before"
    assert serving_history.served_at(platform, line, datetime.max.replace(tzinfo=UTC)) == told[-1]
    assert serving_history.served_at(platform, line, datetime.min.replace(tzinfo=zones[1])) is None


def test_entries_of_earlier_releases_of_the_platform_are_replayed_by_what_they_name(tmp_path: Path) -> None:
    platform, line = opened(tmp_path)
    old = (
        ("bootstrapped", {"version": 1, "servable": "a"}),
        ("released", {"version": 2, "previous": 1, "servable": "b", "decision": "d", "reasons": ["better"]}),
        ("decided", {"verdict": "APPROVE"}),
        ("released", {"version": 3, "previous": 2, "servable": "c", "decision": "e", "reasons": ["better"]}),
        ("rolled_back", {"from": 3, "to": 2, "reason": "bad", "revision": 4}),
        ("rebaselined", {"version": 4, "replaced": 2, "revision": 5, "reason": "new code"}),
    )
    for number, (kind, body) in enumerate(old):
        platform.ledger.append(kind, line.line, actor="ann", body=body, key=str(number))
    told = serving_history.history(platform, line)
    assert [(each.event, each.production) for each in told] == [
        ("bootstrapped", 1),
        ("released", 2),
        ("released", 3),
        ("rolled_back", 2),
        ("rebaselined", 4),
    ]
    assert serving_history.good_versions(told) == [1, 4], "3 was taken back, and 2 could not be evaluated"
