"""Shared studies: no trial lost or doubled, dead workers' trials taken up, another study refused,
faults in a line."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import postgres_server
import pytest

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.search import samplers, storage
from livestock_utils.detect.search import study as search_study
from livestock_utils.detect.search import trials as search_table

WORKER = Path(__file__).with_name("search_worker.py")


def sqlite(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


def joined(url, name="s", identity=None, heartbeat_s=60, sampler=None, directions=("maximize",)):
    return search_study.join(
        name,
        storage.open_storage(url, heartbeat_s),
        identity or {"a": 1},
        sampler or optuna.samplers.RandomSampler(seed=0),
        samplers.pruner("none"),
        directions,
    )


def score(trial):
    return trial.suggest_float("x", 0, 1)


def start_workers(url, n_trials, *rows):
    """Workers that have joined the study, all let go together."""
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), url, "shared", str(n_trials), *row],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for row in rows
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n", worker.stderr.read()
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return workers


def finish(workers):
    """What the workers printed, and how they ended."""
    ended = [(*worker.communicate(timeout=240), worker.returncode) for worker in workers]
    lines = [json.loads(line) for out, _, _ in ended for line in out.splitlines()]
    return lines, [code for _, _, code in ended], " ".join(err for _, err, _ in ended)


# ---- many workers


@pytest.mark.slow
@pytest.mark.skipif(postgres_server.missing() is not None, reason=postgres_server.missing() or "")
def test_four_workers_two_killed_on_postgresql():
    n_trials = 24
    with postgres_server.running() as url:
        workers = start_workers(url, n_trials, (), (), ("2",), ("3", "another-machine"))
        lines, codes, errors = finish(workers)
        assert sorted(codes) == [-9, -9, 0, 0], errors
        study = joined(url, "shared", {"group": "losses"})
        complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        killed = [line["killed"] for line in lines if "killed" in line]
        done = [line["genes"] for line in lines if "genes" in line]
        assert len(complete) == len(done) == n_trials
        assert len({tuple(trial.params.values()) for trial in complete}) == n_trials
        assert len(killed) == 2 and all(genes in done for genes in killed)
        table = search_table.trials_table(study)
        retried = table[table["retry_of"].notna()]
        assert (
            set(retried["retry_of"]) == set(table.loc[table["state"] == "failed", "trial"])
            and len(retried) == 2
        )
        with pytest.raises(
            TrainingError, match=r"cannot be reached .*password authentication failed"
        ) as error:
            storage.open_storage(url.replace("worker:", "worker:wrong"))
        assert "wrong" not in str(error.value) and "worker:***@127.0.0.1" in str(error.value)
    with pytest.raises(TrainingError, match="cannot be reached"), storage.one_line(url):
        search_study.work(
            study, score, n_trials + 1
        )  # the server has gone in the middle of a study


def test_new_genes_never_take_the_slot_of_a_trial_that_is_about_to_be_queued_again(
    tmp_path, monkeypatch
):
    study = joined(sqlite(tmp_path))
    done, failed, new = (study.ask() for _ in range(3))
    for trial in (done, failed, new):
        score(trial)
    study.tell(done, 1.0)
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    assert (
        search_study.slot_taken(study, new, 2) == "no slot left"
    )  # another worker is between failing and queueing
    assert search_study.slot_taken(study, new, 3) is None
    storage.requeue(study, study.trials[failed.number])
    again = study.ask()
    assert again.number == 3 and score(again) == study.trials[failed.number].params["x"]
    assert search_study.slot_taken(study, again, 2) is None
    assert search_study.slot_taken(study, new, 2) == "no slot left"


def test_a_slot_whose_trial_nobody_queues_again_is_free_after_a_while(tmp_path, monkeypatch):
    study = joined(sqlite(tmp_path))
    failed, new = study.ask(), study.ask()
    score(new)
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    assert search_study.slot_taken(study, new, 1) == "no slot left"
    monkeypatch.setattr(search_study, "SOON_S", 0.0)
    assert search_study.slot_taken(study, new, 1) is None


def test_a_killed_workers_trial_is_taken_up_from_a_local_file(tmp_path):
    for url in (sqlite(tmp_path), f"journal://{tmp_path / 'study.log'}"):
        lines, codes, errors = finish(start_workers(url, 3, ("2",)))
        assert codes == [-9], errors
        killed = [line["killed"] for line in lines if "killed" in line]
        lines, codes, errors = finish(start_workers(url, 3, ()))
        assert codes == [0], errors
        done = [line["genes"] for line in lines]
        assert len(done) == 2 and done[0] == killed[0]


# ---- slots


def test_a_finished_study_starts_no_more_trials(tmp_path):
    study = joined(sqlite(tmp_path))
    search_study.work(study, score, 3)
    search_study.work(joined(sqlite(tmp_path)), pytest.fail, 3)
    assert len(study.trials) == 3


def test_a_failing_trial_is_told_counted_and_tried_again(tmp_path, caplog):
    calls = []

    def objective(trial):
        calls.append(trial.suggest_float("x", 0, 1))
        if len(calls) in (2, 3):
            raise RuntimeError("CUDA out of memory")
        return calls[-1]

    study = joined(sqlite(tmp_path))
    search_study.work(study, objective, 3)
    table = search_table.trials_table(study)
    assert table["state"].tolist() == ["complete", "failed", "failed", "complete", "complete"]
    assert calls[1] == calls[2] == calls[3]
    assert table["reason"].tolist()[1:3] == ["RuntimeError: CUDA out of memory"] * 2
    assert [str(value) for value in table["retry_of"]] == ["<NA>", "<NA>", "1", "1", "<NA>"]
    assert "trial 1 failed: RuntimeError: CUDA out of memory" in caplog.text


def test_a_trial_that_always_fails_is_given_up_and_others_take_its_slot(tmp_path):
    first = []

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        first.append(x)
        if x == first[0]:
            raise OSError("disk")
        return x

    study = joined(sqlite(tmp_path))
    search_study.work(study, objective, 2)
    states = search_table.trials_table(study)["state"].value_counts()
    assert states["failed"] == 1 + storage.RETRIES and states["complete"] == 2


def test_a_fault_that_hits_every_trial_ends_the_work(tmp_path):
    def objective(trial):
        trial.suggest_float("x", 0, 1)
        raise RuntimeError("no kernel image is available")

    study = joined(sqlite(tmp_path))
    with pytest.raises(
        TrainingError,
        match=r"the last 9 trials failed, the newest with RuntimeError: no kernel image",
    ):
        search_study.work(study, objective, 6)
    assert (
        search_table.trials_table(study)["state"].value_counts()["failed"]
        == search_study.MOST_FAILED
    )


def test_an_error_of_the_set_up_ends_the_work(tmp_path):
    def objective(trial):
        trial.suggest_float("x", 0, 1)
        raise TrainingError("image_size must be a multiple of 32")

    study = joined(sqlite(tmp_path))
    with pytest.raises(TrainingError, match="image_size must be"):
        search_study.work(study, objective, 3)
    assert len(study.trials) <= 2  # the failed one, and its second try in the queue
    with pytest.raises(
        TrainingError, match=r"no trial has finished \(0 pruned, 1 failed, the first: Train"
    ):
        search_table.best_trial(search_table.trials_table(study))


def test_an_interrupted_trial_waits_for_the_next_session(tmp_path):
    def interrupted(trial):
        trial.suggest_float("x", 0, 1)
        raise KeyboardInterrupt

    study = joined(sqlite(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        search_study.work(study, interrupted, 1)
    search_study.work(study, score, 1)
    table = search_table.trials_table(study)
    assert table["state"].tolist() == ["failed", "complete"] and table["x"].nunique() == 1


def test_surplus_and_doubled_trials_are_given_back(tmp_path):
    study = joined(sqlite(tmp_path))
    with storage.quiet():
        trials = [study.ask() for _ in range(3)]
        for trial, x in zip(trials, (0.1, 0.2, 0.1), strict=True):
            trial.storage = None
            study._storage.set_trial_param(
                trial._trial_id, "x", x, optuna.distributions.FloatDistribution(0, 1)
            )
    asked = [optuna.trial.Trial(study, trial._trial_id) for trial in trials]
    assert search_study.slot_taken(study, asked[0], 3) == "same genes as trial 2"
    assert search_study.slot_taken(study, asked[1], 3) is None
    assert search_study.slot_taken(study, asked[2], 2) == "no slot left"


def test_genes_that_leave_nothing_new_end_the_work(tmp_path):
    def objective(trial):
        trial.suggest_categorical("x", ["only"])
        if why := search_study.slot_taken(trial.study, trial, 2):
            trial.set_user_attr(search_study.SKIPPED, why)
            raise search_study.GiveBack(why)
        return 1.0

    study = joined(f"journal://{tmp_path / 'study.log'}")
    with pytest.raises(
        TrainingError, match="the last 50 trials drew genes that were tried before; widen"
    ):
        search_study.work(study, objective, 2)
    assert search_table.trials_table(study)["state"].tolist() == ["complete"]


# ---- what is refused


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"data": "b", "training": {"epochs": 7}}, r"\(data: a there, b here\)"),
        ({"data": "a", "training": {"epochs": 10}}, r"\(training.epochs: 7 there, 10 here\)"),
        ({"data": "a", "training": {}}, r"\(training.epochs: 7 there, None here\)"),
        ({"data": "b", "training": {}, **{f"k{n}": n for n in range(4)}}, "and 2 more"),
    ],
)
def test_a_study_about_something_else_is_refused_with_the_difference(tmp_path, other, message):
    joined(sqlite(tmp_path), identity={"data": "z"})  # nothing was trained for it: it gives way
    study = joined(sqlite(tmp_path), identity={"data": "a", "training": {"epochs": 7}})
    search_study.work(study, score, 1)
    joined(sqlite(tmp_path), identity={"data": "a", "training": {"epochs": 7}})
    with pytest.raises(
        TrainingError, match=rf"study 's' is about something else .*{message}.*another name"
    ):
        joined(sqlite(tmp_path), identity=other)


@pytest.mark.parametrize(
    ("made", "wanted", "told"),
    [
        (None, ("maximize",), "minimize there, maximize here"),  # Optuna's default
        (["minimize"], ("maximize",), "minimize there, maximize here"),
        (["maximize"], ("maximize", "minimize"), "maximize there, maximize, minimize here"),
        (
            ["minimize", "maximize"],
            ("maximize", "minimize"),
            "minimize, maximize there, maximize, minimize here",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_study_that_looks_the_other_way_is_refused_and_left_alone(
    tmp_path, made, wanted, told, kind
):
    url = sqlite(tmp_path) if kind == "sqlite" else f"journal://{tmp_path / 'study.log'}"
    opened = storage.open_storage(url)
    optuna.create_study(storage=opened, study_name="s", directions=made)
    with pytest.raises(TrainingError, match=rf"about something else \(directions: {told}\)"):
        joined(url, directions=wanted)
    assert optuna.load_study(storage=opened, study_name="s").user_attrs == {}


def test_a_study_made_beforehand_is_joined_while_it_is_empty(tmp_path):
    opened = storage.open_storage(sqlite(tmp_path))
    study = optuna.create_study(storage=opened, study_name="s", direction="maximize")
    assert joined(sqlite(tmp_path)).user_attrs["search"] == {"a": 1}
    other = optuna.create_study(storage=opened, study_name="t", direction="maximize")
    other.optimize(score, n_trials=2)
    with pytest.raises(TrainingError, match="'t' holds 2 trials that another program made"):
        joined(sqlite(tmp_path), name="t")
    assert study.directions == other.directions and other.user_attrs == {}


@pytest.mark.parametrize("tail", [b'{"op_', b'{"op_code":4,"worker_id":"a', b"\0" * 40, b"\xff\n"])
def test_a_journal_file_that_was_cut_goes_on(tmp_path, caplog, tail):
    path = tmp_path / "study.log"
    url = f"journal://{path}"
    search_study.work(joined(url), score, 2)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    study = joined(url)
    assert path.read_bytes().startswith(whole + b"{")
    assert (tmp_path / f"study.log.cut-{len(whole + tail)}").read_bytes() == whole + tail
    lines = len(whole.splitlines())
    assert f"study.log, line {lines + 1} was cut short and is dropped" in caplog.text
    search_study.work(study, score, 4)
    assert search_table.trials_table(joined(url))["state"].tolist() == ["complete"] * 4
    assert len(list(tmp_path.glob("*.cut-*"))) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"notes", "line 1 is no record of Optuna's"),
        (b"a,b\n1,2\n", "line 1 is no record of Optuna's"),
        (b'{"op_code":0}\n' + b"[" * 200_000 + b"\n{}\n", "line 2 is no record of Optuna's"),
        (b'{"op_code":0}half{"op_code":0}\n{"op_code":1}\n', "line 1 is no record of Optuna's"),
        (b'{"op_code":99,"worker_id":"x"}\n', "records that Optuna .* does not know"),
        (b'{"name":"pig"}\n', "records that Optuna .* does not know"),
        (
            b'{"op_code":0,"worker_id":"w","study_name":"s","directions":[2]}\n'
            b'{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"2020-01-01T00:00:00"}\n'
            b'{"op_code":5,"worker_id":"w","trial_id":0,"param_name":"lr0","param_value_internal":'
            b'0.1,"distribution":"{\\"name\\": \\"FloatDistribution\\", \\"attributes\\": '
            b'{\\"step\\": true, \\"low\\": 0, \\"high\\": 1, \\"log\\": false}}"}\n',
            "records that Optuna .* does not know .InvalidOperation",
        ),
    ],
)
def test_other_files_are_no_journals_and_are_left_alone(tmp_path, content, message):
    path = tmp_path / "study.log"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=message) as error:
        storage.open_storage(f"journal://{path}")
    assert path.read_bytes() == content and "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["study.log"]


@pytest.mark.parametrize("bent", [b"study_nam\xff VARCHAR", b"study_name VARCHAR,,,,"])
def test_a_damaged_database_file_is_told_in_a_line(tmp_path, bent):
    joined(sqlite(tmp_path))
    path = tmp_path / "study.db"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"study_name VARCHAR(512)"[: len(bent)], bent))
    with pytest.raises(TrainingError, match="check the file and its disk") as error:
        storage.open_storage(sqlite(tmp_path))
    assert "\n" not in str(error.value) and path.read_bytes() != whole


@pytest.mark.parametrize("version", ["v0.9.0.a", "v99.0.0.a"])
def test_a_database_of_another_optuna_is_told_in_a_line(tmp_path, version):
    joined(sqlite(tmp_path))
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
        database.commit()
    with pytest.raises(TrainingError, match=r"release of Optuna that .* cannot join") as error:
        storage.open_storage(sqlite(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://me:sesame@127.0.0.1:1/db",
            r"postgresql://me:\*\*\*@127.0.0.1:1/db cannot be reached .*check host",
        ),
        (
            "study.db",
            "storage study.db is no URL; expected sqlite:///FILE, journal:///FILE or postgresql",
        ),
        (
            "nosuch://me:sesame@host/db",
            r"no database driver for nosuch://me:\*\*\*@host/db; pip install psycopg",
        ),
        (
            "sqlite:////proc/none/study.db",
            "storage /proc/none/study.db cannot be made .*another folder",
        ),
        (
            "journal:///proc",
            "storage journal:///proc is a folder; name a file in it, such as "
            "journal:///proc/study.log",
        ),
        (
            "postgresql://me:se@same@127.0.0.1:1/db",
            r"postgresql://me:\*\*\*@127.0.0.1:1/db cannot be reached",
        ),
        (
            "postgresql://me:sesa me@127.0.0.1:1/db",
            r"postgresql://me:\*\*\*@127.0.0.1:1/db cannot be reached",
        ),
        (
            "mysql+mysqldb://me:sesame@127.0.0.1:1/db",
            r"no database driver for mysql\+mysqldb://me:\*\*\*@127.0.0.1:1/db",
        ),
    ],
)
def test_storages_that_cannot_be_used(url, message):
    with pytest.raises(TrainingError, match=message) as error:
        storage.open_storage(url)
    told = str(error.value)
    assert not any(part in told for part in ("sesame", "sesa", "same@")) and "\n" not in told
