"""Kill what else writes files at random moments and give the same command again: `make faults`.

A moment is a time of the clock, or one of the job's own file operations (opened for writing,
renamed, removed, ...), or a few milliseconds after one; the draws are seeded. Prints a row a job:
kills that struck, commands that were killed twice in a row, ends that differ from an uninterrupted
run (contents or names of files, an error), and temporary files that were left over.
"""

import argparse
import dataclasses
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

sys.path[:0] = [str(Path(__file__).parents[i]) for i in range(3)]
import jobs  # found by the line above

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {f"os.{name}" for name in "rename remove mkdir rmdir truncate link symlink".split()}
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""In memory where that can be: a kill loses nothing of what a system has yet to write to disk."""
COUNTED, FAILED = "operations.txt", "error.txt"
"""What a child leaves beside the job's folder: how many file operations it made, or its error."""


@dataclasses.dataclass
class Outcome:
    """What became of a job's kills."""

    job: str
    kills: int = 0
    twice: int = 0
    late: int = 0
    runs: int = 0
    leftovers: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    differences: list[str] = dataclasses.field(default_factory=list)


def torture(job: jobs.Job, work: Path, kills: int, seed: int = 0, minutes: float = 1e9) -> Outcome:
    """Kill a job `kills` times below `work`, or until the time is over."""
    rng, outcome, began = random.Random(f"{seed} {job.name}"), Outcome(job.name), time.monotonic()
    shared, out = work / "shared", work / "out"
    shared.mkdir(parents=True)
    _whole(lambda: job.prepare(shared), work)
    whole, took, operations = {}, {}, {}
    while outcome.kills < kills and time.monotonic() - began < 60 * minutes:
        variant = job.variants[outcome.runs % len(job.variants)]
        if variant not in whole:
            _begin(job, shared, out)
            started = time.monotonic()
            _whole(lambda v=variant: job.do(shared, out, v), work)
            took[variant] = time.monotonic() - started
            operations[variant] = int((work / COUNTED).read_text())
            whole[variant] = dict(_contents(job, out))
        _begin(job, shared, out)
        in_row = 0
        while in_row < 3 and (in_row == 0 or rng.random() < 0.25):
            at = rng.randint(1, operations[variant]) if rng.random() < 0.6 else 0
            delay = rng.choice((0.0, rng.uniform(0, 0.01))) if at else None
            child = _start(lambda v=variant: job.do(shared, out, v), work, at, delay)
            if not at:
                _kill_after(child, rng.uniform(0, took[variant]))
            if _status(child) != -signal.SIGKILL:
                outcome.late += 1
                break
            outcome.kills += 1
            in_row += 1
        outcome.twice += in_row > 1
        outcome.runs += 1
        error = _status(_start(lambda v=variant: job.do(shared, out, v), work))
        told = (work / FAILED).read_text() if error else ""
        if told and not (job.done_already and job.done_already in told):
            outcome.differences.append(f"{variant}: {told.splitlines()[-1][:300]}")
        found = dict(_contents(job, out))
        spare = [name for name in found if name.endswith((".part", ".tmp")) or ".old" in name]
        outcome.leftovers += spare
        apart = sorted(
            name
            for name in {*found, *whole[variant]} - {*spare}
            if found.get(name) != whole[variant].get(name)
        )
        if apart:
            outcome.differences.append(f"{variant}: {', '.join(apart[:4])} of {len(apart)} files")
    outcome.seconds = time.monotonic() - began
    return outcome


def _begin(job: jobs.Job, shared: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    job.begin(shared, out)


def _contents(job: jobs.Job, out: Path) -> Iterator[tuple[str, str]]:
    """(path below `out`, hash of what counts of it)."""
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and not any(path.match(pattern) for pattern in job.dated):
            yield name, hashlib.sha256(job.lasting(path)).hexdigest()


def _start(do: Callable, work: Path, at: int = 0, delay: float | None = None) -> int:
    """A child process that does the work, and dies by SIGKILL `delay` seconds after its file
    operation number `at`; returns its id. A fork, so that kills strike the work, not imports."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(quiet, stream)
        count = 0

        def kill() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def struck(event: str, arguments: tuple) -> None:
            nonlocal count
            if event in CHANGES or (event == "open" and (arguments[2] or 0) & WRITES):
                count += 1
                if at and count == at:
                    threading.Timer(delay, kill).start() if delay else kill()

        sys.addaudithook(struck)
        do()
        (work / COUNTED).write_text(str(count))
        code = 0
    finally:  # never back into the harness
        if code:
            (work / FAILED).write_text(traceback.format_exc())
        os._exit(code)


def _kill_after(child: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not _ended(child):
        time.sleep(min(left, 0.02))
    os.kill(child, signal.SIGKILL)  # not waited for yet, so the id is still this child's


def _ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _status(child: int) -> int:
    """Exit code of a child, or the signal that ended it as a negative number."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _whole(do: Callable, work: Path) -> None:
    """Do the work without a kill."""
    if _status(_start(do, work)):
        raise AssertionError(f"a job failed without a kill: {(work / FAILED).read_text()}")


def table(outcomes: list[Outcome]) -> pd.DataFrame:
    """A row a job."""
    return pd.DataFrame(
        [
            {name: len(value) if isinstance(value, list) else value for name, value in row.items()}
            for row in map(dataclasses.asdict, outcomes)
        ]
    ).set_index("job")


def main() -> None:
    """Parse the command line, run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--kills-of-slow", type=int, default=20, help="silver, bundle, report, ...")
    parser.add_argument("--minutes", type=float, default=30.0, help="a job at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", action="append", default=[])
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
    jobs.load()
    outcomes = []
    for job in jobs.JOBS:
        if options.job and job.name not in options.job:
            continue
        kills = options.kills_of_slow if job.is_slow else options.kills
        with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
            outcome = torture(job, Path(scratch), kills, options.seed, options.minutes)
        outcomes.append(outcome)
        print(f"{outcome.job}: {outcome.kills} kills in {outcome.seconds:.0f} s", flush=True)
        for difference in outcome.differences[:8]:
            print(f"    {difference}", flush=True)
        for leftover in outcome.leftovers[:4]:
            print(f"    left over: {leftover}", flush=True)
    print(table(outcomes).round(0).to_string())
    sys.exit(any(one.differences for one in outcomes))


if __name__ == "__main__":
    main()
