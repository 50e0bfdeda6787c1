import pytest

from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.versions import SqlVersions
from mlops_assets.core.errors import NotFound, Stale
from mlops_assets.core.ports.releases import Pointer
from mlops_assets_tests.adapters.processes import race

MOVE = """
import sys
from mlops_assets.adapters.database.engine import Database
from mlops_assets.adapters.database.versions import SqlVersions
from mlops_assets.core.errors import Stale
versions = SqlVersions(Database(sys.argv[1]))
expected = versions.pointer("speech")
print("ready", flush=True)
sys.stdin.readline()
try:
    print(versions.move("speech", expected, {"production": int(sys.argv[2])}).revision)
except Stale:
    print("stale")
"""


def add(versions: SqlVersions, decision_id: str | None, line: str = "speech", servable: str = "s"):
    return versions.add(line, servable=servable, model="m", batch_id="b", decision_id=decision_id, parent_version=None)


def test_one_version_per_decision(database: Database) -> None:
    versions = SqlVersions(database)
    base = add(versions, None)
    assert add(versions, None) == base
    first = add(versions, "d1")
    assert add(versions, "d1") == first
    assert add(versions, "d1", line="other").version == 1
    assert [version.version for version in versions.list("speech")] == [1, 2]
    assert versions.get("speech", 2) == first
    with pytest.raises(NotFound, match="1, 2"):
        versions.get("speech", 3)


def test_roles_move_by_compare_and_set(database: Database) -> None:
    versions = SqlVersions(database)
    start = versions.pointer("speech")
    assert start == Pointer(line="speech", revision=0, roles={})
    add(versions, "d1")
    add(versions, "d2")
    one = versions.move("speech", start, {"production": 1})
    two = versions.move("speech", one, {"production": 2, "previous": 1})
    assert versions.pointer("speech") == two
    assert two.revision == 2
    for expected in (start, one, two.model_copy(update={"roles": {}})):
        with pytest.raises(Stale, match="previous 1, production 2"):
            versions.move("speech", expected, {"production": 1})
    with pytest.raises(NotFound, match="version 7"):
        versions.move("speech", two, {"production": 7})
    assert versions.pointer("speech") == two


@pytest.mark.parametrize("revision", [0, 1])
def test_of_two_movers_one_is_stale(database: Database, revision: int) -> None:
    versions = SqlVersions(database)
    add(versions, "d1")
    add(versions, "d2")
    if revision:
        versions.move("speech", versions.pointer("speech"), {"production": 1})
    said = race(MOVE, [[database.url, "1"], [database.url, "2"]])
    assert sorted(said) == [f"{revision + 1}\n", "stale\n"]
    assert versions.pointer("speech").revision == revision + 1
