"""Trackers: checked before the work, told once when they fail, a run of theirs a run folder; on
stub modules."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from training_sets import train, write_set

from livestock_utils.core.errors import TrainingError
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import loggers, loop

FAST = {
    "epochs": 2,
    "image_size": 64,
    "batch_size": 4,
    "warmup_min_iterations": 2,
    "final_evaluation": False,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"))


class Wandb(ModuleType):
    """As much of wandb as a logger calls; keeps what arrives, by run id."""

    def __init__(self, key="a key", mode="online"):
        super().__init__("wandb")
        self.runs, self.finished, self.broken = {}, [], set()
        self.api = SimpleNamespace(api_key=key)
        self.setup = lambda: SimpleNamespace(settings=SimpleNamespace(mode=mode))

    def init(self, *, project, name, id, resume, dir, config):
        if "init" in self.broken:
            raise ConnectionError("tracker lost\nin two lines")
        assert (project, resume) == ("livestock", "allow") and config["epochs"] == 2
        rows = self.runs.setdefault(id, [])

        def log(row, step):
            if "log" in self.broken and step == 0:
                raise ConnectionError("tracker lost")
            rows.append((step, row["metrics/mAP_0.75"]))

        return SimpleNamespace(log=log, finish=lambda: self.finished.append(id))


class MlFlow(ModuleType):
    """The same of mlflow."""

    def __init__(self):
        super().__init__("mlflow")
        self.runs, self.params, self.open = {}, {}, None
        self.set_experiment = lambda name: None

    def start_run(self, run_id=None, run_name=None):
        self.open = run_id or f"id{len(self.runs)}"
        self.runs.setdefault(self.open, [])
        return SimpleNamespace(info=SimpleNamespace(run_id=self.open))

    def log_params(self, values):
        self.params[self.open] = values

    def log_metrics(self, values, step):
        assert not any(":" in name for name in values)
        self.runs[self.open].append(step)

    def end_run(self):
        self.open = None


@pytest.fixture
def wandb(monkeypatch):
    module = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


@pytest.fixture
def mlflow(monkeypatch):
    module = MlFlow()
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return module


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((), ()),
        ("", ()),
        ("none", ()),
        ("wandb", ("wandb",)),
        ("tensorboard, mlflow", ("tensorboard", "mlflow")),
        (["wandb", "mlflow"], ("wandb", "mlflow")),
    ],
)
def test_loggers_by_text_or_list(given, names):
    assert TrainSettings(loggers=given).loggers == names


def test_each_run_folder_has_its_own_run_in_both_trackers_and_goes_on_in_it(
    data, tmp_path, wandb, mlflow
):
    def cut(epoch, row):
        if epoch == 0:
            raise KeyboardInterrupt

    options = {**FAST, "loggers": "wandb,mlflow"}
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "a" / "same name", **options, on_epoch=cut)
    for folder in ("a", "b"):
        run = train(data, tmp_path / folder / "same name", **options)
        assert run.finished and run.warnings == []
    assert [[step for step, _ in rows] for rows in wandb.runs.values()] == [[0, 1], [0, 1]]
    assert [score for _, score in [*wandb.runs.values()][1]] == pytest.approx(
        list(run.results["metrics/mAP_0.75"])
    )
    assert mlflow.runs == {"id0": [0, 1], "id1": [0, 1]} and mlflow.params["id1"]["epochs"] == "2"
    assert len(wandb.finished) == 3 and mlflow.open is None


@pytest.mark.parametrize(("where", "seen"), [("log", [1]), ("init", None)])
def test_a_tracker_that_fails_is_told_once_and_stops_nothing(data, tmp_path, wandb, where, seen):
    wandb.broken.add(where)
    run = train(data, tmp_path / "run", **FAST, loggers="wandb")
    assert run.finished and len(run.results) == 2
    assert len(run.warnings) == 1
    assert (
        run.warnings[0].startswith("logger wandb failed (tracker lost")
        and "\n" not in run.warnings[0]
    )
    assert [[step for step, _ in rows] for rows in wandb.runs.values()] == ([seen] if seen else [])


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        ("wandb", Wandb(key=None), "logger 'wandb' needs an account: run wandb.login\\(\\) first"),
        ("wandb", None, "logger 'wandb' is not installed"),
        ("mlflow", None, "logger 'mlflow' is not installed"),
    ],
)
def test_what_a_tracker_lacks_is_told_before_the_work(
    data, tmp_path, monkeypatch, name, module, message
):
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(loop, "start", lambda *_, **__: pytest.fail("images were cached already"))
    with pytest.raises(TrainingError, match=message):
        train(data, tmp_path / "run", **FAST, loggers=name)


def test_wandb_offline_needs_no_account(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", Wandb(key=None, mode="offline"))
    loggers.check(("wandb",))
