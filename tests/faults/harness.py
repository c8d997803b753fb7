"""Kill a training at random moments and start it again by the same command, until it ends: `make
faults`.

Prints one row a kill and what the run ended with against an uninterrupted one. Now and then the
newest resume file is cut (a disk that lies) or the run folder is lost altogether (a fresh machine:
only the mirror is left). The last kills come while the run finishes: its weights, figures and
record are written, the mirror is filled.
"""

import argparse
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
from training_sets import write_set  # found by the line above

VICTIM = Path(__file__).with_name("victim.py")
CLOCKS = ["seconds/train", "seconds/valid"]
FINISHING = (
    "killed/weights/last.pt",
    "killed/per_class.csv",
    "killed/losses.png",
    "mirror/weights/last.pt",
)
"""Files that a finishing run writes in this order; a kill comes right after one of them has been
written."""


@dataclasses.dataclass
class Kill:
    """One kill: how long after which saved epoch, what else was done to the files, and the epochs
    that were on disk."""

    after_epoch: int
    plus_s: float
    saved: int
    on_disk: int
    extra: str


def start(data: Path, folder: Path, mirror: Path | None, epochs: int) -> subprocess.Popen:
    """Start the victim in a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, str(VICTIM), str(data), str(folder), str(mirror or "-"), str(epochs)],
        env=environment,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def lines(folder: Path) -> list[str]:
    """What the victim has said so far."""
    log = Path(f"{folder}.log")
    return log.read_text(encoding="utf-8").splitlines() if log.is_file() else []


def epochs_on_disk(*folders: Path) -> int:
    """Epochs in the newest valid resume file of a run and its mirror, 0 without one."""
    from livestock_utils.detect.train import state

    found = [state.newest(folder / "resume") for folder in folders]
    newest = max(filter(None, found), key=state.epochs_in, default=None)
    return 0 if newest is None else state.epochs_in(newest)


def saved_epochs(folder: Path) -> int:
    """Epochs that the victim has reported as saved."""
    return max(
        [int(line.split()[1]) + 1 for line in lines(folder) if line.startswith("saved")], default=0
    )


def wait_for(process: subprocess.Popen, happened: Callable[[], bool]) -> None:
    """Until something is in the victim's log, or it has ended."""
    while not happened() and process.poll() is None:
        time.sleep(0.005)


def written(file: Path) -> int:
    """When a file was written, in ns; 0 for one that is not there."""
    return file.stat().st_mtime_ns if file.is_file() else 0


def torture(
    data: Path,
    work: Path,
    kills: int,
    epochs: int,
    seed: int = 0,
    window_s: float = 0.4,
    kills_in_finish: int = 0,
) -> list[Kill]:
    """Run the victim to its end through `kills` kills, then some of FINISHING; AssertionError if
    anything is lost."""
    rng = random.Random(seed)
    folder, mirror = work / "killed", work / "mirror"
    done: list[Kill] = []
    # by the harness: until the run has caught up, the mirror's newest file may be what there is
    lost = False
    while True:
        before, stamps = (
            lines(folder).count("ready"),
            {name: written(work / name) for name in FINISHING},
        )
        process = start(data, folder, mirror, epochs)
        wait_for(process, lambda before=before: lines(folder).count("ready") > before)
        if len(done) < kills:
            target, delay = saved_epochs(folder) + rng.randint(0, 2), rng.uniform(0, window_s)
            wait_for(process, lambda target=target: saved_epochs(folder) >= target)
            time.sleep(delay)
            process.kill()
            process.wait()
            assert process.returncode == -signal.SIGKILL, (
                f"the training ended by itself: {process.returncode}"
            )
            extra, on_disk, saved = "", epochs_on_disk(folder, mirror), saved_epochs(folder)
            assert on_disk >= saved or lost, (
                f"epoch {saved} was saved, the newest valid file has {on_disk}"
            )
            lost = lost and on_disk < saved
            if len(done) % 5 == 3 and on_disk > 1:
                newest = max((folder / "resume").glob("resume-e*.pt"))
                newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
                extra = "newest resume file cut"
            elif len(done) % 7 == 5 and mirror.is_dir():
                shutil.rmtree(folder)
                extra = "run folder lost"
            lost = lost or bool(extra)
            done.append(Kill(target, delay, saved, on_disk, extra))
        elif len(done) < kills + kills_in_finish:
            name, delay = FINISHING[(len(done) - kills) % len(FINISHING)], rng.uniform(0, 0.02)
            wait_for(process, lambda name=name, stamps=stamps: written(work / name) > stamps[name])
            time.sleep(delay)
            process.kill()
            assert process.wait() == -signal.SIGKILL, (
                f"the training ended by itself: {process.returncode}"
            )
            done.append(
                Kill(
                    epochs,
                    delay,
                    saved_epochs(folder),
                    epochs_on_disk(folder),
                    f"in finish: {name}",
                )
            )
        else:
            assert process.wait(600) == 0
            return done


def damaged(kills: list[Kill]) -> int:
    """Kills after which the harness also spoilt a file; the mirror may be behind then, so an epoch
    is trained again."""
    return sum(bool(kill.extra) and not kill.extra.startswith("in finish") for kill in kills)


def repeated(folder: Path) -> int:
    """Epochs that were trained again after having been reported as saved: none by a kill alone."""
    saved = [int(line.split()[1]) for line in lines(folder) if line.startswith("saved")]
    return len(saved) - len(set(saved))


def main() -> None:
    """Parse the command line, run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument(
        "--kills-in-finish", type=int, default=4, help=f"at most {len(FINISHING)}, one each moment"
    )
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--window", type=float, default=0.4, help="seconds after a saved epoch that a kill may wait"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        data = write_set(work / "set")
        assert start(data, work / "whole", None, options.epochs).wait() == 0
        began = time.perf_counter()
        kills = torture(
            data,
            work,
            options.kills,
            options.epochs,
            options.seed,
            options.window,
            options.kills_in_finish,
        )
        table = pd.DataFrame([dataclasses.asdict(kill) for kill in kills])
        table.index = pd.RangeIndex(1, len(table) + 1, name="kill")
        print(table.round(2).to_string())
        results = [
            pd.read_csv(work / name / "results.csv").drop(columns=CLOCKS)
            for name in ("whole", "killed")
        ]
        same = [
            (work / "whole" / "weights" / name).read_bytes()
            == (work / "killed" / "weights" / name).read_bytes()
            for name in ("best.pt", "last.pt")
        ]
        difference = (results[0] - results[1]).abs().max().max()
        took = time.perf_counter() - began
        print(f"{len(kills)} kills in {took:.0f} s; {len(results[1])} of {options.epochs} epochs")
        print(f"largest difference of any number to the uninterrupted run: {difference:g}")
        print(
            f"weights byte for byte equal: {all(same)}; epochs trained twice: "
            f"{repeated(work / 'killed')}"
        )
        assert len(results[1]) == options.epochs and difference <= 1e-4 and all(same)
        assert repeated(work / "killed") <= len(kills), (
            "more than one epoch a kill was trained twice"
        )


if __name__ == "__main__":
    main()
