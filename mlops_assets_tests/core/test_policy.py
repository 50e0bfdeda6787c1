"""A policy is data: typed, explained, and known by its digest."""

import pytest
from pydantic import BaseModel, ValidationError

from mlops_assets.core.policy import Margin, Policy, TradeOff

POLICY = Policy(primary=Margin(metric="wer", margin=0.003))


def test_every_number_has_a_meaning():
    def explained(model: type[BaseModel]) -> None:
        for name, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                explained(kind)
            else:
                assert field.description, f"{model.__name__}.{name}"

    explained(Policy)


def test_another_number_is_another_policy():
    assert POLICY.digest == Policy.model_validate_json(POLICY.model_dump_json()).digest
    assert POLICY.digest != POLICY.model_copy(update={"alpha": 0.01}).digest


@pytest.mark.parametrize(
    "change", [{"alpha": 0.7}, {"resamples": 10}, {"bootstrap": "yes"}, {"margin": 0.1}, {"critical_margin": -1}]
)
def test_what_cannot_be_meant_is_refused(change: dict[str, object]):
    with pytest.raises(ValidationError):
        Policy.model_validate(POLICY.model_dump() | change)


def test_the_defaults_of_source_003_are_its_own():
    gates = POLICY.gates
    assert (gates.min_wer_improvement, gates.require_significance) == (0.0, True)
    assert (gates.max_degraded_share, gates.critical_degradation_threshold) == (0.1, 0.1)


def test_metrics_that_could_each_justify_an_approval_share_what_a_look_may_spend():
    business = (Margin(metric="cer", margin=0.002), Margin(metric="wer", margin=0.003))
    trades = (TradeOff(metric="cer", gain=0.01, loss=0.01), TradeOff(metric="latency", gain=0.1, loss=0.01))
    for changes, claims in (({}, 1), ({"business": business}, 2), ({"analyst_may_approve_within": trades}, 3)):
        policy = POLICY.model_copy(update=changes)
        assert policy.gain_alpha("golden", sealed=False) == pytest.approx(0.05 / 20 / claims)
        assert policy.gain_alpha("sealed", sealed=True) == pytest.approx(0.05 / 5 / claims)
        assert policy.gain_alpha("golden", sealed=True) == 0.05
        assert policy.gain_alpha("critical", sealed=False) is None
