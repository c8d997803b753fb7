"""What sharing a study costs: 8 workers, 1,000 trials of a trivial score on a PostgreSQL server of
its own.

Prints the study's overhead per trial (aim: under 1 s), and that none was lost or doubled. Each
worker is a process of its own, as Colab sessions are. Skips itself, and says so, where PostgreSQL
is not installed.
"""

import multiprocessing
import resource
import statistics
import time

import optuna
import postgres_server

from livestock_utils.detect.search import genes, samplers, storage, study
from livestock_utils.detect.settings import read_hyp

WORKERS, TRIALS = 8, 1000
BASE = read_hyp("default")
GENES = genes.read_genes("lr_momentum", BASE)


def joined(url: str) -> optuna.Study:
    """The shared study, random sampling."""
    return study.join(
        "bench",
        storage.open_storage(url),
        {"trivial": True},
        samplers.sampler("random", GENES, BASE),
        samplers.pruner("none"),
    )


def objective(trial: optuna.Trial) -> float:
    """A score that costs nothing; trials are given back as the real objective does."""
    drawn = [trial.suggest_float(gene.name, gene.low, gene.high, log=gene.log) for gene in GENES]
    if why := study.slot_taken(trial.study, trial, TRIALS):
        trial.set_user_attr(study.SKIPPED, why)
        raise study.GiveBack(why)
    return sum(drawn)


def work(url: str) -> None:
    """One worker."""
    study.work(joined(url), objective, TRIALS, poll_s=0.5)


def main() -> None:
    """Start the server and the workers, and count."""
    if reason := postgres_server.missing():
        print(f"skipped: {reason}")
        return
    with postgres_server.running() as url:
        joined(url)
        context, began = multiprocessing.get_context("spawn"), time.perf_counter()
        workers = [context.Process(target=work, args=(url,)) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - began
        trials = joined(url).get_trials()
        complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
        distinct = len({tuple(trial.params.values()) for trial in complete})
        own = [
            (trial.datetime_complete - trial.datetime_start).total_seconds() for trial in complete
        ]
        print(
            f"{WORKERS} workers, {len(complete)} of {TRIALS} trials complete, {distinct} distinct, "
            f"{len(trials) - len(complete)} given back or failed; {seconds:.0f} s in all with the "
            "workers' start"
        )
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"overhead: a trial every {seconds / TRIALS:.3f} s, {seconds * WORKERS / TRIALS:.3f} s "
            f"of each worker's time a trial, {(used.ru_utime + used.ru_stime) / TRIALS:.3f} s of "
            f"processor time a trial, {statistics.median(own):.3f} s median between a trial's "
            "begin and end"
        )


if __name__ == "__main__":
    main()
