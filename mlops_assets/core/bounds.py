"""How sure a difference is: bounds, p-value and power from resamples and from what each cluster contributes.

A bootstrap's percentile bounds are too narrow for few clusters, and for gains that many items make a little and a few
lose much; both grow towards the small errors that one look may spend. So a bound's distance from the estimate is the
larger of

- the percentile's, times ``sqrt(G / (G - 1)) * t(1 - alpha, df) / z(1 - alpha)``, the factor that makes the bound of a
  normal mean exact (Hesterberg 2015, section 3.2); and
- Student's, ``(t + s * (2 t^2 + 1) / 6) * error`` with ``t = t(1 - alpha, df)``, where s is the skewness of the
  difference if it is against this bound, else 0: Johnson's second-order term (1978), of which percentiles have a part.
  It is at most what Hall's transformation (1992) gives: of 30 speakers who gain alike but for one who gains nothing, t
  is 12 and s is 1, and Johnson's term alone would be four times the gain.

``df`` is Satterthwaite's for the variance of the clusters' influence values, ``2 G / (kurtosis - 1)``, and at most
G' - 1 with G' = ``sum(w)^2 / sum(w^2)``, Kish's effective number of clusters: it falls when few clusters carry the
difference, be it that one speaker has most of the words, or that only three items changed at all. And where k clusters
moved at all, chance gives them one sign with probability 2^-k: while that is above alpha, 0 stays within the bounds, so
a gain at 0.0025 takes nine speakers, users or items that changed.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from mlops_assets.core.resampling import Floats

POWER = 0.8


@dataclass(frozen=True)
class Difference:
    """An oriented difference, its resamples, and what its clusters' influence values say of its error.

    `skew` is the skewness of the difference's own distribution: that of the influence values, over the root of their
    number. `moved` counts the clusters on which the systems differ at all. No difference is beyond `reach`.
    """

    value: float
    drawn: Floats
    error: float
    df: float
    skew: float
    clusters: int
    moved: int
    reach: float

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound at `alpha`."""
        bound = max(self.value - self._width(alpha, -1), -self.reach)
        return bound if self._beyond_luck(alpha) else min(bound, 0.0)

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound at `alpha`."""
        bound = min(self.value + self._width(alpha, 1), self.reach)
        return bound if self._beyond_luck(alpha) else max(bound, 0.0)

    def harm(self) -> float:
        """Return the one-sided p-value against 'not worse': Student's t, with Hall's transformation against skewness.

        Hall 1992 (J. R. Statist. Soc. B 54, 221), a monotone form of the term that widens `upper`. 1: equal systems.
        """
        if self.error == 0:
            return 1.0 if self.value >= 0 else 0.5**self.moved
        t, skew = self.value / self.error, max(self.skew, 0.0)
        t += skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6
        return max(float(stdtr(self.df, t)), 0.5**self.moved)

    def detectable(self, alpha: float) -> float | None:
        """Return the true gain whose lower bound is above 0 with 80 % power; None where nothing varies.

        The width of a bound is itself uncertain by ``1 / sqrt(2 df)`` of it: noncentral t (Johnson & Welch 1940).
        """
        if self.error == 0:
            return None
        width = self._width(alpha, -1)
        return width + float(ndtri(POWER) * np.hypot(self.error, width / np.sqrt(2 * self.df)))

    def _width(self, alpha: float, side: int) -> float:
        """Return how far the bound of one side (-1: lower, 1: upper) lies from the value."""
        t = float(stdtrit(self.df, 1 - alpha))
        distance = side * (float(np.quantile(self.drawn, alpha if side < 0 else 1 - alpha)) - self.value)
        percentile = np.sqrt(self.clusters / (self.clusters - 1)) * t / ndtri(1 - alpha) * distance
        return float(max(percentile, _skewed(t, max(side * self.skew, 0.0)) * self.error))

    def _beyond_luck(self, alpha: float) -> bool:
        """Say whether chance gives all clusters that moved one sign at most as often as alpha; else 0 is in bounds."""
        return 0.5**self.moved <= alpha


def difference(value: float, drawn: Floats, influence: Floats, weight: Floats, moved: int, reach: float) -> Difference:
    """Put a difference together from oriented resamples and influence; resamples without weight (NaN) are left out."""
    count = len(influence)
    if count < 2:
        return Difference(float(value), drawn, 0.0, 0.0, 0.0, count, moved, reach)
    drawn = drawn[np.isfinite(drawn)]
    return Difference(
        value=float(value),
        drawn=drawn,
        error=float(np.sqrt(count / (count - 1)) * drawn.std()),
        df=degrees_of_freedom(influence, weight),
        skew=_skewness(influence),
        clusters=count,
        moved=moved,
        reach=reach,
    )


def _skewness(influence: Floats) -> float:
    """Return the skewness of a sum of influence values, 0 where they do not vary."""
    variance = np.sum(influence**2)
    return float(np.sum(influence**3) / variance**1.5) if variance > 0 else 0.0


def _skewed(t: float, skew: float) -> float:
    """Return how many errors away a bound lies that `skew` (0 or more) is against: t and Johnson's term, up to Hall's.

    Johnson's term is the beginning of a series, and means nothing where `skew * t` is large. Hall's transformation is
    the other end: where it puts p at alpha.
    """
    if skew == 0:
        return t
    johnson = t + skew * (2 * t**2 + 1) / 6
    hall = 3 / skew * (1 - float(np.cbrt(1 - skew * (t + skew / 6))))
    return max(t, min(johnson, hall))


def degrees_of_freedom(influence: Floats, weight: Floats) -> float:
    """Return Satterthwaite's degrees of freedom of the variance of influence values, in 1..G' - 1."""
    count = len(influence)
    most = max(1.0, weight.sum() ** 2 / np.sum(weight**2) - 1)
    centred = influence - influence.mean()
    variance = np.mean(centred**2)
    if variance == 0:
        return float(most)
    excess = np.mean((centred**2 / variance) ** 2) - 1
    return float(max(1.0, min(most, 2 * count / excess if excess > 0 else np.inf)))
