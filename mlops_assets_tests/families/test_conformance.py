"""Every family on disk through every check; see `conformance`."""

from collections.abc import Callable

import pytest

from mlops_assets_tests.families.conformance import CHECKS, cases, hold_to, missing, names
from mlops_assets_tests.families.conformance.prepared import Prepared

_prepared: dict[str, Prepared] = {}


@pytest.fixture
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The family, worked up once for all its checks."""
    name = request.getfixturevalue("name")
    if name not in _prepared:
        _prepared[name] = Prepared(name, tmp_path_factory.mktemp(name))
    return _prepared[name]


@pytest.mark.parametrize(("name", "check"), cases())
def test_family(name: str, check: Callable[[Prepared], None], prepared: Prepared) -> None:
    if absent := missing(prepared.example):
        pytest.skip(f"{name} needs {', '.join(absent)}")
    if reason := prepared.example.exempt.get(check.__name__):
        pytest.skip(reason)
    hold_to(check, prepared)


@pytest.mark.parametrize("name", names())
def test_exemptions_name_checks_and_give_reasons(name: str, prepared: Prepared) -> None:
    exempt = prepared.example.exempt
    assert set(exempt) <= {check.__name__ for check in CHECKS}
    assert all(len(reason.split()) > 3 for reason in exempt.values())


def test_every_check_says_what_it_asks_for() -> None:
    assert [check.__name__ for check in CHECKS if not check.__doc__] == []
