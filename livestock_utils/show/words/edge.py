"""Verdicts of notebook 13: exports as good as the weights, what they cost, which ones pay."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from livestock_utils.detect.export import cost, latency
from livestock_utils.detect.export.lighter import FASTER
from livestock_utils.detect.export.parity import MAX_DROP

TO_PAY = (
    f"Lighter networks after equal epochs, against the plain one. To pay is to be {FASTER:g} x as "
    f"fast in every process at no more than {MAX_DROP:g} AP75 less, or significantly better at the "
    "same speed."
)


def forms(
    table: pd.DataFrame, chosen: Mapping[str, Any] | None, max_latency_ms: float, max_size_mb: float
) -> pd.DataFrame:
    """The five columns that decide, a row each form: its name, MB, ms, AP75, verdict."""
    rows = []
    for row in table[table["whole_ms"].notna()].to_dict("records"):
        score, verdict = f"{row['AP75']:.3f}", "fits"
        if row["export"] != "pytorch":
            score += f" ({row['difference']:+.3f}: {row['low']:+.3f} to {row['high']:+.3f})"
        if row["red"]:
            verdict = f"red: more than {MAX_DROP:g} AP75 lost"
        elif row["size_mb"] > max_size_mb or row["whole_ms"] > max_latency_ms:
            verdict = "over the budget"
        elif chosen and all(row[key] == chosen[key] for key in ("export", "image_size")):
            verdict = "recommended"
        name = f"{row['export']}, {row['image_size']} px"
        rows.append((name, row["size_mb"], row["whole_ms"], score, verdict))
    columns = ["form", "MB", "ms whole", "AP75 (difference: 95 %)", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def budgets(table: pd.DataFrame, max_latency_ms: float, max_size_mb: float) -> str:
    """How many forms keep both budgets."""
    timed = table[table["whole_ms"].notna()]
    kept = (timed["whole_ms"] <= max_latency_ms) & (timed["size_mb"] <= max_size_mb)
    return (
        f"{kept.sum()} of {len(timed)} forms keep the budgets of {max_latency_ms:g} ms from "
        f"letterbox to boxes and {max_size_mb:g} MB per file, the red ones too if they are in it."
    )


def noise(table: pd.DataFrame) -> str:
    """A warning where the timing was disturbed: wide percentiles, two speeds; else empty."""
    timed = table[table["latency_ms"].notna()]
    wide = timed[timed["p95_ms"] > cost.NOISY * timed["latency_ms"]]
    told = [
        f"{row['export']} at {row['image_size']} px (95th percentile "
        f"{row['p95_ms'] / row['latency_ms']:.1f} x the median)"
        for row in wide.to_dict("records")
    ]
    for size, rows in timed[timed["export"].isin(["onnx", "onnx-static"])].groupby("image_size"):
        slow, fast = rows["latency_ms"].max(), rows["latency_ms"].min()
        if slow > cost.UNEQUAL * fast:
            told.append(
                f"onnx and onnx-static at {size} px, the same network at {fast:.0f} and {slow:.0f} "
                "ms"
            )
    if not told:
        return ""
    return (
        f"**The machine was busy while this was timed:** {'; '.join(told)}. Repeat on a quiet one "
        "before deciding."
    )


def parity_verdict(table: pd.DataFrame) -> str:
    """Which exports are as good as the weights and which are not."""
    scored = table[(table["export"] != "pytorch") & table["AP75"].notna()]
    if scored.empty:
        return "No export was made, so there is nothing to compare."
    red = scored[scored["red"]]
    equal = scored[scored["equal_share"] >= 0.99]
    parts = [f"{len(equal)} of {len(scored)} exports match the original weights"]
    if len(red):
        names = sorted({f"{row.export} at {row.image_size} px" for row in red.itertuples()})
        parts.append(f"red, a drop above {MAX_DROP:g} AP75: {', '.join(names)}")
    else:
        parts.append(f"none falls by more than {MAX_DROP:g} AP75")
    if moved := sorted(set(scored["export"]) - set(equal["export"]) - set(red["export"])):
        parts.append(f"single boxes differ, at no such drop: {', '.join(moved)}")
    bordered = scored[scored["border_difference"].notna()]
    if len(bordered):
        parts.append(
            f"the wider borders of a file of one shape ({', '.join(bordered['export'].unique())}) "
            f"alone move the weights by {bordered['border_difference'].min():+.3f}; on the same "
            f"borders {bordered['border_equal_share'].min() * 100:.4g} % of the boxes are equal"
        )
    return "; ".join(parts) + "."


def lighter(table: pd.DataFrame) -> str:
    """Which lighter models pay: FASTER in every process at a level AP75, or better."""
    if table.empty:
        return (
            "Lighter networks were not trained in this run: set `lighter` (four trainings of "
            "`lighter_epochs`) and install the extra `lighter`."
        )
    plain, others = table.iloc[0], table.iloc[1:]
    if others.empty:
        return "Only the plain model was trained, so there is nothing to compare."
    parts = []
    for row in others.to_dict("records"):
        proof = "" if row["low"] > 0 or row["high"] < 0 else " (within noise)"
        is_faster = row["speed_low"] >= FASTER and row["difference"] >= -MAX_DROP
        pays = is_faster or (row["speed"] >= 1 and row["low"] > 0)
        speeds = f"{row['speed']:.2f} x as fast"
        if row["speed_low"] != row["speed_high"]:
            between = f"{row['speed_low']:.2f} to {row['speed_high']:.2f}"
            speeds += f" (in {latency.PROCESSES} processes {between})"
        parts.append(
            f"{row['model']} {'pays' if pays else 'does not pay'}: {row['difference']:+.3f} "
            f"AP75{proof}, {speeds}, {row['size_mb'] / plain['size_mb']:.0%} of the size"
        )
    return f"Against the plain model at equal epochs: {'; '.join(parts)}."
