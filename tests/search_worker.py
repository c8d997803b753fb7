"""A worker of a shared study on a made-up score: python search_worker.py URL NAME N_TRIALS
[KILLED_IN_TRIAL HOST]

It notes each trial that it finishes as a line of JSON. With KILLED_IN_TRIAL it kills itself in the
middle of its n-th trial; HOST makes others believe that it ran on another machine, so that only its
heartbeat can tell.
"""

import json
import os
import signal
import sys

from livestock_utils.detect.search import genes as search_genes
from livestock_utils.detect.search import samplers
from livestock_utils.detect.search import storage as search_storage
from livestock_utils.detect.search import study as search_study
from livestock_utils.detect.settings import read_hyp

HEARTBEAT_S, POLL_S = 1, 0.2


def main(url, name, n_trials, killed_in=0, host=""):
    base = read_hyp("default")
    genes = search_genes.read_genes("losses", base)
    if host:
        search_storage.this_worker = lambda: f"{host} {os.getpid()} 0"
    begun = []

    def objective(trial):
        genes_drawn = {
            gene.name: trial.suggest_float(gene.name, gene.low, gene.high, log=gene.log)
            for gene in genes
        }
        if why := search_study.slot_taken(trial.study, trial, n_trials):
            trial.set_user_attr(search_study.SKIPPED, why)
            raise search_study.GiveBack(why)
        begun.append(trial.number)
        if len(begun) == killed_in:
            print(json.dumps({"killed": genes_drawn}), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return -abs(genes_drawn["box"] - 0.1)

    def after(trial):
        if trial.value is not None:
            print(json.dumps({"trial": trial.number, "genes": trial.params}), flush=True)

    storage = search_storage.open_storage(url, HEARTBEAT_S)
    sampler = samplers.sampler("genetic", genes, base)
    study = search_study.join(name, storage, {"group": "losses"}, sampler, samplers.pruner("none"))
    print("ready", flush=True)
    sys.stdin.readline()  # all workers start together, however long each took to get here
    search_study.work(study, objective, n_trials, poll_s=POLL_S, after=after)


if __name__ == "__main__":
    main(
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        int((sys.argv[4:5] or [0])[0]),
        (sys.argv[5:6] or [""])[0],
    )
