"""What an error analysis says: parts, costs, groups, calibration, worst cases."""

import pandas as pd

from livestock_utils.core.text import first_up, listed, percent
from livestock_utils.evaluate.errors.breakdowns import GROUPINGS


def groups(gaps: pd.DataFrame, good: str, least: int = 20) -> str:
    """The grouping with the clearest difference, and its weakest and strongest group."""
    if gaps.empty or gaps["gap"].max() <= 0:
        return f"No grouping tells boxes apart: there are too few groups of at least {least}."
    row = gaps.iloc[0]
    text = (
        f"{percent(1 - row['weakest_share'])} not {good} where it is “{row['weakest']}” (n = "
        f"{row['weakest_n']:,}) against {percent(1 - row['strongest_share'])} where it is "
        f"“{row['strongest']}” (n = {row['strongest_n']:,}), {row['gap'] * 100:.0f} points apart "
        f"(95 % interval {row['gap_low'] * 100:.0f} to {row['gap_high'] * 100:.0f})"
    )
    clearest = "The clearest difference is"
    if row["gap_low"] <= 0:
        clearest = "No difference between groups is significant; the nearest to it is"
    return f"{clearest} by {GROUPINGS[row['grouping']]}: {text}."


def calibration(table: pd.DataFrame) -> str:
    """Whether the confidences of each species are too high or too low, and by how much."""
    said = []
    for name, row in table.drop_duplicates("species").set_index("species").iterrows():
        error, lean = row["error"], row["lean"]
        # Where the signed mean is much the smaller, bins that promise too much cancel others.
        if abs(lean) < error / 2:
            said.append(
                f"{name} confidences are too high in some bins and too low in others, "
                f"{error * 100:.1f} points on average"
            )
        else:
            way = "high" if lean > 0 else "low"
            said.append(
                f"{name} confidences are {abs(lean) * 100:.1f} points too {way} on average "
                f"(expected calibration error {error:.3f})"
            )
    return f"{first_up('; '.join(said) or 'there are no detections')}."


def worst(cases: pd.DataFrame, what: str) -> str:
    """How many cases there are in all, of which species, and where known on what they lie."""
    total = cases.attrs.get("total", {})
    number = sum(total.values())
    if not number or cases.empty:
        return f"There are no {what}: nothing to show."
    species = listed([f"{each:,} {name}" for name, each in total.items()])
    text = f"{what.capitalize()}: {number:,} in all ({species}), the worst {len(cases):,} shown"
    if "unlabelled" in cases.attrs:
        text += (
            f". By the truth **{cases.attrs['unlabelled']:,} of the {number:,}** lie on an animal "
            "that nobody labelled: the label is at fault, not the model"
        )
    return f"{text}."
