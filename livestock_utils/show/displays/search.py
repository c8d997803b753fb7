"""A search of hyperparameters: its groups of genes, what was gained, which genes mattered."""

import os
from functools import partial

from livestock_utils.detect.search import genes, trials
from livestock_utils.detect.search.run import Search
from livestock_utils.show.display import Display
from livestock_utils.show.plots import search as plots
from livestock_utils.show.words import search as words


def gene_groups(groups: str, groups_file: str | os.PathLike | None = None) -> Display:
    """The genes of groups (names with commas) and their ranges."""
    table = genes.groups_table(groups, groups_file or None)
    caption = "Genes of the chosen groups and their ranges."
    return Display("gene_groups", caption, table, shows_table=True, digits=5)


def best_so_far(search: Search) -> Display:
    """Each trial's score and the best until then by epochs trained; what every group gave."""
    table = trials.so_far(search.table)
    gave = (f"**{one.group}**: {words.result(one.table)}" for one in search.chain)
    caption = f"Score of each trial of {search.group} and the best so far, by epochs trained."
    draw = partial(plots.best_so_far, table)
    return Display("best_so_far", caption, table, draw, "\n\n".join(gave))


def gene_coordinates(search: Search) -> Display:
    """A line a trial through one axis a gene: on which genes do the good trials agree?"""
    table = trials.gene_table(search.table, search.genes)
    return Display(
        "gene_coordinates",
        "Each line is a trial, each axis a gene; the brighter, the better; thick: the best.",
        table,
        partial(plots.gene_coordinates, search.table, search.genes),
    )


def gene_slices(search: Search) -> Display:
    """Score by each gene's value, a panel a gene."""
    table = trials.gene_table(search.table, search.genes)
    return Display(
        "gene_slices",
        "Score by each gene's value, the dashed line is the base; triangles scored far less than "
        "the others.",
        table,
        partial(plots.gene_slices, search.table, search.genes),
        words.slopes(table, int((search.table["state"] == "complete").sum())),
    )


def gene_importance(search: Search) -> Display:
    """How much of the scores' variance each gene explains (fANOVA)."""
    shares = search.importance
    return Display(
        "gene_importance",
        "How much of the scores' variance each gene explains; with few trials little more than "
        "chance.",
        shares.rename_axis("gene").reset_index(),
        partial(plots.gene_importance, shares),
    )


def best_trials(search: Search, n: int = 8) -> Display:
    """The best trials and the base, where they were written, and the numbers of the search."""
    return Display(
        "best_trials",
        "The best trials, the base among them marked as trial 0.",
        trials.best_trials(search.table, n),
        verdict=words.written(search),
        metrics=search.summary,
        shows_table=True,
        digits=4,
    )


def trial_front(search: Search) -> Display:
    """Of a search with a second objective: the trials that no other beats in both."""
    best = trials.pareto(search.table)
    return Display(
        "front",
        f"Score and {search.against} of each trial; the line joins those that no other beats in "
        "both.",
        best,
        partial(plots.trial_front, search.table, best, search.against),
        shows_table=True,
        table_caption=f"Trials that no other beats in both score and {search.against}.",
        digits=4,
    )
