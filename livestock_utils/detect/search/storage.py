"""Where a study lives: a local file, or a database that many sessions share.

A dead worker's trial goes back into the queue: databases (SQLite too) by Optuna's heartbeat, and on
the same machine at once, because the process is gone. A journal file has no heartbeat, so it is for
one machine at a time.
"""

import contextlib
import datetime
import importlib.util
import json
import logging
import os
import re
import shutil
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import sqlalchemy
from optuna.storages import JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import exc

from livestock_utils.core import addresses
from livestock_utils.core.errors import TrainingError

log = logging.getLogger(__name__)

RETRIES = 2
"""A trial that fails or dies is tried again this often."""
_CREATE_TRIES = 8
"""Workers that meet an empty database at once disturb each other's first tables."""


def open_storage(url: str, heartbeat_s: int = 60) -> Any:
    """An Optuna storage from an URL: sqlite:///, journal:///, postgresql://, mysql+pymysql://; a
    worker that has not been heard of for two heartbeats counts as dead."""
    if url.startswith("journal://"):
        path = Path(url.removeprefix("journal://"))
        _make_folder(path)
        if path.is_dir():
            raise TrainingError(
                f"storage {url} is a folder; name a file in it, such as {url.rstrip('/')}/study.log"
            )
        lock = JournalFileOpenLock(str(path))
        _mend_journal(path, lock)
        try:
            with quiet():
                return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        except OSError:
            raise
        except Exception as error:  # what a damaged record leads Optuna to has no common base
            raise TrainingError(
                f"storage {url} holds records that Optuna {optuna.__version__} does not know "
                f"({type(error).__name__}: {error}); name another file"
            ) from error
    with one_line(url):
        address = _address(url)
        for attempt in range(_CREATE_TRIES):
            try:
                return _database(address, heartbeat_s)
            except (exc.IntegrityError, exc.ProgrammingError, exc.OperationalError) as error:
                meeting = re.search(r"already exists|duplicate key|deadlock|is locked", str(error))
                if not meeting or attempt == _CREATE_TRIES - 1:
                    raise
                time.sleep(0.1 + 0.3 * attempt + 0.01 * (os.getpid() % 30))
    raise AssertionError("not reached: the last attempt returns or raises")


@contextlib.contextmanager
def one_line(url: str) -> Iterator[None]:
    """What a database complains of, now or in the middle of a study, as a TrainingError of one
    line without the password."""
    shown = addresses.shown(url)
    try:
        yield
    except (ImportError, exc.NoSuchModuleError) as error:
        raise TrainingError(
            f"no database driver for {shown}; pip install psycopg[binary] for postgresql://, "
            "pymysql for mysql+pymysql://"
        ) from error
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        raise TrainingError(
            f"storage {shown} was made by a release of Optuna that {optuna.__version__} cannot "
            "join; name another file or database, or copy it and try `optuna storage upgrade "
            "--storage URL`"
        ) from error
    except exc.ArgumentError as error:
        raise TrainingError(
            f"storage {shown} is no URL; expected sqlite:///FILE, journal:///FILE or "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    except (
        *(exc.SQLAlchemyError, optuna.exceptions.StorageInternalError),
        UnicodeDecodeError,  # sqlite3, while it tells what is wrong with a damaged file
    ) as error:
        is_wrapped = isinstance(error, optuna.exceptions.StorageInternalError)
        cause = error.__cause__ if is_wrapped else error
        reason = " ".join(addresses.scrub(str(getattr(cause, "orig", cause)), url).split())[:160]
        advice = "check host, port, database and password; finished trials are kept"
        if url.startswith("sqlite"):
            advice = "check the file and its disk; if it is damaged, name another or bring a copy"
        raise TrainingError(f"storage {shown} cannot be reached ({reason}); {advice}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna without its own log lines and its warnings about experimental features."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def this_worker() -> str:
    """Host, process and its start: tells a living worker from another of its number."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.2f}"


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put the genes of a failed trial back into the queue, `RETRIES` times at most."""
    with quiet():
        RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)(study, trial)


def fail_dead(study: optuna.Study, has_heartbeat: bool) -> int:
    """Fail and queue again the running trials whose worker is gone; returns how many there were.
    Other machines' are judged by their heartbeat; without one (journal file) they count as dead."""
    host, found = socket.gethostname(), 0
    with quiet():
        if has_heartbeat:
            optuna.storages.fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=True, states=(TrialState.RUNNING,)):
            worker = str(trial.user_attrs.get("worker", ""))
            here = worker.startswith(f"{host} ")
            if has_heartbeat and not here:
                continue
            if _lives(worker) if here else not worker and _is_young(trial):
                continue
            # another was faster
            with contextlib.suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):
                study.tell(trial.number, state=TrialState.FAIL)
                requeue(study, trial)
                found += 1
    if found:
        log.warning("%d trials of workers that are gone are tried again", found)
    return found


def _lives(worker: str) -> bool:
    _, process, began = worker.rsplit(" ", 2)
    try:
        return abs(psutil.Process(int(process)).create_time() - float(began)) < 1
    except psutil.Error:
        return False


def _is_young(trial: FrozenTrial) -> bool:
    """True for a trial that may not have had the time to name its worker."""
    began = trial.datetime_start
    return began is not None and datetime.datetime.now() - began < datetime.timedelta(minutes=1)


def _mend_journal(path: Path, lock: JournalFileOpenLock) -> None:
    """Drop a last line that a lost session left half written, after a copy of the file: the next
    record would go on in it. TrainingError for a line before it that is no record."""
    if not path.is_file() or _whole_records(path)[0] == path.stat().st_size:
        return
    lock.acquire()  # nobody is in the middle of writing now
    try:
        size, line = _whole_records(path)
        if size == path.stat().st_size:
            return
        copy = path.with_name(f"{path.name}.cut-{path.stat().st_size}")
        shutil.copy2(path, copy)
        os.truncate(path, size)
    finally:
        lock.release()
    log.warning("%s, line %d was cut short and is dropped; before, it was %s", path, line, copy)


def _whole_records(path: Path) -> tuple[int, int]:
    """How many bytes of a journal file are whole records, and the number of the line after."""
    data, size = path.read_bytes(), 0
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            is_record = line.endswith(b"\n") and isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            is_record = False
        if not is_record:
            # The first line has to begin as Optuna's do: another file is left alone.
            if number < len(lines) or (number == 1 and not b'{"op_code"'.startswith(data[:10])):
                raise TrainingError(
                    f"storage {path}, line {number} is no record of Optuna's; name another file, "
                    "or drop that line after a copy"
                )
            return size, number
        size += len(line)
    return size, len(lines) + 1


def _address(url: str) -> sqlalchemy.URL:
    """The parsed URL; postgresql:// takes psycopg 3 where it is installed."""
    address = sqlalchemy.make_url(url)
    if address.drivername == "postgresql" and importlib.util.find_spec("psycopg"):
        return address.set(drivername="postgresql+psycopg")
    if address.drivername.startswith("sqlite") and address.database:
        _make_folder(Path(address.database))
    return address


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(
            f"storage {path} cannot be made ({error.strerror}); name another folder"
        ) from error


def _database(address: sqlalchemy.URL, heartbeat_s: int) -> RDBStorage:
    is_file = address.drivername.startswith("sqlite")
    with quiet():
        return RDBStorage(
            address.render_as_string(hide_password=False),
            engine_kwargs={
                "pool_pre_ping": True,
                "connect_args": {"timeout": 60} if is_file else {"connect_timeout": 10},
            },
            heartbeat_interval=heartbeat_s,
            grace_period=2 * heartbeat_s,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
        )
