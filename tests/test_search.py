"""A search from end to end on tiny trainings: base first, best written, pruning, divergence,
resuming, refusals."""

import dataclasses
import json
import math
import os

import pandas as pd
import pytest
import yaml
from training_sets import write_set

from livestock_utils.core.errors import DivergedError, NotebookError, TrainingError
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect import settings as training_settings
from livestock_utils.detect.search import best as search_best
from livestock_utils.detect.search import objective
from livestock_utils.detect.search import trials as search_table
from livestock_utils.detect.search.genes import Gene
from livestock_utils.detect.search.run import search
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.detect.train import recipes, run
from livestock_utils.show.words import search as words

TRAINING = TrainSettings(
    epochs=1, image_size=64, batch_size=4, warmup_min_iterations=2, autoanchor=False
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"), n_train=4, n_valid=2)


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    """One real search of two trials, without pruning."""
    out = tmp_path_factory.mktemp("out")
    return search(data, None, out, TRAINING, trials=2, sampler="genetic", pruner="none")


@pytest.fixture
def made_up(monkeypatch):
    """Trainings that take no time: the score is a function of lr0, the epochs come one by one."""
    calls = []

    def train(data_yaml, valid, folder, settings, *, on_epoch, **others):
        hyp, epochs = settings.hyp, settings.epochs
        calls.append({**vars(settings), "folder": folder, **others})
        if hyp["lr0"] > 0.05:
            raise DivergedError("the loss is nan in epoch 1")
        score = 1 / (1 + abs(math.log10(hyp["lr0"]) + 3))
        for epoch in range(epochs):
            if on_epoch(
                epoch, dict.fromkeys(objective.EPOCH_COLUMNS.values(), score * (epoch + 1) / epochs)
            ):
                break
        (folder / "weights").mkdir(parents=True)
        (folder / "weights" / "best.pt").write_bytes(bytes(int(1e6 * hyp["lr0"])))
        return run.Run(folder)

    def evaluate(weights, data, **settings):
        columns = dict.fromkeys(objective.EPOCH_COLUMNS, 0.4)
        return pd.DataFrame(
            [columns | {"mAP75_contest": 1e-6 * weights.stat().st_size}], index=["all"]
        )

    monkeypatch.setattr(run, "train", train, raising=False)
    monkeypatch.setattr(run, "evaluate", evaluate, raising=False)
    return calls


def searched(data, out, trials, **options):
    """A search that keeps its study in a journal file, which is faster than a database that makes
    sure of each line."""
    settings = {name: options.pop(name) for name in ("epochs", "image_size") if name in options}
    usual = {"sampler": "random", "pruner": "none", "storage": f"journal://{out / 'study.log'}"}
    asked = dataclasses.replace(TRAINING, **settings)
    return search(data, None, out, asked, trials=trials, **usual | options)


# ---- a real search


def test_a_search_trains_scores_and_writes_the_best(found):
    table = found.table
    assert table["state"].tolist() == ["complete"] * 2 and table["epochs"].tolist() == [1] * 2
    base = training_settings.read_hyp("default")
    assert all(table[gene.name][0] == gene.clip(base[gene.name]) for gene in found.genes)
    written = training_settings.read_hyp(found.hyp_file)
    assert found.hyp_file.name == "hyp_lr_momentum_best.yaml" and written == found.best_hyp
    names = {gene.name for gene in found.genes}
    assert {name: value for name, value in written.items() if name not in names} == {
        name: value for name, value in base.items() if name not in names
    }
    best = search_table.best_trial(table)
    assert best["score"] == table["score"].max()
    assert all(written[name] == best[name] for name in names)


def test_trial_folders_keep_results_and_settings_but_no_weights(found):
    folder = found.hyp_file.parents[1] / "search" / "lr_momentum" / "trial_000"
    assert {"results.csv", "hyp.yaml", "settings.yaml", "run.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert not (folder / "weights").exists()
    assert len(pd.read_csv(folder / "results.csv")) == 1


def test_a_finished_search_returns_at_once(found, data, made_up):
    out = found.hyp_file.parents[1]
    again = search(data, None, out, TRAINING, trials=2, sampler="tpe", pruner="none")
    assert made_up == [] and again.best_hyp == found.best_hyp


def test_another_data_set_or_objective_is_refused_with_the_difference(
    found, data, tmp_path, made_up
):
    out = found.hyp_file.parents[1]
    with pytest.raises(
        TrainingError, match=r"study 'lr_momentum' is about something else \(objective.mAP50: None"
    ):
        search(data, None, out, TRAINING, trials=2, objective={"mAP50": 1.0})
    with pytest.raises(TrainingError, match=r"about something else \(data: .* there, .* here\)"):
        search(write_set(tmp_path, n_train=5), None, out, TRAINING, trials=2)
    with pytest.raises(
        TrainingError, match=r"about something else \(training.epochs: 1 there, 3 here\)"
    ):
        search(data, None, out, dataclasses.replace(TRAINING, epochs=3), trials=2)
    assert made_up == []


# ---- on made-up trainings


def test_a_loss_that_is_no_number_prunes_its_trial(data, tmp_path, made_up):
    found = searched(data, tmp_path, 8)
    table = found.table
    diverged = table[table["lr0"] > 0.05]
    assert len(table) == 8 and len(diverged) and set(diverged["state"]) == {"pruned"}
    assert set(diverged["reason"]) == {"the loss is nan in epoch 1"}
    assert set(table.loc[table["lr0"] <= 0.05, "state"]) == {"complete"}


def test_trials_that_are_behind_are_pruned_by_epoch(data, tmp_path, made_up):
    found = searched(data, tmp_path, 15, pruner="median", epochs=6)
    behind = found.table[found.table["reason"].str.startswith("behind after epoch")]
    assert (
        len(behind) and set(behind["state"]) == {"pruned"} and behind["epochs"].between(2, 5).all()
    )
    assert (found.table.loc[found.table["state"] == "complete", "epochs"] == 6).all()


@pytest.fixture
def of_other_classes(tmp_path):
    """Start weights of two classes that are not ours."""
    with yolov5.yolov5() as y5:
        model = y5.yolo.Model(y5.model_file("yolov5n"), ch=3, nc=2)
        model.names = {0: "cow", 1: "dog"}
        return checkpoints.write_weights(tmp_path / "start.pt", model)


@pytest.mark.parametrize(
    "recipe, options, hyp, optimizer",
    [
        ("auto", {}, "few_photos", "AdamW"),
        ("auto", {"base": "default"}, "default", "SGD"),
        ("write_up", {}, "default", "SGD"),
        ("yolov5", {}, "default", "SGD"),
    ],
)
def test_a_search_starts_at_what_the_recipe_auto_would_train(
    data, tmp_path, made_up, of_other_classes, recipe, options, hyp, optimizer
):
    asked = dataclasses.replace(TRAINING, recipe=recipe, init_weights=of_other_classes)
    usual = {"trials": 1, "pruner": "none", "storage": f"journal://{tmp_path / 'study.log'}"}
    found = search(data, None, tmp_path, asked, **usual | options)
    assert found.chosen == ({} if optimizer == "SGD" else {"optimizer": optimizer})
    first, values = made_up[0], training_settings.read_hyp(hyp)
    assert first["hyp"] == values and first["optimizer"] == optimizer
    if recipe == "auto" and not options:  # nothing that a training would do otherwise
        images = (data.parent / "train" / "images").glob("*")
        alone, _ = recipes.settled(asked, len(list(images)), ("cow", "dog"), ("pig", "cow"))
        same = ("epochs", *recipes.OPEN)
        assert {name: first[name] for name in same} | {"hyp": hyp} == {
            name: getattr(alone, name) for name in same
        }


def test_all_trials_diverge(data, tmp_path, made_up):
    base = training_settings.read_hyp("default") | {"lr0": 0.1}
    with pytest.raises(
        TrainingError,
        match=r"no trial has finished \(1 pruned, 0 failed, the first: the loss is nan",
    ):
        searched(data, tmp_path, 1, base=base)


def test_two_objectives_leave_a_front(data, tmp_path, made_up):
    found = searched(
        data,
        tmp_path,
        12,
        sampler="nsga2",
        against="weights_mb",
        choices={"model": ["yolov5n", "yolov5s"]},
    )
    assert "whatever its weights_mb" in found.hyp_file.read_text()
    front = search_table.pareto(found.table)
    assert (
        1 <= len(front) <= 12
        and front["score"].is_monotonic_decreasing
        and front["second"].is_monotonic_decreasing
    )
    for row in found.table[found.table["state"] == "complete"].itertuples():
        assert ((front["score"] >= row.score) & (front["second"] <= row.second)).any()


def test_choices_reach_the_training(data, tmp_path, made_up):
    found = searched(data, tmp_path, 6, sampler="tpe", choices={"image_size": [64, 128]})
    assert {call["image_size"] for call in made_up} == {64, 128} and made_up[0]["image_size"] == 64
    assert set(found.table["image_size"]) == {64, 128}
    best = int(search_table.best_trial(found.table)["image_size"])
    assert found.chosen == {"image_size": best}
    assert f'`hyp = "search"`, `image_size = {best}`.' in words.written(found)
    assert f"to be set where this file is used: image_size = {best}." in found.hyp_file.read_text()
    pointer = json.loads((tmp_path / "hyp" / "search.json").read_text())
    assert pointer["choices"] == {"image_size": best}


def test_a_chain_hands_the_best_on(data, tmp_path, made_up):
    last = searched(data, tmp_path, 4, groups="lr_momentum, hsv", study="s", pruner="median")
    chain = last.chain
    assert [found.group for found in chain] == ["lr_momentum", "hsv"]
    assert all(call["hyp"]["lr0"] == chain[0].best_hyp["lr0"] for call in made_up[4:])
    assert search_best.resolve_hyp("search", tmp_path) == str(chain[1].hyp_file)
    assert yaml.safe_load(chain[1].hyp_file.read_text())["lr0"] == chain[0].best_hyp["lr0"]


def test_weights_stay_where_asked(data, tmp_path, made_up):
    searched(data, tmp_path, 1, keep_weights=True)
    assert (tmp_path / "search" / "lr_momentum" / "trial_000" / "weights" / "best.pt").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": "x"}, "unknown group of genes 'x'; groups.yaml has lr_momentum, warmup"),
        ({"sampler": "x"}, "unknown sampler 'x'"),
        ({"pruner": "x"}, "unknown pruner 'x'"),
        ({"trials": 0}, "trials must be a whole number of at least 1, got 0"),
        (
            {"objective": {"mAP": 1}},
            "objective: unknown metric 'mAP'; expected some of mAP75_contest",
        ),
        (
            {"objective": {"mAP50": "much"}},
            "objective: the weight of mAP50 must be a number, got 'much'",
        ),
        ({"objective": {"mAP50": 0}}, "objective: all weights are 0"),
        (
            {"objective": "mAP50"},
            "objective: expected metrics with weights, such as .* got 'mAP50'",
        ),
        (
            {"against": "weights_mb", "choices": {"image_size": [64]}},
            "against is weights_mb, which genes do not change; give choices a list of model, such "
            "as",
        ),
        (
            {"against": "latency_ms"},
            "against is latency_ms, which genes do not change; give choices a list of model or",
        ),
        (
            {"base": training_settings.read_hyp("default") | {"weight_decay": 0.005}},
            "the base has weight_decay 0.005, but group 'lr_momentum' ranges from 0 to 0.001 in "
            "groups.yaml: trial 0",
        ),
        (
            {"storage": "$NO_SUCH_PLACE"},
            "storage is .NO_SUCH_PLACE, but the environment has no NO_SUCH_PLACE; set it",
        ),
        (
            {"against": "price"},
            "against must be empty or one of latency_ms, weights_mb, got 'price'",
        ),
        (
            {"choices": {"colour": [1]}},
            "choices: expected a list of values for some of model, image_size",
        ),
        (
            {"choices": {"model": "yolov5n"}},
            "choices: expected a list of values .* got 'model': 'yolov5n'",
        ),
        ({"hyp": {}}, "hyp is set by the search itself; leave it out"),
        ({"base": "nowhere"}, "hyperparameter file not found: nowhere"),
        (
            {"storage": "postgresql://u:sesame@127.0.0.1:1/x"},
            r"u:\*\*\*@127.0.0.1:1/x cannot be reached",
        ),
    ],
)
def test_bad_input_is_one_clear_line(data, tmp_path, options, message, made_up):
    with pytest.raises(TrainingError, match=message) as error:
        settings = dataclasses.replace(TRAINING, hyp=options.pop("hyp", None))
        search(data, None, tmp_path, settings, **options)
    assert "\n" not in str(error.value) and "sesame" not in str(error.value) and made_up == []


# ---- tables and words


def test_resolve_hyp_passes_everything_else_through(tmp_path):
    assert (
        search_best.resolve_hyp("default", tmp_path) == "default"
        and search_best.resolve_hyp(None, tmp_path) is None
    )
    with pytest.raises(
        NotebookError, match=r"hyp is 'search', but .* holds no search.json: notebook 07 writes it"
    ):
        search_best.resolve_hyp("search", tmp_path)
    with pytest.raises(
        NotebookError, match=r"hyp_hsv_best.yaml is missing; searched were none: run notebook 07"
    ):
        search_best.resolve_hyp("search:hsv", tmp_path)


def test_search_means_the_last_call_whatever_the_files_times(data, tmp_path, made_up):
    first, second = (searched(data, tmp_path, 2, groups=group) for group in ("lr_momentum", "hsv"))
    os.utime(first.hyp_file)  # as a copy to another disk may do
    assert search_best.resolve_hyp("search", tmp_path) == str(second.hyp_file)
    searched(data, tmp_path, 2)
    assert search_best.resolve_hyp("search", tmp_path) == str(first.hyp_file)
    assert search_best.resolve_hyp("search:hsv", tmp_path) == str(second.hyp_file)
    named = searched(data, tmp_path, 1, study="mine")
    assert named.hyp_file.name == "hyp_mine-lr_momentum_best.yaml"


def test_a_study_that_recorded_only_given_settings_is_joined(data, tmp_path, made_up):
    """As version 0.1.0 did: what it left out had its default."""
    study = searched(data, tmp_path, 1).study
    told = study.user_attrs["search"]
    for name in ("freeze", "amp", "patience"):
        del told["training"][name]
    study.set_user_attr("search", told)
    assert len(searched(data, tmp_path, 2).table) == 2
    asked = dataclasses.replace(TRAINING, patience=3)
    with pytest.raises(TrainingError, match=r"training.patience: 100 there, 3 here"):
        search(data, None, tmp_path, asked, trials=2, storage=f"journal://{tmp_path / 'study.log'}")


def test_a_search_from_the_last_ones_best_can_be_called_again(data, tmp_path, made_up):
    searched(data, tmp_path, 2)
    first = searched(data, tmp_path, 2, groups="hsv", base="search")
    trained = len(made_up)
    again = searched(data, tmp_path, 2, groups="hsv", base="search")
    assert len(made_up) == trained and again.best_hyp == first.best_hyp


def test_a_wrong_setting_does_not_spoil_the_study(data, tmp_path, made_up, monkeypatch):
    def refuse(*_, **settings):
        raise TrainingError("image_size must be a multiple of 32, got 65")

    with monkeypatch.context() as patched:
        patched.setattr(run, "train", refuse, raising=False)
        with pytest.raises(TrainingError, match="got 65"):
            searched(data, tmp_path, 2, image_size=65)
    table = searched(data, tmp_path, 2).table
    assert (
        table["state"][0] == "failed"
        and set(table["state"][1:]) <= {"complete", "pruned"}
        and len(table) == 3
    )
    assert table["lr0"][1] == table["lr0"][0]  # the base's second try


def test_a_chain_whose_first_best_has_changed_says_so(data, tmp_path, made_up):
    first = searched(data, tmp_path, 1, groups="lr_momentum,hsv", sampler_seed=1)
    longer = searched(data, tmp_path, 9, groups="lr_momentum", sampler_seed=1)
    assert longer.best_hyp != first.chain[0].best_hyp
    with pytest.raises(
        TrainingError,
        match=r"study 'hsv' began from another base \(base.lr0: .* an earlier group's",
    ):
        searched(data, tmp_path, 9, groups="lr_momentum,hsv", sampler_seed=1)


def test_a_new_study_of_an_old_name_trains_in_a_folder_of_its_own(data, tmp_path, made_up):
    searched(data, tmp_path, 2)
    (tmp_path / "study.log").unlink()
    searched(data, tmp_path, 2)
    folders = [call["folder"].parent for call in made_up]
    assert folders[0] == folders[1] == tmp_path / "search" / "lr_momentum"
    assert folders[2] == folders[3] and folders[2].name.startswith("lr_momentum-")


def test_a_trial_whose_worker_died_after_pruning_stays_pruned(data, tmp_path, made_up, monkeypatch):
    """The retry finds the run finished, as `train` returns it at once, with fewer epochs than
    asked."""

    def train(data_yaml, valid, folder, settings, **others):
        folder.mkdir(parents=True)
        (folder / "results.csv").write_text("epoch\n0\n1\n")
        (folder / "run.json").write_text(
            '{"finished": true, "epochs": 2, "warnings": ["ended after epoch 2 by the caller"]}'
        )
        return run.Run(folder)

    monkeypatch.setattr(run, "train", train, raising=False)
    with pytest.raises(
        TrainingError, match=r"\(1 pruned, 0 failed, the first: behind after epoch 2\)"
    ):
        searched(data, tmp_path, 1, epochs=8)


def test_a_score_that_is_no_number_prunes(data, tmp_path, made_up, monkeypatch):
    def evaluate(*_, **settings):
        return pd.DataFrame([dict.fromkeys(objective.EPOCH_COLUMNS, math.nan)], index=["all"])

    monkeypatch.setattr(run, "evaluate", evaluate, raising=False)
    with pytest.raises(TrainingError, match="1 pruned, 0 failed, the first: the score is nan"):
        searched(data, tmp_path, 1)


def test_successive_halving_cuts(data, tmp_path, made_up):
    table = searched(data, tmp_path, 12, pruner="halving", epochs=8).table
    cut = table[table["state"] == "pruned"]
    assert len(cut) >= 3 and (cut["epochs"] < 8).all()
    assert table.loc[table["state"] == "complete", "epochs"].eq(8).all()


def test_importances_need_trials_with_unlike_scores(found, data, tmp_path, made_up):
    assert found.importance.empty
    many = searched(data, tmp_path, 12)
    shares = many.importance
    assert shares.index[0] == "lr0" and shares.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("scores", "states", "said"),
    [
        (
            [0.2],
            ["complete"],
            "1 trial finished, 0 pruned; the best score is 0.200, that of the base.",
        ),
        (
            [0.2, 0.5, 0.1],
            ["complete", "complete", "pruned"],
            r"2 trials finished, 1 pruned; .* \(trial 1\), \+0.300",
        ),
        (
            [0.2, 0.5],
            ["failed", "complete"],
            "1 trial finished, 0 pruned, 1 failed; the best score is 0.500.",
        ),
    ],
)
def test_the_sentence(scores, states, said):
    table = pd.DataFrame(
        {"trial": range(len(scores)), "score": scores, "state": states, "reason": ""}
    )
    assert pd.Series(words.result(table)).str.match(said).all()


def test_latency_of_random_weights(tmp_path):
    from made_network import write_network

    assert 0 < objective.latency_ms(write_network(tmp_path / "n.pt"), 64, "cpu", rounds=3) < 60_000


WORDED = pd.DataFrame(
    {
        "trial": range(6),
        "state": ["complete"] * 5 + ["pruned"],
        "epochs": [3, 3, 3, 3, 3, 1],
        "score": [0.5, 0.6, 0.7, 0.2, 0.1, 0.1],
        "lr0": [0.01, 0.011, 0.012, 0.1, 0.0001, 0.05],
        "reason": "",
    }
)
FEW = WORDED.head(2)
GENE = (Gene("lr0", 1, 1e-5, 0.1, True),)


def genes_of(table):
    return search_table.gene_table(table, GENE), int((table["state"] == "complete").sum())


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (lambda: words.slopes(*genes_of(FEW)), "With 2 finished trials no slope"),
        (
            lambda: words.slopes(*genes_of(WORDED)),
            r"The score rises most steadily with lr0 \(rank correlation \+0.40 over 5 trials; "
            "within chance",
        ),
    ],
)
def test_what_the_figures_show(sentence, said):
    assert pd.Series(sentence()).str.match(said).all()
