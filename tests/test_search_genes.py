"""Groups of genes: what is shipped is YOLOv5's own table, and every fault is one clear line."""

import inspect
import re

import pytest
import yaml

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect import settings, yolov5
from livestock_utils.detect.search import genes as search_genes

BASE = settings.read_hyp("default")


def write_groups(tmp_path, genes=None, groups=None):
    path = tmp_path / "groups.yaml"
    shipped = {"lr0": {"gain": 1, "low": 0.001, "high": 0.1}}
    path.write_text(
        yaml.safe_dump(
            {
                "genes": shipped if genes is None else genes,
                "groups": {"g": ["lr0"]} if groups is None else groups,
            }
        )
    )
    return path


def test_gains_and_limits_are_yolov5s_own():
    with yolov5.yolov5() as y5:
        source = inspect.getsource(y5.module("train").main)
    table = source[source.index("meta = {") : source.index("with open(opt.hyp")]
    theirs = {
        name: tuple(map(float, numbers.split(",")))
        for name, numbers in re.findall(r"'(\w+)': \(([^)]*)\)", table)
    }
    ours = {
        name: (gene.gain, gene.low, gene.high)
        for name, gene in search_genes.read_groups()[0].items()
    }
    del theirs["anchors"]  # a count, worked out from the data by the training
    assert ours == theirs


@pytest.mark.parametrize(
    "group", ["lr_momentum", "warmup", "losses", "hsv", "geometry", "mosaic", "all"]
)
def test_every_shipped_group_can_be_searched_from_the_shipped_bases(group):
    for base in ("default", "experiment_hyp_v1", "few_photos", "few_epochs"):
        genes = search_genes.read_genes(group, settings.read_hyp(base))
        assert genes and all(gene.gain > 0 and gene.low < gene.high for gene in genes)


def test_all_is_the_union_of_the_other_groups():
    groups = search_genes.read_groups()[1]
    assert set(groups["all"]) == {
        name for group, names in groups.items() if group != "all" for name in names
    }


@pytest.mark.parametrize(("value", "clipped"), [(0.5, 0.1), (0.0, 0.001), (0.0123456789, 0.01235)])
def test_a_gene_keeps_to_its_limits_with_five_decimals(value, clipped):
    assert search_genes.Gene("lr0", 1, 0.001, 0.1).clip(value) == clipped


@pytest.mark.parametrize(
    ("genes", "groups", "message"),
    [
        ({}, {}, "unknown group of genes 'g'; .* has $"),
        (
            {"lr9": {"gain": 1, "low": 0, "high": 1}},
            None,
            "unknown gene 'lr9'; the hyperparameters are lr0, lrf",
        ),
        (
            {"lr0": {"gain": 1, "low": 0.2, "high": 0.1}},
            None,
            "gene lr0 has low 0.2 > high 0.1; swap them",
        ),
        (
            {"lr0": {"gain": 1, "low": 0.2}},
            None,
            "gene lr0 needs numbers gain, low and high, got {'gain': 1, 'low': 0.2}",
        ),
        ({"lr0": None}, None, "gene lr0 needs numbers gain, low and high, got None"),
        (
            {"lr0": {"gain": 1, "low": 0.2, "high": 4}},
            None,
            "gene lr0 ranges from 0.2 to 4, YOLOv5 takes 0 to 1",
        ),
        (
            {"lr0": {"gain": 1, "low": 0, "high": 0.1, "log": True}},
            None,
            "on a log scale, so low must be above 0, got 0",
        ),
        (
            {"lr0": {"gain": 0, "low": 0.1, "high": 0.2}},
            None,
            r"gene lr0 of group 'g' can never change \(gain 0",
        ),
        (
            {"lr0": {"gain": 1, "low": 0.1, "high": 0.1}},
            None,
            r"gene lr0 of group 'g' can never change \(gain 1, 0.1 to",
        ),
        (None, {"g": ["momentum"]}, "group 'g' has the unknown gene 'momentum'; genes are lr0"),
        (None, {"g": "lr0"}, "group 'g' must be a list of genes, got 'lr0'"),
        (None, {"g": []}, r"group 'g' must be a list of genes, got \[\]"),
    ],
)
def test_a_bad_file_of_groups_is_one_clear_line(tmp_path, genes, groups, message):
    with pytest.raises(TrainingError, match=message) as error:
        search_genes.read_genes("g", BASE, write_groups(tmp_path, genes, groups))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected `genes:` and `groups:`"),
        ("genes: 3\ngroups: {}", "expected `genes:` and `groups:`"),
        ("genes: {}\ngroups: {g: [{a: 1}]}", "group 'g' has the unknown gene {'a': 1}; genes are"),
        ("genes: {}\ngroups: {1: g}", "group '1' must be a list of genes, got 'g'"),
    ],
)
def test_a_file_of_another_shape(tmp_path, text, message):
    path = tmp_path / "groups.yaml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=message):
        search_genes.read_genes("g", BASE, path)


def test_a_base_without_the_gene_and_a_missing_file(tmp_path):
    with pytest.raises(
        TrainingError, match="base hyperparameters lack momentum, a gene of group 'lr_momentum'"
    ):
        search_genes.read_genes(
            "lr_momentum", {name: value for name, value in BASE.items() if name != "momentum"}
        )
    with pytest.raises(TrainingError, match=r"file of groups not found: .*start from a copy"):
        search_genes.read_genes("lr_momentum", BASE, tmp_path / "absent.yaml")
