"""Records are frozen, canonical, and refuse what they do not know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.core.records import __doc__ as chain
from mlops_assets.core.records.chain import ASSETS
from mlops_assets.core.records.data import Finding, Item
from mlops_assets.core.records.outcome import Quarantined
from mlops_assets.core.records.training import CurvePoint


@given(
    st.builds(
        Item,
        id=st.text(min_size=1),
        target=st.text(),
        cluster=st.text(),
        slices=st.lists(st.text(), max_size=3).map(tuple),
        attributes=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    )
)
def test_a_record_survives_its_text(item: Item):
    again = Item.parse(item.canonical_json())
    assert again == item
    assert again.digest == item.digest


def test_a_record_is_frozen():
    finding = Finding(code="SPC003", title="silent audio", severity="drop")
    with pytest.raises(ValidationError):
        finding.code = "SPC004"  # type: ignore[misc]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_an_error_and_not_a_record(value: float):
    with pytest.raises(ValidationError):
        CurvePoint(step=1, loss=value)


def test_unknown_keys_are_errors():
    with pytest.raises(ValidationError, match="colour"):
        Finding.model_validate({"code": "X", "title": "x", "severity": "drop", "colour": "red"})


def test_every_asset_has_a_record_and_the_documentation_names_it():
    assert Quarantined in ASSETS.values()
    assert chain
    assert all(name in chain for name in ASSETS)
