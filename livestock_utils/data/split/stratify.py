"""The arithmetic of a split: units into parts of given shares, labels balanced.

Three steps: what each unit holds is binned into yes/no labels; iterative stratification (Sechidis,
Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label Data", ECML PKDD; package
iterative-stratification) spreads the labels; then single units are moved or exchanged while that
brings the counts of images closer to their targets. The last step is what keeps strata level when
units differ in size, and small strata within one image.
"""

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from livestock_utils.core.arrays import Flags, Floats, Places

_CANDIDATES = 500
"""Units a side that one exchange looks at."""
_ROUNDS = 400
"""Upper limit of exchanges; a split of AI Hub's size needs a few dozen."""
_SMALLEST_GAIN = 1e-6
"""Share of the whole error below which an exchange is not worth making."""

Counts = Floats


def assign(
    counts: npt.ArrayLike, shares: npt.ArrayLike, weights: npt.ArrayLike, seed: int
) -> Places:
    """Part 0..p-1 of each of n units, so that every label's sum in a part is near its share.
    `counts` (n, k): how many images of label k a unit holds; column 0 is the number of images.
    `shares` (p,) sums to 1; `weights` (k,): how much a deviation of one image in that label counts
    against one in the others. No part is left without a unit while n >= p. Deterministic in
    `seed`."""
    held, part_shares = np.asarray(counts, dtype=float), np.asarray(shares, dtype=float)
    # Imported here: it brings scikit-learn, a second that readers of tables need not wait for.
    from iterstrat.ml_stratifiers import IterativeStratification

    parts = IterativeStratification(_labels(held), part_shares, np.random.RandomState(seed))
    _fill_empty(parts, held[:, 0], len(part_shares))
    return _level(parts, held, part_shares, np.asarray(weights, dtype=float))


def _labels(counts: Counts) -> Flags:
    """Yes/no labels (n, m): each column holds at least 1, its quartiles, its 95th percentile."""
    columns = []
    for column in counts.T:
        present = column[column > 0]
        if len(present):
            edges = np.quantile(present, [0.25, 0.5, 0.75, 0.95], method="higher")
            columns += [column >= edge for edge in {1.0, *edges}]
    return np.unique(np.stack(columns, axis=1), axis=1)


def _fill_empty(parts: Places, sizes: Counts, n_parts: int) -> None:
    """Give every empty part the smallest unit of the part that has most units (in place)."""
    for part in range(n_parts):
        units = np.bincount(parts, minlength=n_parts)
        if units[part] == 0 and units.max() > 1:
            donors = np.flatnonzero(parts == units.argmax())
            parts[donors[sizes[donors].argmin()]] = part


def _level(parts: Places, counts: Counts, shares: Counts, weights: Counts) -> Places:
    """Exchange units between two parts while the weighted squared deviation falls. All is made
    whole numbers, whose sums are exact: rounded ones differ by processor, and break ties."""
    total = counts.sum(axis=0)
    weights = np.where(total > 0, np.round(weights * 1000), 0.0)
    scale = math.lcm(*(Fraction(share).limit_denominator(1000).denominator for share in shares))
    counts = counts * scale
    sums = np.stack([counts[parts == part].sum(axis=0) for part in range(len(shares))])
    deviation = sums - np.outer(np.round(shares * scale), total)
    own_cost = (counts**2) @ weights
    pairs = [(a, b) for a in range(len(shares)) for b in range(a)]
    for _ in range(_ROUNDS):
        error = float((deviation**2 @ weights).sum())
        # The pair of parts that differ most first; others only when it has nothing left to gain.
        pairs.sort(key=lambda ab: -float((deviation[ab[0]] - deviation[ab[1]]) ** 2 @ weights))
        for a, b in pairs:
            gain, leave_a, leave_b = _best_exchange(
                parts, counts, own_cost, weights, deviation, a, b
            )
            if gain > max(_SMALLEST_GAIN * error, 1e-9):
                for unit, source, target in ((leave_a, a, b), (leave_b, b, a)):
                    if unit is not None:
                        parts[unit] = target
                        deviation[source] -= counts[unit]
                        deviation[target] += counts[unit]
                break
        else:
            break
    return parts


def _best_exchange(
    parts: Places,
    counts: Counts,
    own_cost: Counts,
    weights: Counts,
    deviation: Counts,
    a: int,
    b: int,
) -> tuple[float, int | None, int | None]:
    """(fall of the error, unit that leaves a, unit that leaves b); either unit may be None. With z
    = (what leaves a) - (what leaves b), the error falls by -2 (sum w z^2 + sum w z (deviation_b -
    deviation_a)); multiplied out, so that all pairs of candidates cost one matrix product."""
    pull = counts @ (weights * (deviation[b] - deviation[a]))
    from_a = _cheapest(np.flatnonzero(parts == a), own_cost + pull)
    from_b = _cheapest(np.flatnonzero(parts == b), own_cost - pull)
    # Row and column 0: nothing leaves that side.
    cost = np.zeros((len(from_a) + 1, len(from_b) + 1))
    cost[1:] += (own_cost + pull)[from_a, None]
    cost[:, 1:] += (own_cost - pull)[from_b]
    cost[1:, 1:] -= 2 * (counts[from_a] * weights) @ counts[from_b].T
    # A part keeps at least one unit.
    if len(from_a) == 1:
        cost[1:, 0] = np.inf
    if len(from_b) == 1:
        cost[0, 1:] = np.inf
    i, j = np.unravel_index(int(cost.argmin()), cost.shape)
    return (
        -2 * float(cost[i, j]),
        int(from_a[i - 1]) if i else None,
        int(from_b[j - 1]) if j else None,
    )


def _cheapest(units: Places, cost: Counts) -> Places:
    """The units with the lowest cost, at most _CANDIDATES, ties in the order of the units."""
    if len(units) <= _CANDIDATES:
        return units
    limit = np.partition(cost[units], _CANDIDATES - 1)[_CANDIDATES - 1]
    candidates = units[cost[units] <= limit]
    return candidates[np.argsort(cost[candidates], kind="stable")[:_CANDIDATES]]
