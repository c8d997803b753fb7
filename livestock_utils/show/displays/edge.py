"""From weights to a device: exports as good as the weights, what they cost, the bundle."""

from functools import partial

from livestock_utils.detect.export import cost, formats
from livestock_utils.detect.export.exports import Exports
from livestock_utils.show.display import Display
from livestock_utils.show.plots import edge as plots
from livestock_utils.show.words import edge as words


def exported_files(exports: Exports) -> Display:
    """The files that were made, and why others were not."""
    table = exports.files.assign(
        path=[formats.display_name(path) for path in exports.files["path"]]
    )
    commands = ", ".join(f"`{name}`" for name in exports.files.attrs["commands"])
    verdict = (
        f"The commands for TensorRT on a Jetson lie beside the models; not run here: {commands}."
    )
    return Display("files", "The files.", table, verdict=verdict, shows_table=True)


def parity(exports: Exports) -> Display:
    """AP75 of each export against the weights, with its interval."""
    table = exports.scored
    shown = table.dropna(subset="AP75").drop(columns=["path", "note", "pairs"])
    return Display(
        "parity",
        "AP75 of each export minus that of the weights, with its interval.",
        table,
        partial(plots.edge_parity, table),
        words.parity_verdict(table),
        table_caption="Exports against the weights at the same pixels.",
        digits=4,
        rest=shown,
    )


def costs(exports: Exports) -> Display:
    """Form, size, time, AP75 and a verdict of each export; the rest folded."""
    table, asked = exports.measured, exports.asked
    budgets = exports.recommended[0], asked.max_latency_ms, asked.max_size_mb
    return Display(
        "cost",
        "Latency, file size and memory of each export.",
        words.forms(table, *budgets),
        partial(plots.edge_cost, table),
        f"{words.budgets(table, *budgets[1:])} {words.noise(table)}".strip(),
        shows_table=True,
        table_caption="Size, arithmetic, latency, memory.",
        digits=1,
        rest=table.dropna(subset="AP75")[["export", "image_size", *cost.COLUMNS]],
    )


def front(exports: Exports) -> Display:
    """AP75 over the time an image takes."""
    return Display(
        "front",
        "AP75 over the time from letterbox to boxes: what lies below the line is beaten in both.",
        cost.front(exports.measured),
        partial(plots.edge_front, exports.measured),
    )


def lighter_networks(exports: Exports) -> Display:
    """Lighter networks beside the plain one after equal epochs, where they were asked for."""
    table = exports.lighter
    return Display(
        "lighter",
        "Lighter networks beside the plain one, equal epochs.",
        table,
        partial(plots.lighter_models, table) if len(table) else None,
        words.lighter(table),
        table_caption=words.TO_PAY,
        rest=table,
    )
