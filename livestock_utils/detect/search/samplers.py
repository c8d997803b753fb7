"""Samplers and pruners of the search, YOLOv5's genetic algorithm among them.

Every trial gets a sampler of its own, seeded by the study's seed and the trial's number, so that
many workers never share a random stream and a restarted one does not repeat itself. Trial 0 is
always the base, as in YOLOv5.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from optuna import pruners, samplers
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from livestock_utils.core.arrays import Floats
from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.search.genes import Gene

PARENTS, MUTATION_PROBABILITY, SIGMA, FACTORS = 5, 0.8, 0.2, (0.3, 3.0)
"""YOLOv5's genetic algorithm: the best five may be parents; see `evolve`."""
_REDRAWS = 100
"""A child that some trial already has is drawn again this often; then the limits leave no other."""


def evolve(values: Floats, scores: Floats, genes: Sequence[Gene], rng: Any) -> list:
    """A child of the trials by YOLOv5's rule (train.py, `--evolve`), within limits. values: (n,
    genes), scores: (n,), higher is better. One of the best five is the parent, drawn by its score's
    distance from the fifth; each gene is multiplied, with probability .8, by 1 + gain x normal x
    uniform x .2, clipped to .3 to 3."""
    best = np.argsort(-scores)[:PARENTS]
    weights = scores[best] - scores[best].min() + 1e-6
    parent = values[rng.choice(best, p=weights / weights.sum())]
    gains, n = np.array([gene.gain for gene in genes]), len(genes)
    factors = np.ones(n)
    while (factors == 1).all():
        mutated = rng.random(n) < MUTATION_PROBABILITY
        changes = gains * mutated * rng.standard_normal(n) * rng.random() * SIGMA
        factors = (changes + 1).clip(*FACTORS)
    return [gene.clip(float(value)) for gene, value in zip(genes, parent * factors, strict=True)]


class _Genetic(samplers.BaseSampler):
    """YOLOv5's genetic algorithm as an Optuna sampler; maximises one objective, genes only. Until a
    trial has finished the base is the parent. Pruned and failed trials have no children."""

    def __init__(self, genes: Sequence[Gene], base: Mapping[str, float], seed: int) -> None:
        self.genes, self.rng = tuple(genes), np.random.default_rng(seed)
        self.first = np.array([[gene.clip(base[gene.name]) for gene in genes]])

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {
            gene.name: FloatDistribution(gene.low, gene.high, log=gene.log) for gene in self.genes
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict
    ) -> dict[str, Any]:
        """A child that no trial of the study has yet."""
        names = [gene.name for gene in self.genes]
        trials = study.get_trials(deepcopy=False)
        finished = [
            t for t in trials if t.state == TrialState.COMPLETE and set(names) <= set(t.params)
        ]
        values, scores = self.first, np.zeros(1)
        if finished:
            values = np.array([[t.params[name] for name in names] for t in finished], dtype=float)
            scores = np.array([t.value for t in finished], dtype=float)
        taken = {
            tuple(t.params.get(name) for name in names) for t in trials if t.number != trial.number
        }
        child: list[float] = []
        for _ in range(_REDRAWS):
            child = evolve(values, scores, self.genes, self.rng)
            if tuple(child) not in taken:
                break
        return dict(zip(names, child, strict=True))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """Not reached: the genes are drawn together, and choices are refused."""
        raise TrainingError(f"the genetic sampler has no gene {param_name!r}; take tpe")


class _PerTrial(samplers.BaseSampler):
    """Hands each trial to a new sampler from `make(seed=...)`; trial 0 gets `first`."""

    def __init__(
        self, make: Callable[..., samplers.BaseSampler], first: Mapping[str, Any], seed: int
    ) -> None:
        self.make, self.first, self.seed = make, first, seed
        self.made: tuple[int, samplers.BaseSampler] | None = None

    def of(self, trial: FrozenTrial) -> samplers.BaseSampler:
        """The sampler of this trial."""
        if self.made is None or self.made[0] != trial.number:
            seed = int(np.random.SeedSequence([self.seed, trial.number]).generate_state(1)[0])
            self.made = trial.number, self.make(seed=seed)
        return self.made[1]

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {} if trial.number == 0 else self.of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict
    ) -> dict[str, Any]:
        if trial.number == 0:
            return {}
        return self.of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        if trial.number == 0:
            return self.first[param_name]
        return self.of(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.of(trial).before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self.of(trial).after_trial(study, trial, state, values)


def sampler(
    name: str,
    genes: Sequence[Gene],
    base: Mapping[str, float],
    *,
    choices: Mapping[str, Sequence[Any]] | None = None,
    n_objectives: int = 1,
    seed: int = 0,
) -> _PerTrial:
    """A sampler by name: "genetic" (YOLOv5), "tpe" (Bergstra et al. 2011, multivariate), "cmaes"
    (Hansen 2001), "nsga2" (Deb et al. 2002, for two objectives), "random"."""
    kinds: dict[str, Callable[..., samplers.BaseSampler]] = {
        "genetic": partial(_Genetic, genes, base),
        "tpe": partial(samplers.TPESampler, multivariate=True, group=True, constant_liar=True),
        "cmaes": partial(samplers.CmaEsSampler, warn_independent_sampling=False),
        "nsga2": partial(samplers.NSGAIISampler, population_size=10),
        "random": samplers.RandomSampler,
    }
    if name not in kinds:
        raise TrainingError(f"unknown sampler {name!r}: expected one of {', '.join(kinds)}")
    if name in ("genetic", "cmaes") and (choices or n_objectives > 1):
        what = "choices besides the genes" if choices else "two objectives"
        raise TrainingError(f"the {name} sampler knows no {what}; take tpe, nsga2 or random")
    first = {gene.name: gene.clip(base[gene.name]) for gene in genes}
    return _PerTrial(
        kinds[name], first | {key: values[0] for key, values in (choices or {}).items()}, seed
    )


def pruner(name: str) -> pruners.BasePruner:
    """A pruner by name: "none", "median" (at the same epoch), "halving" (Jamieson & Talwalkar 2016,
    asynchronous as Li et al. 2020); both need a few trials and epochs before they cut anything."""
    kinds: dict[str, Callable[[], pruners.BasePruner]] = {
        "none": pruners.NopPruner,
        "median": partial(pruners.MedianPruner, n_startup_trials=4, n_warmup_steps=1),
        "halving": partial(pruners.SuccessiveHalvingPruner, min_resource=2, reduction_factor=2),
    }
    if name not in kinds:
        raise TrainingError(f"unknown pruner {name!r}: expected one of {', '.join(kinds)}")
    return kinds[name]()
