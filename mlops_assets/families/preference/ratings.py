"""Usable ratings: which of them are copies, which contradict one another, and which a machine may have given."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from mlops_assets.core.digests import canonical_json, sha256_bytes
from mlops_assets.core.records.data import Finding, Origin
from mlops_assets.families.preference.findings import finding


@dataclass(frozen=True)
class Rating:
    """A usable rating; `user` is a pseudonym, `features` what else a predictor sees, `when` in whole seconds."""

    place: str
    user: str | None
    features: Mapping[str, str | float | None]
    value: float
    when: datetime | None
    result: str
    origin: Origin
    cohort: str
    occurrence: int = 0

    @property
    def told_apart(self) -> bool:
        """Whether another rating like this one would be a copy of it: it has a time, or names its result."""
        return self.when is not None or bool(self.result)

    @cached_property
    def said(self) -> str:
        """Digest of everything that tells a rating from others."""
        return self._digest(self._who, self._shown, self._time, self._what, self._value)

    @cached_property
    def asked(self) -> str:
        """Digest of what was rated by whom: it has one rating."""
        return self._digest(self._who, self._what) if self.result else self._digest(self._who, self._shown, self._time)

    def fingerprints(self) -> dict[str, str]:
        """Return what a copy can be known by: all of it, or with another rating, user or time of day, or without time.

        A rating without user, time and result is like many others and is known by nothing.
        """
        found = {"event": self.said} if self.user or self.told_apart else {}
        if self.when:
            found["asked"] = self._digest(self._who, self._shown, self._time)
            found["moment"] = self._digest(self._shown, self._time, self._value)
            if self.user:
                found["day"] = self._digest(self._who, self._shown, f"{self.when:%Y-%m-%d}", self._value)
        return found | ({"said": self._digest(self._who, self._shown, self._value)} if self.user else {})

    @cached_property
    def _shown(self) -> str:
        return canonical_json(dict(self.features))

    @property
    def _who(self) -> str:
        return self.user or ""

    @property
    def _what(self) -> str:
        return canonical_json(self.result)

    @property
    def _time(self) -> str:
        return self.when.isoformat() if self.when else ""

    @property
    def _value(self) -> str:
        return f"{self.value:g}"

    @staticmethod
    def _digest(*parts: str) -> str:
        return sha256_bytes("\n".join(parts).encode())


def distinct(ratings: Iterable[Rating]) -> tuple[list[Rating], list[Finding]]:
    """Drop copies, and of contradicting ratings all but the latest (all of them, where times do not tell).

    Ratings that cannot be told from others like them (no time, no result) are all kept, and numbered. Without a user,
    two ratings of one result are two people's. What is kept is in an order of its own, whatever the batch's was.
    """
    findings: list[Finding] = []
    copies: Counter[str] = Counter()
    groups: dict[str, list[Rating]] = {}
    kept: dict[str, Rating] = {}
    for rating in ratings:
        said = rating.said
        copies[said] += 1
        if not rating.told_apart:
            kept[f"{said}-{copies[said]:09}"] = replace(rating, occurrence=copies[said] - 1)
        elif copies[said] > 1:
            findings.append(finding("PRF014", rating.place))
        elif rating.user is None:
            kept[said] = rating
        else:
            groups.setdefault(rating.asked, []).append(rating)
    for group in groups.values():
        latest = _latest(group)
        kept |= {latest.said: latest} if latest else {}
        others = [each for each in group if each is not latest]
        findings += (finding("PRF015", each.place, f"{len(group)} ratings") for each in others)
    return [kept[said] for said in sorted(kept)], findings


def _latest(group: Sequence[Rating]) -> Rating | None:
    if len(group) == 1:
        return group[0]
    times = [each.when for each in group if each.when]
    if len(set(times)) < len(group):
        return None
    return max(group, key=lambda each: str(each.when))


def constant_raters(ratings: Iterable[Rating], least: int) -> dict[str, int]:
    """Return the users who gave `least` ratings or more, all of them equal, with how many."""
    given: dict[str, Counter[float]] = {}
    for rating in ratings:
        if rating.user:
            given.setdefault(rating.user, Counter())[rating.value] += 1
    return {user: sum(by.values()) for user, by in given.items() if len(by) == 1 and sum(by.values()) >= least}
