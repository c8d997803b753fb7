"""One study, many workers: joined, its trials shared without losing or doubling any.

A study has a fixed number of slots. Finished, pruned, running and queued trials take one each,
failed ones none.
"""

import dataclasses
import datetime
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages._heartbeat import is_heartbeat_enabled
from optuna.trial import FrozenTrial, Trial, TrialState

from livestock_utils.core import files, made
from livestock_utils.core.errors import LivestockError, TrainingError
from livestock_utils.core.progress import progress
from livestock_utils.detect.search import storage as search_storage

log = logging.getLogger(__name__)

IDENTITY, KEY = "search", "key"
"""The study's user attributes that say what is searched, and which study of that name it is."""
_KEY_FILE = "study.json"
SKIPPED = "skipped"
"""A trial's user attribute: why it was given back without training."""
_TAKEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
_CAUGHT = (RuntimeError, OSError, MemoryError)
"""What may hit one trial and spare the next (GPU memory, Drive): tried again."""
_MOST_GIVEN_BACK = 50
"""So many trials in a row with nothing new, and a worker stops: the genes are used up."""
MOST_FAILED = 9
"""So many failures in a row, and a worker stops: the fault is not the genes'."""
SOON_S = 10.0
"""Seconds after its failure within which a trial is back in the queue."""


class GiveBack(RuntimeError):
    """Ends a trial that needs no training: no slot was left, or another has the same genes."""


def join(
    name: str,
    storage: Any,
    identity: Mapping[str, Any],
    sampler: Any,
    pruner: Any,
    directions: Sequence[Literal["maximize", "minimize"]] = ("maximize",),
    defaults: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """Create the study, or join it if it is the same; `identity` decides what scores mean. A study
    without a running or finished trial takes the new identity: its first call may have had a wrong
    setting. `defaults` (keys joined by dots) stand for what an older study did not record."""
    with search_storage.quiet():
        try:
            study = optuna.create_study(
                storage=storage,
                sampler=sampler,
                pruner=pruner,
                study_name=name,
                load_if_exists=True,
                directions=list(directions),
            )
        except ValueError as error:
            raise TrainingError(
                f"study {name!r} cannot be joined ({error}); give the study another name"
            ) from error
        begun = study.get_trials(deepcopy=False, states=_TAKEN[:3])
        there = [direction.name.lower() for direction in study.directions]
        if begun and IDENTITY not in study.user_attrs:
            raise TrainingError(
                f"study {name!r} holds {len(begun)} trials that another program made; give the "
                "study another name"
            )
    recorded = study.user_attrs[IDENTITY] if begun else dict(identity)
    before = {**(defaults or {}), **_flat(recorded)}
    now = {**(defaults or {}), **_flat(identity)}
    keys = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    changed = [f"{key}: {before.get(key)} there, {now.get(key)} here" for key in keys]
    if there != list(directions):
        keys.insert(0, "directions")
        changed.insert(0, f"directions: {', '.join(there)} there, {', '.join(directions)} here")
    if keys and all(key.startswith("base.") for key in keys):
        raise TrainingError(
            f"study {name!r} began from another base ({'; '.join(changed[:4])}): an earlier "
            "group's best has changed since, or `base` has; give the study another name"
        )
    if keys:
        more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
        raise TrainingError(
            f"study {name!r} is about something else ({'; '.join(changed[:4])}{more}); "
            "give the study another name, or take its settings"
        )
    with search_storage.quiet():  # what is refused stays as it was
        if KEY not in study.user_attrs:
            study.set_user_attr(KEY, uuid.uuid4().hex[:8])
        if study.user_attrs.get(IDENTITY) is None or not begun:
            study.set_user_attr(IDENTITY, dict(identity))
    return study


def recorded(name: str, storage: Any) -> dict[str, Any] | None:
    """The identity of a study that has begun, or None."""
    with search_storage.quiet():
        if name not in optuna.get_all_study_names(storage):
            return None
        study = optuna.load_study(study_name=name, storage=storage)
        identity = study.user_attrs.get(IDENTITY)
    return None if identity is None or not study.get_trials(deepcopy=False) else dict(identity)


def folder_of(study: optuna.Study, root: Path) -> Path:
    """The folder of the trials' runs, ROOT/<study>; another where that is taken: a study that was
    made anew (its file deleted, another storage) must not find the old one's runs finished."""
    key = study.user_attrs[KEY]
    for folder in (root / study.study_name, root / f"{study.study_name}-{key}"):
        owner = folder / _KEY_FILE
        if not owner.is_file() and not any(folder.glob("trial_*")):
            files.write_json(owner, {KEY: key})
        if made.read(owner).get(KEY) == key:
            return folder
    return folder


def work(
    study: optuna.Study,
    objective: Callable[[Trial], Any],
    n_trials: int,
    *,
    poll_s: float = 5.0,
    after: Callable[[FrozenTrial], None] | None = None,
) -> None:
    """Run trials until all `n_trials` slots of the study are done, whoever did them. When the last
    ones run elsewhere this worker waits, so that it can take them up should their worker die.
    Errors of `_CAUGHT` fail a trial, which is tried again; other errors end the work. `after` is
    called with each own trial."""
    storage = study._storage  # Optuna has no public way to ask for the heartbeat
    has_heartbeat = is_heartbeat_enabled(storage)
    given_back = failed = 0
    bar = progress(total=n_trials, desc=study.study_name, unit="trial")
    search_storage.fail_dead(study, has_heartbeat)
    while True:
        trials = study.get_trials(deepcopy=False)
        states = [trial.state for trial in trials]
        done = sum(state in _TAKEN[:2] for state in states)
        bar.update(min(done, n_trials) - bar.n)
        if done >= n_trials:
            break
        taken = sum(state in _TAKEN for state in states) + len(_to_be_queued(trials))
        if taken < n_trials or TrialState.WAITING in states:
            ended = _one(study, objective, after)
            given_back = given_back + 1 if ended.given_back else 0
            failed = failed + 1 if ended.reason else failed if ended.given_back else 0
            if failed >= MOST_FAILED:
                raise TrainingError(
                    f"study {study.study_name!r}: the last {failed} trials failed, the newest with "
                    f"{ended.reason}; mend that and start again, finished trials are kept"
                )
            if given_back >= _MOST_GIVEN_BACK:
                raise TrainingError(
                    f"study {study.study_name!r}: the last {given_back} trials drew genes that "
                    "were tried before; widen their ranges, allow fewer trials, or take another "
                    "sampler"
                )
        elif not search_storage.fail_dead(study, has_heartbeat):
            log.info("waiting for %d trials of other workers", states.count(TrialState.RUNNING))
            time.sleep(poll_s)
    bar.close()


def slot_taken(study: optuna.Study, trial: Trial, n_trials: int) -> str | None:
    """Why a trial should not be trained: slots are full or genes doubled; None to go on."""
    trials = study.get_trials(deepcopy=False)
    others = [t for t in trials if t.state in _TAKEN and t.number != trial.number]
    mine = _place(trials[trial.number])
    if sum(_place(t) < mine for t in [*others, *_to_be_queued(trials)]) >= n_trials:
        return "no slot left"
    same = [t for t in others if t.params == trial.params]
    return f"same genes as trial {same[0].number}" if same else None


def _place(trial: FrozenTrial) -> int:
    """A trial's number among the slots: of a retry that of the first failure."""
    return int(trial.system_attrs.get("failed_trial", trial.number))


def _to_be_queued(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that have just failed and wait for the queue: their slot is taken. Failing and
    queueing are two steps. Should the worker that takes them die in between, the slot is free after
    SOON_S; so it is where the clocks of two machines differ by more."""
    retried = {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}
    now = datetime.datetime.now()
    return [
        trial
        for trial in trials
        if trial.state == TrialState.FAIL
        and SKIPPED not in trial.user_attrs
        and trial.number not in retried
        and trial.datetime_complete is not None
        and len(trial.system_attrs.get("retry_history", ())) < search_storage.RETRIES
        and abs((now - trial.datetime_complete).total_seconds()) < SOON_S
    ]


@dataclasses.dataclass
class _Ended:
    """What became of a trial: given back without training, or failed for a reason."""

    given_back: bool = False
    reason: str = ""


def _one(
    study: optuna.Study,
    objective: Callable[[Trial], Any],
    after: Callable[[FrozenTrial], None] | None,
) -> _Ended:
    """One trial, whatever becomes of it."""
    begun: list[int] = []
    ended = _Ended()

    def guarded(trial: Trial) -> Any:
        begun.append(trial.number)
        trial.set_user_attr("worker", search_storage.this_worker())
        try:
            return objective(trial)
        except (GiveBack, optuna.TrialPruned):
            raise
        except Exception as error:
            trial.set_user_attr("reason", f"{type(error).__name__}: {error}"[:300])
            raise

    def done(study: optuna.Study, trial: FrozenTrial) -> None:
        ended.given_back = SKIPPED in trial.user_attrs
        if trial.state == TrialState.FAIL and not ended.given_back:
            ended.reason = trial.user_attrs.get("reason", "no number as its score")
            log.warning("trial %d failed: %s", trial.number, ended.reason)
            search_storage.requeue(study, trial)
        if after is not None:
            after(trial)

    try:
        with search_storage.quiet():
            study.optimize(guarded, n_trials=1, catch=_CAUGHT, callbacks=[done])
    except KeyboardInterrupt:
        if begun:
            search_storage.requeue(study, study.get_trials()[begun[0]])
        raise
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError) as error:
        if begun and isinstance(error, LivestockError):  # the same genes wait for a right setting
            search_storage.requeue(study, study.get_trials()[begun[0]])
        if isinstance(error, LivestockError) or not begun:
            raise
        if study.get_trials(deepcopy=False)[begun[0]].state != TrialState.FAIL:
            raise
        log.warning("trial %d was taken for dead and is tried again by another worker", begun[0])
    return ended


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots; tuples as lists, as JSON gives them back."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat
