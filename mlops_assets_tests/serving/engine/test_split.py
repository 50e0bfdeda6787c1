"""Which users a rollout reaches."""

import math

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.engine.split import position

USERS = [f"user{at}" for at in range(2_000)]
LINES, VERSIONS = st.sampled_from(["speech", "intent"]), st.integers(1, 10_000)


@given(LINES, VERSIONS, st.text(max_size=50))
def test_a_user_has_one_place_in_a_rollout(line: str, version: int, user: str) -> None:
    assert 0 <= position(line, version, user) < 1
    assert position(line, version, user) == position(line, version, user)


@given(VERSIONS, st.sampled_from([0.01, 0.1, 0.25, 0.5]))
def test_a_rollout_reaches_its_share_of_the_users(version: int, share: float) -> None:
    reached = sum(position("intent", version, user) < share for user in USERS)
    # Six standard deviations: by chance in one of 500 million.
    assert abs(reached - share * len(USERS)) <= 6 * math.sqrt(len(USERS) * share * (1 - share))


@given(VERSIONS, st.floats(0, 1), st.floats(0, 1))
def test_who_is_on_a_canary_stays_on_it_when_it_grows(version: int, one: float, other: float) -> None:
    small, large = sorted((one, other))
    on_small = {user for user in USERS[:300] if position("intent", version, user) < small}
    assert on_small <= {user for user in USERS[:300] if position("intent", version, user) < large}


@given(VERSIONS, VERSIONS)
def test_another_rollout_reaches_others(version: int, step: int) -> None:
    both = sum(
        position("intent", version, user) < 0.1 and position("intent", version + step, user) < 0.1 for user in USERS
    )
    assert abs(both - 0.01 * len(USERS)) <= 6 * math.sqrt(len(USERS) * 0.01 * 0.99)
