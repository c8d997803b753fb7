"""Work done ahead in threads: reading, decoding, hashing and writing while the caller works."""

import concurrent.futures
import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TypeVar

_SHARING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""GNU OpenMP's threads sleep while they wait, where they would spin and hold a core."""

T = TypeVar("T")
R = TypeVar("R")


def share_cores() -> None:
    """Let torch's waiting threads sleep in this process and those it starts; before torch loads.
    Beside another busy process a training that spins was up to 20 times slower; one that sleeps
    lost a third. A user's own values stay."""
    for name, value in _SHARING.items():
        os.environ.setdefault(name, value)


def work_ahead(
    work: Callable[[T], R], items: Iterable[T], workers: int = 2, ahead: int = 16
) -> Generator[R, None, None]:
    """Results of `work` on each of `items`, in order, at most `ahead` beyond the one in use. What
    waits when the caller stops, or an item raises, is not begun any more."""
    with concurrent.futures.ThreadPoolExecutor(max(workers, 1)) as pool:
        waiting: deque[concurrent.futures.Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextlib.contextmanager
def swapped(mapping: MutableMapping[str, Any], values: Mapping[str, Any]) -> Iterator[None]:
    """Entries of `mapping` for a while. Unlike `mock.patch.dict` it never empties what other
    threads read meanwhile: an import in such a moment would load Python's own modules anew."""
    before = {name: mapping[name] for name in values if name in mapping}
    mapping.update(values)
    try:
        yield
    finally:
        for name in values:
            if name in before:
                mapping[name] = before[name]
            else:
                mapping.pop(name, None)
