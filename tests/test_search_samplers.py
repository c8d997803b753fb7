"""Samplers: the genetic algorithm is YOLOv5's own, draws depend on seed and trial number, bad
wishes are told."""

import inspect
import random
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect import yolov5
from livestock_utils.detect.search import genes as search_genes
from livestock_utils.detect.search import samplers
from livestock_utils.detect.search import storage as search_storage
from livestock_utils.detect.settings import read_hyp

BASE = read_hyp("default")
GENES = search_genes.read_genes("lr_momentum", BASE)
ALL = search_genes.read_genes("all", BASE)


def bowl(params):
    """A score that falls with the distance from a point inside the ranges."""
    return -((np.log10(params["lr0"]) + 3) ** 2) - 4 * (params["momentum"] - 0.8) ** 2


def searched(name, n_trials=12, seed=0, genes=GENES, storage=None, score=bowl):
    """The parameters of a study's trials in order, on a made-up score."""
    with search_storage.quiet():
        study = optuna.create_study(
            direction="maximize",
            storage=storage,
            sampler=samplers.sampler(name, genes, BASE, seed=seed),
        )

        def objective(trial):
            return score(
                {g.name: trial.suggest_float(g.name, g.low, g.high, log=g.log) for g in genes}
            )

        study.optimize(objective, n_trials=n_trials)
    return [trial.params for trial in study.trials]


class NumpysOldStream:
    """The calls of `evolve` served by the global streams that YOLOv5 draws from."""

    random, standard_normal = (
        staticmethod(lambda n=None: np.random.random(n)),
        staticmethod(np.random.randn),
    )

    @staticmethod
    def choice(best, p):
        return best[random.choices(range(len(best)), weights=p)[0]]


@pytest.fixture(scope="module")
def yolov5_mutation():
    """YOLOv5's own lines between the parent's selection and the training, as code that can be
    run."""
    with yolov5.yolov5() as y5:
        module = y5.module("train")
        source = inspect.getsource(module.main)
    body = source[source.index("# Select parent(s)") : source.index("# Train mutation")]
    select, limit = body.split("# Constrain to limits")
    return dedented(select) + "\n" + dedented(limit), module


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 9), seed=st.integers(0, 2**31 - 1))
def test_children_are_those_of_yolov5s_own_code(yolov5_mutation, n, seed):
    code, module = yolov5_mutation
    meta = {gene.name: (gene.gain, gene.low, gene.high) for gene in ALL}
    rng = np.random.default_rng(seed)
    values = np.array(
        [[gene.clip(rng.uniform(gene.low, gene.high)) for gene in ALL] for _ in range(n)]
    )
    scores = rng.random(n)
    table = np.column_stack(
        [np.zeros((n, 3)), scores / 0.9, np.zeros((n, 3)), values]
    )  # fitness: .9 x mAP50-95
    names = {
        "random": random,
        "meta": meta,
        "hyp": dict.fromkeys(meta, 0.0),
        "fitness": module.fitness,
        "time": SimpleNamespace(time=lambda: seed),
        "evolve_csv": None,
        "np": SimpleNamespace(
            **{name: getattr(np, name) for name in ("argsort", "ones", "array", "random")},
            loadtxt=lambda *a, **k: table,
        ),
    }
    random.seed(seed)
    exec(code, names)
    random.seed(seed)
    np.random.seed(seed)
    ours = samplers.evolve(values, module.fitness(table), ALL, NumpysOldStream)
    assert ours == pytest.approx(list(names["hyp"].values()), abs=1e-12)


def dedented(text):
    """Lines of a function's body without its indentation; the first line's may have been cut
    off."""
    lines = text.splitlines()
    rest = [line for line in lines[1:] if line.strip()]
    indent = min(len(line) - len(line.lstrip()) for line in rest)
    return "\n".join([lines[0].strip(), *(line[indent:] for line in rest)])


@pytest.mark.parametrize("name", ["genetic", "tpe", "cmaes", "random"])
def test_trial_0_is_the_base_and_the_same_seed_draws_the_same(name):
    first, again, other = searched(name), searched(name), searched(name, seed=1)
    assert first[0] == {gene.name: gene.clip(BASE[gene.name]) for gene in GENES}
    assert first == again
    assert first[1:] != other[1:]
    assert len({tuple(params.values()) for params in first}) == len(first)
    for gene in GENES:
        assert all(gene.low <= params[gene.name] <= gene.high for params in first)


@pytest.mark.parametrize("name", ["genetic", "tpe", "cmaes"])
def test_samplers_learn_from_scores(name):
    scores = [bowl(params) for params in searched(name, n_trials=60)]
    assert max(scores) > scores[0]
    assert np.mean(scores[30:]) > np.mean(scores[1:30])


def test_the_parent_is_one_of_the_best_five():
    genes = (search_genes.Gene("momentum", 0.3, 0.6, 0.98),)
    values, scores = (
        np.array([[0.6], [0.7], [0.71], [0.72], [0.73], [0.74]]),
        np.array([-9.0, 1, 1, 1, 1, 1.0]),
    )
    children = [
        samplers.evolve(values, scores, genes, np.random.default_rng(seed))[0]
        for seed in range(300)
    ]
    assert (
        np.quantile(children, 0.05) > 0.65
    )  # the sixth, 0.6, has no children: factors are within some 10 percent


def test_the_base_is_the_parent_until_a_trial_has_finished():
    genes = (search_genes.Gene("momentum", 0.3, 0.6, 0.98),)
    drawn = searched("genetic", n_trials=4, genes=genes, score=lambda params: float("nan"))
    assert (
        all(abs(params["momentum"] - BASE["momentum"]) < 0.3 for params in drawn)
        and len(drawn) == 4
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "bayes",
            {},
            "unknown sampler 'bayes': expected one of genetic, tpe, cmaes, nsga2, random",
        ),
        ("genetic", {"n_objectives": 2}, "the genetic sampler knows no two objectives; take tpe"),
        (
            "cmaes",
            {"choices": {"image_size": [64]}},
            "the cmaes sampler knows no choices besides the genes",
        ),
    ],
)
def test_wishes_that_cannot_be(name, options, message):
    with pytest.raises(TrainingError, match=message):
        samplers.sampler(name, GENES, BASE, **options)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("none", optuna.pruners.NopPruner),
        ("median", optuna.pruners.MedianPruner),
        ("halving", optuna.pruners.SuccessiveHalvingPruner),
    ],
)
def test_pruners_by_name(name, kind):
    assert isinstance(samplers.pruner(name), kind)


def test_an_unknown_pruner():
    with pytest.raises(
        TrainingError, match="unknown pruner 'x': expected one of none, median, halving"
    ):
        samplers.pruner("x")
