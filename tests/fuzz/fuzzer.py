"""Every reader with bent files, seeded and bounded: `make fuzz`.

Each input changes one file of a target's folder. The reader may take it or refuse it with one of
the library's errors, in one line; it writes nothing outside its own folder, takes at most SECONDS
and leaves the process within MEMORY. Prints a row a target; a failure is printed with its input's
number, by which `--target NAME --first NUMBER --inputs 1` makes it again.
"""

import argparse
import collections
import contextlib
import dataclasses
import faulthandler
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[i]) for i in range(3)]
import mutate  # found by the lines above
import targets

from livestock_utils.core.errors import LivestockError

SECONDS, MEMORY = 30, 3 << 30
"""Most time of an input, and how much the process may grow."""
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""In memory where that can be: most of the time went into rewriting files."""


@dataclasses.dataclass
class Outcome:
    """How many inputs of a target were read and refused, and what went wrong."""

    name: str
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    failures: list[str] = dataclasses.field(default_factory=list)
    kinds: collections.Counter = dataclasses.field(default_factory=collections.Counter)


def fuzz(target: targets.Target, work: Path, inputs: range, seed: int = 0) -> Outcome:
    """Read `inputs` bent files of a target below `work`."""
    outcome, began = Outcome(target.name), time.perf_counter()
    source, own = work / "in", work / "in" / "out"
    source.mkdir(parents=True)
    target.make(source)
    whole = {path: path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}
    bent_files = [path for path in whole if not target.files or path.match(target.files)]
    target.read(source, own)  # as it is, it must be read
    shutil.rmtree(own, ignore_errors=True)
    for number in inputs:
        rng = random.Random(f"{seed} {target.name} {number}")
        path = rng.choice(bent_files)
        inside = mutate.PACKED.get(path.suffix)
        bent = (
            inside(whole[path], rng)
            if inside and rng.random() < 0.6
            else mutate.bend(whole[path], rng, list(whole.values()))
        )
        path.write_bytes(bent)
        before = _listing(work, own)
        try:
            with _limited(), contextlib.redirect_stdout(None):
                target.read(source, own)
            outcome.read += 1
        except LivestockError as error:
            outcome.refused += 1
            outcome.kinds[type(error.__cause__).__name__] += 1
            told = str(error)
            if len(told.splitlines()) != 1 or len(told) > 1300:
                outcome.failures.append(f"{number}: not one line: {told[:300]!r}")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            place = traceback.extract_tb(error.__traceback__)
            ours = [row for row in place if "livestock_utils" in row.filename] or place
            where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
            outcome.failures.append(f"{number}: {path.name}: {where}: {error!r}"[:300])
        if _listing(work, own) != before:
            outcome.failures.append(f"{number}: {path.name}: wrote outside its folder")
        for file, data in whole.items():
            if not file.is_file() or file == path or file.stat().st_size != len(data):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        shutil.rmtree(own, ignore_errors=True)
    outcome.seconds = time.perf_counter() - began
    return outcome


def _listing(work: Path, own: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all below `work` but for a reader's own folder."""
    found = {}
    for place, folders, names in os.walk(work):
        if Path(place) == own.parent and own.name in folders:
            folders.remove(own.name)
        for name in names:
            stat = os.stat(os.path.join(place, name))
            found[os.path.join(place, name)] = stat.st_size, stat.st_mtime_ns
    return found


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """A limit to the time of one input."""

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """Let the process grow by MEMORY from here on."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))


def run(names: list[str], inputs: int, seed: int = 0, first: int = 0, seconds: float = 1e9) -> list:
    """Fuzz the targets of these names (all of them for none), `inputs` each within `seconds`."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    faulthandler.enable()
    outcomes = []
    chosen = [target for target in targets.TARGETS if not names or target.name in names]
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        for target in chosen:
            share = max(inputs // target.cost, 1)
            outcome = fuzz(target, Path(scratch) / target.name, range(first, first + share), seed)
            outcomes.append(outcome)
            print(
                f"{outcome.name:14} {share:7,} inputs {outcome.read:7,} read {outcome.refused:7,} "
                f"refused {len(outcome.failures):5,} failures {outcome.seconds:6.0f} s",
                flush=True,
            )
            for failure in outcome.failures[:8]:
                print(f"    {failure}", flush=True)
    logging.disable(logging.NOTSET)
    return outcomes


def main() -> None:
    """Parse the command line, run, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=3000, help="of a cheap target; costly less")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--target", action="append", default=[])
    options = parser.parse_args()
    targets.warm_up()
    limit_memory()
    outcomes = run(options.target, options.inputs, options.seed, options.first)
    n, failed = (
        sum(one.read + one.refused + len(one.failures) for one in outcomes),
        sum(len(one.failures) for one in outcomes),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n:,} inputs, {failed} failures, at most {peak:.1f} GiB")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
