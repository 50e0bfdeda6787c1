"""Bootstrap resamples of clusters (Bisani & Ney 2004; Liu & Peng 2020): as many as there are, with replacement.

Clusters with equal sums are one cell, and a resample is a multinomial count over the cells: the same distribution as
index gathering, and far less work.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ITEMS_PER_CELL = 16
CHUNK = 1 << 19  # counts of a chunk stay in the cache: twice as fast as 32 MB of them


def resample_sums(cells: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Return the column sums of bootstrap resamples of the rows: (rows, columns) in, (resamples, columns) out.

    Equal rows are drawn as one multinomial cell where that is cheaper than drawing rows one by one.
    """
    ordered = cells[np.lexsort(cells.T)]
    first = np.concatenate([[True], np.any(ordered[1:] != ordered[:-1], axis=1)])
    distinct, total = ordered[first], len(ordered)
    as_cells = len(distinct) * ITEMS_PER_CELL <= total
    table = distinct if as_cells else ordered
    counts = np.diff(np.append(np.flatnonzero(first), total)) if as_cells else np.ones(total)
    chunk = max(1, CHUNK // len(table))
    parts = []
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        if as_cells:
            drawn = rng.multinomial(total, counts / total, size=size)
        else:
            drawn = rng.integers(0, total, (size, total)) + np.arange(size)[:, None] * total
            drawn = np.bincount(drawn.ravel(), minlength=size * total).reshape(size, total)
        parts.append(drawn.astype(np.float64) @ table)
    return np.concatenate(parts)
