"""One look for every figure: fonts, grid, sizes, labels on the data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from livestock_utils.core import species as species_settings

WIDTH_IN = 8.0
"""Width of a figure: what a notebook column and a printed page both hold without scaling."""

INK, MUTED, FAINT = "#222222", "#6B6B6B", "#DADADA"
"""Text, secondary text and grid lines; MUTED keeps a contrast above 4.5 on white (WCAG AA)."""

NEUTRAL, ALARM = "#8C8C8C", "#882255"
"""Marks that belong to no species, and what a reader should notice."""

LINES = ("#332288", "#117733", "#AA4499", "#999933", "#44AA99", "#882255")
"""Colours of lines for runs or metrics, never species (Paul Tol's "muted")."""

DASHES = ((0, ()), (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)))

_FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
)
"""Fonts in order of fall-back: matplotlib's own, then those that hold Korean."""

PERCENT = tuple(PercentFormatter(1, decimals=decimals, symbol=" %") for decimals in range(3))
"""Axis formats for shares in [0, 1], by decimals: 70 %, 2.5 %, 0.25 %."""

_GAP_POINTS = 11
"""Between the names at the ends of lines."""

PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.2}
"""The ground under a label that would else stand on grid lines."""


def theme() -> None:
    """Set matplotlib's defaults to the project's look; once per notebook."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    plt.rcParams.update(
        {
            "figure.figsize": (WIDTH_IN, 3.6),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "font.family": [name for name in _FONTS if name in known] or ["sans-serif"],
            "font.size": 10,
            "text.color": INK,
            "axes.facecolor": "white",
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.labelsize": 10,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": False,
            "axes.prop_cycle": plt.cycler(color=LINES),
            "grid.color": FAINT,
            "grid.linewidth": 0.8,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.8,
            "image.cmap": "cividis",
            "svg.hashsalt": "livestock_utils",
        }
    )


def axes_or_new(ax: Axes | None, height_in: float) -> Axes:
    """`ax` itself, or the single axes of a new figure of the given height in inches."""
    return grid_of_axes(1, 1, height_in)[0, 0] if ax is None else ax


def grid_of_axes(rows: int, columns: int, height_in: float, **options: Any) -> np.ndarray:
    """(rows, columns) axes of a new figure; `options` go to `plt.subplots`."""
    options |= {"figsize": (WIDTH_IN, height_in), "squeeze": False, "layout": "constrained"}
    return plt.subplots(rows, columns, **options)[1]


def figure_of(axes: Axes | np.ndarray | Figure) -> Figure:
    """The figure that axes, an array of axes, or a figure itself belong to."""
    if isinstance(axes, Figure):
        return axes
    return np.ravel(np.asarray(axes, dtype=object))[0].figure


def spread(axes: np.ndarray, wspace: float) -> None:
    """Keep panels apart by `wspace` of their width: tick labels do not touch."""
    engine = figure_of(axes).get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(wspace=wspace)


def colour(name: str) -> str:
    """The species' colour from species.yaml; grey for anything else ("all", "other")."""
    return species_settings.colours().get(name, NEUTRAL)


def ink(tone: Any) -> str:
    """A colour as hex, dark enough for text on white: contrast 4.5 (WCAG AA)."""
    rgb = np.array(to_rgb(tone))
    while _contrast_on_white(rgb) < 4.5:
        rgb = rgb * 0.97
    red, green, blue = rgb.tolist()
    return to_hex((red, green, blue))


def _contrast_on_white(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 1.05 / (float(linear @ (0.2126, 0.7152, 0.0722)) + 0.05)


def in_label_order(found: Iterable[str]) -> list[str]:
    """Species in `found` in label order; unknown names come last, sorted. A photo without boxes may
    have none."""
    present = {str(name) for name in found if isinstance(name, str) and name}
    known = [name for name in species_settings.names() if name in present]
    return known + sorted(present - set(known))


def value_grid(ax: Axes, axis: str = "y") -> None:
    """Grid lines across the value axis only ("x" or "y"), behind the data."""
    ax.grid(True, axis=axis)  # type: ignore[arg-type]  # stubs want a Literal, the caller's string is one
    ax.tick_params(axis="x" if axis == "y" else "y", length=0)


def thousands(ax: Axes, axis: str, ticks: int = 7) -> None:
    """Counts on an axis ("x" or "y") as 12,500, with at most `ticks` of them."""
    target = ax.xaxis if axis == "x" else ax.yaxis
    target.set_major_locator(MaxNLocator(ticks, integer=True))
    target.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def number(value: float) -> str:
    """A count for a label: 12,152."""
    return f"{value:,.0f}"


def note(
    ax: Axes, text: str, at: tuple[Any, Any], offset: tuple[float, float], **options: Any
) -> None:
    """A small text beside a point, `offset` in points of type."""
    look: dict[str, Any] = {"va": "center", "fontsize": 9} | options
    ax.annotate(text, at, xytext=offset, textcoords="offset points", **look)


def outline(ax: Axes, box: Mapping[Any, Any], **look: Any) -> None:
    """The sides of a box in px of the photo, or with `fill` the box."""
    place, size = (
        (box["x_min"], box["y_min"]),
        (box["x_max"] - box["x_min"], box["y_max"] - box["y_min"]),
    )
    ax.add_patch(plt.Rectangle(place, *size, **{"fill": False} | look))


def confidence_tag(ax: Axes, box: Mapping[Any, Any], at: tuple[float, float]) -> None:
    """The confidence of a box on the colour of its species, `at` the tag's lower left corner."""
    ground = {"facecolor": colour(box["species"]), "edgecolor": "none", "pad": 0.8}
    look: dict[str, Any] = {"fontsize": 6.5, "color": "white", "va": "bottom", "ha": "left"}
    ax.text(*at, f"{box['confidence']:.2f}", clip_on=True, bbox=ground, **look)


def legend_above(ax: Axes, **options: Any) -> None:
    """A legend at the top right, above the axes, where it never covers the data."""
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), **options)


def say_empty(ax: Axes, text: str = "no data") -> Axes:
    """Write `text` in the middle of axes that have nothing to show, and hide their ticks."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED)
    return ax


def label_line_ends(ax: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Names at the right end of lines; `ends` = (x, y, text, colour), kept apart.
    Call after the axis limits are final: the moves are counted in points of the current scale."""
    if not ends:
        return
    points_per_pixel = 72 / figure_of(ax).dpi
    placed: list[float] = []
    for x, y, text, tone in sorted(
        ends, key=lambda end: ax.transData.transform((end[0], end[1]))[1]
    ):
        at = ax.transData.transform((x, y))[1] * points_per_pixel
        wanted = max(at, placed[-1] + _GAP_POINTS) if placed else at
        placed.append(wanted)
        note(
            ax, text, (x, y), (6, wanted - at), color=ink(tone), va="center", annotation_clip=False
        )


def interval_rows(
    ax: Axes,
    table: pd.DataFrame,
    places: Any,
    names: Sequence[str],
    tones: Sequence[str],
    *,
    columns: tuple[str, str, str] = ("difference", "low", "high"),
    marks: Sequence[str] = (),
    size: float = 6,
    width: float = 2.4,
    cap: Any = "butt",
    text: str = "{:+.3f}",
    text_at: str = "end",
    text_tones: Sequence[str] = (),
    **mark: Any,
) -> None:
    """A row each: a value, its interval and its number; a line at 0, names on the y axis. `columns`
    are value, low end and high end; the number stands "above" the mark, at the high "end" or in the
    right "margin". `mark` goes to the marks' `ax.plot`."""
    values = table[list(columns)].to_numpy(float)
    marks, text_tones = marks or "o" * len(values), text_tones or [INK] * len(values)
    rows = zip(places, values, tones, marks, text_tones, strict=True)
    for at, (value, low, high), tone, sign, text_tone in rows:
        ax.plot([low, high], [at] * 2, color=tone, linewidth=width, solid_capstyle=cap)
        ax.plot(value, at, sign, color=tone, markersize=size, **mark)
        look: dict[str, Any] = {"color": text_tone}
        if text_at == "above":
            note(ax, text.format(value), (value, at), (0, 8), ha="center", va="baseline", **look)
        else:
            look["xycoords"] = ax.get_yaxis_transform() if text_at == "margin" else "data"
            x = 1.0 if text_at == "margin" else high
            note(ax, text.format(value), (x, at), (6, 0), **look)
    ax.axvline(0, color=MUTED, linewidth=1)
    ax.set_yticks(places, names)
    value_grid(ax, "x")


def sure_tones(low: Any, high: Any) -> list[str]:
    """Colours of intervals: grey for those that hold 0."""
    return [LINES[0] if a > 0 or b < 0 else NEUTRAL for a, b in zip(low, high, strict=True)]


def species_key(ax: Axes, names: Iterable[str]) -> None:
    """The species' names in their colours at the top right, clear of the data."""
    labels = list(names)
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour(name)) for name in labels]
    ax.legend(
        handles,
        labels,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(labels),
        borderaxespad=0.2,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.2,
        labelcolor=[ink(colour(name)) for name in labels],
    )
