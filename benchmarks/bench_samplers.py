"""Which sampler finds good genes with the fewest epochs? 30 seeds a sampler on a surrogate of
recorded trials.

A surrogate, plainly: a Gaussian process fitted to 72 real but tiny trials (record_trials.py)
answers instead of a training. It says how samplers walk over a surface of this shape, not what they
find on AI Hub's data.

Fixed before any sampler ran: the surrogate (Matern 5/2, one length a gene, noise fitted; its mean
is the score), the budget (60 trials of 3 epochs), the seeds (0 to 29), and the target (the median
over the seeds of the genetic algorithm's final best). Reported: epochs until a sampler first
reaches the target, median over the seeds, a seed that never does counting as more than the budget.
Below it, one real head-to-head at equal epochs, recorded.
"""

import math
import time
import warnings

import numpy as np
import optuna
import pandas as pd
from record_trials import CSV, GROUP, HEAD_TO_HEAD_CSV, SETTINGS
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from livestock_utils.detect.search import samplers, storage
from livestock_utils.detect.search.genes import Gene, read_genes
from livestock_utils.detect.settings import read_hyp

BUDGET, SEEDS, SAMPLERS = 60, range(30), ("genetic", "tpe", "cmaes", "random")
EPOCHS = SETTINGS["epochs"]
BASE = read_hyp("default")
GENES = read_genes(GROUP, BASE)


def unit(points: pd.DataFrame, genes: tuple[Gene, ...] = GENES) -> np.ndarray:
    """Genes scaled to [0, 1] over their ranges, on a log scale where the gene has one; a column a
    gene."""
    columns = []
    for gene in genes:
        values = points[gene.name].to_numpy(float).clip(gene.low, gene.high)
        scale = np.log if gene.log else np.asarray
        low, high = scale([gene.low, gene.high])
        columns.append((scale(values) - low) / (high - low))
    return np.stack(columns, axis=1)


def fitted(trials: pd.DataFrame) -> GaussianProcessRegressor:
    """The surrogate of mAP75."""
    kernel = ConstantKernel(1.0) * Matern(
        np.full(len(GENES), 0.5), (0.05, 20), nu=2.5
    ) + WhiteKernel(0.01, (1e-4, 1))
    model = GaussianProcessRegressor(
        kernel, normalize_y=True, n_restarts_optimizer=5, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(unit(trials), trials["mAP75"])


def left_out(trials: pd.DataFrame, folds: int = 12) -> float:
    """R squared of the surrogate on trials that it was not fitted to."""
    guessed = np.zeros(len(trials))
    for fold in range(folds):
        out = np.arange(len(trials)) % folds == fold
        guessed[out] = fitted(trials[~out]).predict(unit(trials[out]))
    actual = trials["mAP75"].to_numpy()
    return float(1 - ((actual - guessed) ** 2).sum() / ((actual - actual.mean()) ** 2).sum())


def best_so_far(surrogate: GaussianProcessRegressor, sampler: str, seed: int) -> np.ndarray:
    """The best score after each trial of one search on the surrogate."""

    def objective(trial: optuna.Trial) -> float:
        point = {g.name: [trial.suggest_float(g.name, g.low, g.high, log=g.log)] for g in GENES}
        return float(surrogate.predict(unit(pd.DataFrame(point)))[0])

    with storage.quiet():
        study = optuna.create_study(
            direction="maximize", sampler=samplers.sampler(sampler, GENES, BASE, seed=seed)
        )
        study.optimize(objective, n_trials=BUDGET)
    return np.maximum.accumulate([trial.value for trial in study.trials])


def main() -> None:
    """Fit, search, print."""
    trials = pd.read_csv(CSV)
    surrogate = fitted(trials)
    repeats = (
        trials.groupby([gene.name for gene in GENES])["mAP75"]
        .agg(["size", "std"])
        .sort_values("size")
        .iloc[-1]
    )
    print(
        f"{len(trials)} recorded trials of {EPOCHS} epochs: mAP75 {trials['mAP75'].min():.4f} to "
        f"{trials['mAP75'].max():.4f}; the base repeated {repeats['size']:.0f} times spreads by "
        f"{repeats['std']:.4f}"
    )
    print(f"surrogate {surrogate.kernel_}: R squared on trials left out {left_out(trials):.2f}")
    curves, seconds = {}, {}
    for sampler in SAMPLERS:
        began = time.perf_counter()
        curves[sampler] = np.array([best_so_far(surrogate, sampler, seed) for seed in SEEDS])
        seconds[sampler] = (time.perf_counter() - began) / (len(SEEDS) * BUDGET)
    target = float(np.median(curves["genetic"][:, -1]))
    print(
        f"target: {target:.4f}, the median of the genetic algorithm's final best; the base has "
        f"{curves['genetic'][0, 0]:.4f}"
    )
    print(
        f"{'sampler':8s} {'median epochs':>13s} {'seeds that reach it':>20s} "
        f"{'median final best':>18s} {'its quartiles':>17s} {'ms a trial':>11s}"
    )
    for sampler, curve in curves.items():
        reached = curve >= target
        first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, math.inf)
        epochs = float(np.median(first)) * EPOCHS
        low, middle, high = np.quantile(curve[:, -1], (0.25, 0.5, 0.75))
        shown = f"{epochs:.0f}" if math.isfinite(epochs) else f"> {BUDGET * EPOCHS}"
        print(
            f"{sampler:8s} {shown:>13s} {int(reached.any(axis=1).sum()):>10d} of {len(SEEDS):3d}   "
            f" {middle:18.4f} {low:8.4f} {high:8.4f} {1000 * seconds[sampler]:11.1f}"
        )
    if HEAD_TO_HEAD_CSV.is_file():
        real = pd.read_csv(HEAD_TO_HEAD_CSV)
        print("\nreal trials, equal epochs, one search each (no proof: a single seed):")
        for sampler, rows in real.groupby("sampler"):
            best = rows["score"].cummax().to_numpy()
            print(
                f"{sampler:8s} {len(rows)} trials, {int(rows['epochs'].sum())} epochs: base "
                f"{best[0]:.4f}, half-way {best[len(best) // 2 - 1]:.4f}, best {best[-1]:.4f}"
            )


if __name__ == "__main__":
    main()
