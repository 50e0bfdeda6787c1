"""Keys and the ledger: whoever gave or took one is told there, whatever stood in the way the first time."""

from dataclasses import replace
from typing import Any

import pytest

from mlops_assets.core.errors import NotFound, Unavailable
from mlops_assets.core.ports.accountability import Ledger
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.keys import EVERY_LINE, issue, revoke


class FullAtFirst:
    """A ledger whose disk has no room for the first entry."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._full = True

    def append(self, *given: Any, **named: Any) -> Any:
        if self._full:
            self._full = False
            raise Unavailable("No room.")
        return self._ledger.append(*given, **named)

    def entries(self, *given: Any, **named: Any) -> Any:
        return self._ledger.entries(*given, **named)

    def verify(self) -> list[str]:
        return self._ledger.verify()


def test_a_revocation_that_did_not_reach_the_ledger_is_written_when_it_is_asked_for_again(platform: Platform) -> None:
    issue(platform, "shop", "viewer", days=None, actor="ann")
    cut_off = replace(platform, ledger=FullAtFirst(platform.ledger))
    with pytest.raises(Unavailable):
        revoke(cut_off, "shop", actor="ann")
    assert all(key.revoked_at for key in platform.keys.list()), "it is worthless all the same"
    assert revoke(platform, "shop", actor="bob").name == "shop"
    (entry,) = platform.ledger.entries(EVERY_LINE, "key_revoked")
    assert (entry.actor, entry.body["name"]) == ("bob", "shop")
    with pytest.raises(NotFound, match="shop has no key"):
        revoke(platform, "shop", actor="eve")
    issue(platform, "shop", "viewer", days=None, actor="ann")
    assert revoke(platform, "shop", actor="ann").revoked_at
    assert len(platform.ledger.entries(EVERY_LINE, "key_revoked")) == 2
