"""Recipes: what is left open is settled by the data, what is given wins, a run goes on as begun."""

import pandas as pd
import pytest
import torch
import yaml
from training_sets import train, write_set

import livestock_utils as lu
from livestock_utils.core.errors import TrainingError
from livestock_utils.core.files import sha256
from livestock_utils.detect.train import rates, recipes, state
from livestock_utils.show.words import training as words

QUICK = {"model": "yolov5n", "epochs": 1, "image_size": 64, "batch_size": 4, "loggers": ()}
KNOWN = ("pig", "cow")


def settled(n_images=400, known=("cow", "dog"), **given):
    return recipes.settled(lu.TrainSettings(**given), n_images, known, KNOWN)


def test_nothing_stays_open_and_each_setting_has_a_reason():
    for recipe in ("auto", "write_up", "yolov5"):
        settings, table = settled(recipe=recipe)
        assert table["setting"].tolist() == ["epochs", *recipes.OPEN]
        assert table["why"].str.len().gt(0).all()
        for name in recipes.OPEN:
            assert name == "hyp" or getattr(settings, name) is not None


def test_yolov5_and_the_write_up_to_the_letter():
    plain, _ = settled(recipe="yolov5")
    assert (plain.hyp, plain.nominal_batch, plain.optimizer, plain.head) == (
        None,
        64,
        "SGD",
        "fresh",
    )
    assert (plain.schedule, plain.warmup_min_iterations, plain.close_mosaic) == ("linear", 100, 0)
    original, _ = settled(recipe="write_up")
    assert (original.hyp, original.schedule, original.epochs) == (
        "experiment_hyp_v1",
        "linear-v6.0",
        20,
    )


@pytest.mark.parametrize(
    "name", ["nominal_batch", "epochs", "close_mosaic", "warmup_min_iterations"]
)
def test_a_given_setting_wins_with_a_line(name):
    settings, table = settled(**{name: 1})
    assert getattr(settings, name) == 1
    assert table.set_index("setting")["why"][name].startswith("given, in place of the recipe's")


def test_a_given_hyp_keeps_the_optimiser_that_it_is_made_for():
    assert settled(hyp="default")[0].optimizer == "SGD"
    assert settled(hyp="default", optimizer="Adam")[0].optimizer == "Adam"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"recipe": "best"}, "recipe must be one of auto, write_up, yolov5, got 'best'"),
        ({"minutes": 5, "epochs": 3}, "minutes 5 and epochs 3 cannot both be given"),
        ({"minutes": -1}, "minutes must be above 0, got -1"),
        ({"close_mosaic": 2}, "close_mosaic must be a number from 0 to 1, got 2"),
        ({"missing_share": 1}, "missing_share must be at least 0 and below 1, got 1"),
        ({"missing_share": -0.1}, "missing_share must be a number of at least 0, got -0.1"),
        ({"missing_share": "40 %"}, "missing_share must be a number of at least 0, got '40 %'"),
        ({"head": "old"}, "head must be one of carried, fresh, got 'old'"),
    ],
)
def test_bad_settings(given, told):
    with pytest.raises(TrainingError) as caught:
        lu.TrainSettings(**given)
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "threshold", "value", "why"),
    [
        ({}, 1.0, "plain", "yolov5 7.0.14's default"),
        ({"missing_share": 0.4}, 1.0, "plain", "40 % of the animals seem unlabelled; doubt pays"),
        ({"missing_share": 0.4}, 0.3, "doubted", "40 % of the animals seem unlabelled; doubt pays"),
        ({"missing_share": 0.4, "negatives": "auto"}, 0.3, "doubted", "40 % of the animals"),
        ({"missing_share": 0.4, "negatives": "plain"}, 0.3, "plain", "given, in place of the"),
        ({"missing_share": 0.4, "recipe": "yolov5"}, 0.3, "plain", "yolov5 7.0.14's default"),
    ],
)
def test_missing_labels_are_doubted_from_a_share_on(monkeypatch, given, threshold, value, why):
    monkeypatch.setattr(recipes, "_DOUBTED_FROM", threshold)
    settings, table = settled(400, **given)
    row = table.set_index("setting").loc["negatives"]
    assert settings.negatives == row["value"] == value and row["why"].startswith(why)
    said = words.missing(settings.missing_share, table)
    assert ("40 %" if "missing_share" in given else "not known") in said


def test_nothing_is_said_of_missing_labels_among_many_photos():
    assert settled(4000, missing_share=0.9)[0].negatives == "plain"


def test_a_later_estimate_of_missing_labels_does_not_stop_a_run(data, tmp_path):
    first = train(data, tmp_path / "run", missing_share=0.1, **QUICK)
    again = train(data, tmp_path / "run", missing_share=0.2, **QUICK)
    assert again.finished and recorded(first)["negatives"] == "plain"


def test_minutes_leave_epochs_open_until_the_first_has_been_timed():
    settings, table = settled(minutes=5)
    assert settings.epochs is None
    assert table.set_index("setting")["value"]["epochs"] == "open"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"))


def recorded(run):
    return yaml.safe_load((run.folder / "settings.yaml").read_text())


def test_a_run_keeps_what_was_settled_and_why(data, tmp_path):
    run = train(data, tmp_path / "run", recipe="auto", **QUICK)
    asked, _ = recipes.settled(lu.TrainSettings(**QUICK), 8, None, KNOWN)
    kept = recorded(run)
    for name in set(recipes.OPEN) - {"hyp"}:
        assert kept[name] == getattr(asked, name)
    assert kept["recipe"] == "auto" and set(run.record["recipe"]) == {"epochs", *recipes.OPEN}


def forget(folder):
    """Make an interrupted run's files those of a release without recipes."""
    new = {"recipe", "minutes", "head", "close_mosaic", "ema_epochs", "compile", "memory_format"}
    old = yaml.safe_load((folder / "settings.yaml").read_text())
    kept = {name: old[name] for name in old if name not in new}
    (folder / "settings.yaml").write_text(yaml.safe_dump(kept))
    path = state.newest(folder / "resume")
    content = state.read(path)
    content["settings"] = {name: content["settings"][name] for name in kept}
    torch.save(content, path)
    path.rename(path.with_name(f"resume-e0001-{sha256(path)[:16]}.pt"))


def test_a_run_without_a_recipe_goes_on_as_it_began(data, tmp_path):
    stop = {"on_epoch": lambda epoch, _: (_ for _ in ()).throw(KeyboardInterrupt)}
    options = {**QUICK, "epochs": 2, "nominal_batch": 8}
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", recipe="yolov5", **options, **stop)
    forget(tmp_path / "run")
    run = train(data, tmp_path / "run", recipe="auto", **options)
    assert run.finished and len(run.results) == 2


def test_another_recipe_is_refused_in_a_run_that_began(data, tmp_path):
    train(data, tmp_path / "run", recipe="yolov5", **QUICK)
    with pytest.raises(TrainingError, match="recipe: yolov5 -> write_up"):
        train(data, tmp_path / "run", recipe="write_up", **QUICK)


def test_minutes_fit_the_epochs_by_the_first_ones_pace_and_a_resume_keeps_them(data, tmp_path):
    options = {name: value for name, value in QUICK.items() if name != "epochs"}
    seen = []

    def interrupt(epoch, _):
        seen.append(epoch)
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", minutes=0.1, on_epoch=interrupt, **options)
    began = yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())
    assert began["epochs"] >= 2 and began["minutes"] == 0.1
    run = train(data, tmp_path / "run", minutes=0.1, on_epoch=lambda *_: None, **options)
    assert len(run.results) == recorded(run)["epochs"] == began["epochs"]
    schedule = run.results["x/lr0"]
    assert schedule.iloc[-1] < schedule.max()


def test_the_last_part_of_the_epochs_has_no_mosaic(data, tmp_path, monkeypatch):
    from livestock_utils.detect.train import loop

    seen = []
    inner = loop._train_epoch

    def watched(trainer):
        done = inner(trainer)
        seen.append(trainer.loaders.train_set.mosaic)
        return done

    monkeypatch.setattr(loop, "_train_epoch", watched)
    train(data, tmp_path / "run", **{**QUICK, "epochs": 4}, close_mosaic=0.5)
    assert seen == [True, True, False, False]


def test_a_range_test_rises_step_by_step_and_suggests_a_rate(data, tmp_path):
    settings = lu.TrainSettings(**QUICK)
    table = rates.range_test(data, None, tmp_path, settings, n_steps=20, high=0.01)
    rate = table["learning_rate"].to_numpy()
    assert rate[0] == pytest.approx(1e-5) and (rate[1:] / rate[:-1]).std() < 1e-6
    assert 1e-5 / 3 < table.attrs["suggested"] < 0.01 and len(table) <= 20
    again = rates.range_test(data, None, tmp_path, settings, n_steps=20, high=0.01)
    pd.testing.assert_frame_equal(table, again)
    with pytest.raises(TrainingError, match="a range test needs 0 < low < high <= 1 and 10 steps"):
        rates.range_test(data, None, tmp_path, settings, n_steps=3)
