"""Runs compared: only like with like, at equal epochs; seeds, intervals and the write-up's numbers;
said in words."""

import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from data_sets import jpeg, write_archives
from detections import scene

from livestock_utils.core.errors import NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import writing
from livestock_utils.detect import settings as training_settings
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict import runs as runs_module
from livestock_utils.evaluate.compare import runs as run_folders
from livestock_utils.evaluate.compare import tables
from livestock_utils.show import displays
from livestock_utils.show.displays import comparison
from livestock_utils.show.notebook import Step
from livestock_utils.show.plots.comparison import run_differences, setting_curves
from livestock_utils.show.words import compare

HYP = training_settings.read_hyp("default")


def write_run(
    folder, *, tags=None, hyp=HYP, epochs=2, done=None, finished=True, seen=None, **settings
):
    """A run folder as a training leaves it, without a training; `seen` are the ids of its training
    images."""
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "last.pt").write_bytes(str(folder).encode())
    recorded = {
        "model": "yolov5n",
        "init_weights": "abc",
        "optimizer": "SGD",
        "schedule": "linear",
        "image_size": 64,
        "batch_size": 4,
        "data": "d0",
        "augmentation": None,
        "freeze": 0,
        "nominal_batch": 64,
        "seed": 0,
        "warmup_min_iterations": 100,
        "patience": 100,
        "best_metric": "ap75",
        "autoanchor": True,
        "amp": True,
        "teacher_weight": None,
        **settings,
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(recorded | {"hyp": hyp, "epochs": epochs}))
    record = {"finished": finished, "train_images": 8, "weights_bytes": 4_000_000}
    (folder / "run.json").write_text(json.dumps(record | ({"tags": tags} if tags else {})))
    if seen is not None:
        (folder / "train_images.txt").write_text("".join(f"{name}\n" for name in seen))
    done = epochs if done is None else done
    pd.DataFrame({"epoch": range(done), "metrics/mAP_0.75": np.linspace(0.1, 0.3, done)}).to_csv(
        folder / "results.csv", index=False
    )
    return folder


def optimiser_runs(out):
    for name, kind in (("sgd", "SGD"), ("adamw", "AdamW")):
        for seed in range(2):
            write_run(
                out / "runs" / f"{name}-{seed}" / "training" / "multilabel_split",
                optimizer=kind,
                seed=seed,
            )


def asked(out):
    return {
        question: [group["name"].tolist() for group in groups]
        for question, groups in run_folders.questions(run_folders.find_runs(out)).items()
    }


# ---- run folders


def test_no_runs(tmp_path):
    runs = run_folders.find_runs(tmp_path)
    assert runs.empty and run_folders.questions(runs) == {}
    assert (
        compare.left_out(runs)
        == "There is no run folder yet: notebooks 05, 08, 10 and `batch` write them."
    )
    assert runs_module.compare(runs, tmp_path) == []
    assert list(run_folders.differing(runs)[:0].columns)[:3] == ["name", "trained_on", "seed"]


def test_a_folder_tells_its_recipe(tmp_path):
    write_run(
        tmp_path / "training" / "full",
        init_weights=None,
        hyp=training_settings.read_hyp("experiment_hyp_v1"),
    )
    write_run(
        tmp_path / "training" / "expanded_gold_seed1",
        hyp=HYP | {"lr0": 0.0123},
        epochs=3,
        done=1,
        finished=False,
    )
    gold, full = run_folders.find_runs(tmp_path).to_dict("records")
    assert (full["name"], full["trained_on"], full["start"], full["hyp"]) == (
        "full",
        "full",
        "scratch",
        "experiment_hyp_v1",
    )
    assert (gold["trained_on"], gold["epochs"], gold["epochs_done"]) == ("without silver", 3, 1)
    assert not gold["finished"]
    assert gold["hyp"].startswith("own ") and full["weights_mb"] == 4.0


def test_tags_say_what_a_run_is_for_whatever_its_folder_is_called(tmp_path):
    for name, tags in (
        ("a", {"trained_on": "full"}),
        ("full", {"trained_on": "with silver", "variant": "half"}),
        ("b_fold0", {"trained_on": "split"}),
        ("c", {"trained_on": "oof", "helper": "out of fold"}),
    ):
        write_run(tmp_path / "training" / name, tags=tags, data=name)
    runs = run_folders.find_runs(tmp_path)
    assert runs["trained_on"].tolist() == ["full", "split", "oof", "with silver"]
    assert runs["helper"].tolist() == [False, False, True, False]
    assert runs["variant"].tolist() == ["", "", "", "half"]


def test_a_broken_folder_is_named(tmp_path):
    write_run(tmp_path / "training" / "full")
    (tmp_path / "training" / "full" / "settings.yaml").write_text("hyp: 3")
    (tmp_path / "training" / "full" / "run.json").write_text("{")
    with pytest.raises(
        NotebookError, match=r"training/full is no whole run folder .*train it again"
    ):
        run_folders.find_runs(tmp_path)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({}, {}),
        ({"seed": 1}, {}),
        ({"model": "yolov5s"}, {"models": [["a", "b"]]}),
        ({"init_weights": None}, {"models": [["a", "b"]]}),
        ({"init_weights": "other"}, {"models": [["a", "b"]]}),
        ({"init_weights": "other", "optimizer": "AdamW"}, {}),
        *[
            ({name: value}, {})
            for name, value in [
                ("schedule", "cosine"),
                ("image_size", 96),
                ("batch_size", 8),
                ("augmentation", {"p": 1}),
                ("freeze", 5),
                ("nominal_batch", 16),
                ("warmup_min_iterations", 20),
                ("patience", 5),
                ("best_metric", "map50"),
                ("autoanchor", False),
                ("amp", False),
                ("teacher_weight", 0.5),
            ]
        ],
        ({"optimizer": "AdamW"}, {"optimisers": [["a", "b"]]}),
        ({"optimizer": "AdamW", "hyp": HYP | {"lr0": 0.001}}, {"optimisers": [["a", "b"]]}),
        ({"hyp": HYP | {"lr0": 0.001}}, {"hyperparameters": [["a", "b"]]}),
        ({"data": "d1"}, {"training data": [["a", "b"]]}),
        ({"epochs": 4}, {"epochs": [["a", "b"]]}),
        ({"epochs": 4, "optimizer": "AdamW"}, {}),
        ({"model": "yolov5s", "optimizer": "AdamW"}, {}),
        ({"model": "yolov5s", "finished": False}, {}),
    ],
)
def test_only_runs_that_differ_in_one_thing_share_a_table(tmp_path, second, expected):
    write_run(tmp_path / "training" / "a")
    write_run(tmp_path / "training" / "b", **second)
    assert asked(tmp_path) == expected
    said = compare.left_out(run_folders.find_runs(tmp_path))
    assert said.startswith(f"{2 if expected else 0} of 2 runs are compared")
    assert ("not finished: b" in said) == ("finished" in second)


def test_runs_of_a_batch_are_found_by_the_batchs_names(tmp_path):
    optimiser_runs(tmp_path)
    assert asked(tmp_path) == {
        "optimisers": [
            [f"{name}-{seed}/multilabel_split" for name in ("adamw", "sgd") for seed in range(2)]
        ]
    }


def test_models_behind_out_of_fold_predictions_are_never_compared(tmp_path):
    for name in ("oof_fold0", "oof_fold1", "silver_fold0", "silver_fold1", "multilabel_split"):
        write_run(tmp_path / "training" / name, data=name)
    write_run(tmp_path / "training" / "full", data="all")
    assert asked(tmp_path) == {"training data": [["full", "multilabel_split"]]}
    said = compare.left_out(run_folders.find_runs(tmp_path))
    assert "trained on other photos than the rest" in said
    assert said.endswith("judge: oof_fold0, oof_fold1, silver_fold0, silver_fold1.")


def silver_batch(out, shares=("",), seeds=(0, 1)):
    """What the batch of silver leaves: gold is the same training for every share, silver's labels
    are not."""
    for share in shares:
        for seed in seeds:
            training = out / "runs" / f"{share}-seed{seed}".strip("-") / "training"
            write_run(training / "multilabel_split", seed=seed)
            write_run(training / "full", seed=seed, data="all")
            for fold in range(2):
                write_run(training / f"silver_fold{fold}", seed=seed, data=f"fold{fold}")
            write_run(training / "expanded_gold", seed=seed, epochs=3)
            silver = {"data": f"silver{share}{seed}", "negatives": "masked"}
            write_run(training / "expanded", seed=seed, epochs=3, **silver)


def test_silver_is_a_question_of_its_own(tmp_path):
    silver_batch(tmp_path)
    found = run_folders.questions(run_folders.find_runs(tmp_path))
    assert set(found) == {"training data", "silver", "epochs"}
    assert found["silver"][0]["name"].tolist() == [
        "seed0/expanded",
        "seed0/expanded_gold",
        "seed1/expanded",
        "seed1/expanded_gold",
    ]
    assert (
        run_folders.settings(found["silver"][0], "silver") == ["with silver", "without silver"] * 2
    )
    assert set(run_folders.settings(found["training data"][0], "training data")) == {
        "full",
        "split",
    }


def test_silver_is_paired_by_seed_with_the_same_training_without_it(tmp_path):
    silver_batch(tmp_path)
    images, boxes, found = scene(3, n_images=12, n_answers=40, n_detections=200)
    [group] = run_folders.questions(run_folders.find_runs(tmp_path))["silver"]
    predictions = {
        name: found.sample(frac=0.4 if "gold" in name else 0.9, random_state=place)
        for place, name in enumerate(group["name"])
    }
    on = tables.Judge("Valid_Dataset", Photos(images, boxes, tmp_path))
    [row] = tables.differences(
        tables.run_scores(group, predictions, on, "silver"), predictions, on
    ).to_dict("records")
    assert (row["setting"], row["against"], row["pairs"]) == ("with silver", "without silver", 2)
    assert row["difference"] > 0


def test_unlike_data_never_share_a_name(tmp_path):
    silver_batch(tmp_path, ("silver_share0.5", "silver_share1.0"))
    runs = run_folders.find_runs(tmp_path)
    [group] = run_folders.questions(runs)["silver"]
    assert sorted(zip(run_folders.settings(group, "silver"), group["seed"], strict=True)) == [
        (name, seed)
        for name in (
            "with silver, silver_share0.5",
            "with silver, silver_share1.0",
            "without silver",
        )
        for seed in range(2)
    ]
    said = compare.left_out(runs)
    assert (
        "the same training as another run: silver_share1.0-seed0/" in said
        and "without a partner" not in said
    )


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (
            {"mine": {"init_weights": "12345678"}, "yours": {"init_weights": "abcdefgh"}},
            {"models": ["yolov5n, pretrained, 123456", "yolov5n, pretrained, abcdef"]},
        ),
        (
            {
                "half_gold": {},
                "half": {"data": "d1"},
                "expanded_gold": {"seed": 1},
                "expanded": {"data": "d2"},
            },
            {"silver": ["with silver", "without silver", "with silver, half", "without silver"]},
        ),
        (
            {"mine_seed3": {}, "mine_seed4": {"seed": 4}, "other": {"data": "d1"}},
            {"training data": ["mine", "mine", "other"]},
        ),
    ],
)
def test_folders_names_tell_runs_apart(tmp_path, runs, expected):
    for name, settings in runs.items():
        write_run(tmp_path / "training" / name, **settings)
    found = run_folders.questions(run_folders.find_runs(tmp_path))
    assert {
        question: run_folders.settings(groups[0], question) for question, groups in found.items()
    } == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([{}], [""]),
        ([{"epochs": 2}, {"epochs": 5}], ["2 epochs", "5 epochs"]),
        (
            [{"image_size": 64, "model": "x"}, {"image_size": 96, "model": "y"}],
            ["x, 64 px", "y, 96 px"],
        ),
    ],
)
def test_groups_of_a_question_are_told_apart(tmp_path, seconds, expected):
    for place, common in enumerate(seconds):
        for kind in ("SGD", "AdamW"):
            write_run(
                tmp_path / "runs" / f"{place}{kind}" / "training" / "multilabel_split",
                optimizer=kind,
                **common,
            )
    groups = run_folders.questions(run_folders.find_runs(tmp_path))["optimisers"]
    assert run_folders.constants(groups, "optimisers") == expected


# ---- scores


@pytest.fixture
def judged(tmp_path):
    """(runs of SGD and AdamW, a judge, predictions in which SGD is better)."""
    optimiser_runs(tmp_path)
    images, boxes, found = scene(3, n_images=12, n_answers=40, n_detections=200)
    images["archive"], images["member"] = "images", images["image_id"] + ".jpg"
    runs = run_folders.find_runs(tmp_path)
    predictions = {
        name: found.sample(frac=0.9 if "sgd" in name else 0.4, random_state=place)
        for place, name in enumerate(runs["name"])
    }
    return runs, tables.Judge("Valid_Dataset", Photos(images, boxes, tmp_path)), predictions


def test_a_table_has_means_spread_and_the_write_ups_numbers(judged):
    runs, on, predictions = judged
    scores = tables.run_scores(runs, predictions, on, "optimisers")
    assert scores["setting"].tolist() == ["SGD, default"] * 2 + ["AdamW, default"] * 2
    table = tables.question_table(scores, "optimisers").set_index("setting")
    assert table["runs"].tolist() == [2, 2] and table["epochs"].tolist() == ["2", "2"]
    sgd = scores.loc[scores["setting"] == "SGD, default", "mAP75"]
    assert table.loc["SGD, default", "mAP75"] == pytest.approx(sgd.mean())
    assert table.loc["SGD, default", ["mAP75_lowest", "mAP75_highest"]].tolist() == pytest.approx(
        sorted(sgd)
    )
    assert not any(name.startswith("write_up") for name in table)
    assert "these are yolov5n at 64 px" in compare.beside_write_up(scores, "optimisers")
    like = tables.run_scores(
        runs.assign(model="yolov5m6", image_size=1280), predictions, on, "optimisers"
    )
    table = tables.question_table(like, "optimisers").set_index("setting")
    assert table.loc["AdamW, default", "write_up_mAP50"] == 0.9804
    assert compare.beside_write_up(like, "optimisers").startswith(
        "Its runs have this model and size"
    )


def test_differences_are_paired_by_seed(judged):
    runs, on, predictions = judged
    scores = tables.run_scores(runs, predictions, on, "optimisers")
    row = tables.differences(scores, predictions, on).iloc[0]
    means = scores.groupby("setting")["mAP75"].mean()
    assert (row["setting"], row["against"], row["pairs"]) == ("AdamW, default", "SGD, default", 2)
    assert row["difference"] == pytest.approx(means["AdamW, default"] - means["SGD, default"])
    assert (
        row["low"] <= row["difference"] <= row["high"] and row["lowest_run"] <= row["highest_run"]
    )
    assert tables.differences(scores.assign(seed=range(4)), predictions, on).empty
    with pytest.raises(
        NotebookError, match=r"sgd-0/\S+ and sgd-1/\S+ have the same setting and seed"
    ):
        tables.differences(scores.assign(seed=0), predictions, on)


def test_predictions_are_made_once_on_images_that_no_run_was_trained_on(tmp_path, monkeypatch):
    images, boxes = write_archives(tmp_path / "archives")
    writing.write_set(
        tmp_path / "datasets" / "Valid_Dataset.tar", Photos(images, boxes, tmp_path / "archives")
    )
    writing.write_set(
        tmp_path / "prepared" / "datasets" / "Valid_Dataset_Full.tar",
        Photos(
            images[:6], boxes[boxes["image_id"].isin(images["image_id"][:6])], tmp_path / "archives"
        ),
    )
    write_run(tmp_path / "training" / "multilabel_split", data="a")
    write_run(tmp_path / "training" / "mine", data="b")
    calls = []

    def predict(weights, photos, **settings):
        shown = photos.images
        calls.append((weights.name, len(shown), settings["image_size"]))
        return boxes[boxes["image_id"].isin(shown["image_id"])].assign(confidence=0.5)

    monkeypatch.setattr(engine, "predict", predict, raising=False)
    runs = run_folders.find_runs(tmp_path)
    for _ in range(2):
        answers = runs_module.compare(runs, tmp_path)
    assert calls == [("last.pt", 12, 64)] * 2
    assert answers[0].question == "training data" and answers[0].table["mAP75"].tolist() == [
        1.0,
        1.0,
    ]
    write_run(tmp_path / "training" / "full", data="c")
    answers = runs_module.compare(run_folders.find_runs(tmp_path), tmp_path)
    assert calls[2:] == [("last.pt", 6, 64)] * 3 and answers[0].judge.name == "Valid_Dataset_Full"
    assert tables.key_numbers(answers)["mAP75 training_data: full"] == 1.0


@pytest.mark.parametrize(
    ("seen", "left", "said"),
    [
        (None, 12, "That a did not train on them is taken from the folders' names"),
        (["x"], 12, "12 images of Valid_Dataset judge."),
        ([0, "plus_1"], 10, "Left out are those that a run was trained on: a 2."),
        (
            list(range(11)),
            None,
            "1 of the 12 images of Valid_Dataset are left to judge on: a trained on the others",
        ),
    ],
)
def test_images_that_a_run_was_trained_on_do_not_judge(tmp_path, seen, left, said):
    images, boxes = write_archives(tmp_path / "archives")
    writing.write_set(
        tmp_path / "datasets" / "Valid_Dataset.tar", Photos(images, boxes, tmp_path / "archives")
    )
    ids = images["image_id"]
    names = (
        None
        if seen is None
        else [ids[name] if isinstance(name, int) else name.replace("1", ids[1]) for name in seen]
    )
    write_run(tmp_path / "training" / "a", data="a", seen=names)
    write_run(tmp_path / "training" / "b", data="b", seen=[])
    runs = run_folders.find_runs(tmp_path)
    if left is None:
        with pytest.raises(NotebookError, match=said):
            tables.judge(tmp_path, runs, tmp_path / "local")
        return
    on = tables.judge(tmp_path, runs, tmp_path / "local")
    assert len(on.photos) == left and said in compare.judged(on)
    assert set(on.photos.boxes["image_id"]) <= set(on.photos.images["image_id"])


def test_what_is_missing_is_named(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / "training" / name, data=name)
    with pytest.raises(NotebookError, match=r"Valid_Dataset.tar is missing: notebook 02 writes it"):
        runs_module.compare(run_folders.find_runs(tmp_path), tmp_path)


# ---- words and figures


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        ([3, 3], "All 2 runs were trained for 3 epochs."),
        ([2, 3, 5], "trained for 2, 3 and 5 epochs, or patience ended"),
    ],
)
def test_epochs_are_equal_or_said(epochs, words):
    assert words in compare.epochs(pd.DataFrame({"epochs": epochs}))


@pytest.mark.parametrize(
    ("sgd", "adamw", "words"),
    [
        (
            None,
            None,
            [
                "No two runs here differ in the optimiser alone: `python -m livestock_utils batch "
                "notebooks/batches/optimisers"
            ],
        ),
        ([0.5], [0.4], ["+0.100 between single runs, which another seed may turn"]),
        ([0.7, 0.8], [0.3, 0.31], ["; 2 seeds are too few for a verdict"]),
        (
            [0.50, 0.51, 0.52],
            [0.3, 0.31, 0.32],
            [
                "After 7 epochs SGD with default has mAP75 0.510 (3 seeds, standard deviation "
                "0.010), AdamW with default 0.310",
                "which leaves 0 out",
                "AdamW is shown at the best of 2 settings, chosen by this very score, SGD at one "
                "setting",
                "that favours AdamW",
            ],
        ),
        ([0.3, 0.6, 0.9], [0.2, 0.6, 0.8], ["which holds 0: these seeds do not tell them apart"]),
        ([0.01, 0.02, 0.03], [0.1, 0.11, 0.1], ["Networks at such scores are hardly trained"]),
    ],
)
def test_the_optimisers_paragraph_comes_from_the_seeds(sgd, adamw, words):
    scores = (
        None
        if sgd is None
        else pd.DataFrame(
            {
                "setting": ["SGD, default"] * len(sgd)
                + ["AdamW, default"] * len(adamw)
                + ["AdamW, bad"],
                "mAP75": [*sgd, *adamw, 0.0],
                "epochs": 7,
            }
        )
    )

    def say(scores):
        answers = [] if scores is None else [SimpleNamespace(question="optimisers", scores=scores)]
        return compare.optimisers(tables.optimisers(answers))

    said = say(scores)
    for text in [*words, "0.0146 mAP50-95 above AdamW"]:
        assert text in said
    assert ("Wilson et al. (2017" in said) == (sgd is not None)
    assert ("hardly trained" in said) == (sgd is not None and max(*sgd, *adamw) < 0.5)
    assert scores is None or "Each had one setting, so neither was tuned" in say(scores[:-1])


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (
            [0.5],
            [0.4],
            "Highest mAP75: a, 0.500 (one seed), then b, 0.400 (one seed); one run per setting",
        ),
        (
            [0.5, 0.6],
            [0.7, 0.8],
            "Highest mAP75: b, 0.750 (2 seeds, standard deviation 0.071), then a",
        ),
        ([0.5, 0.6], [0.7, 0.8], "their runs do not overlap."),
        ([0.5, 0.8], [0.7, 0.9], "their runs overlap, so that another seed may turn the order."),
        ([0.5], [0.01], "nor of their order: b."),
    ],
)
def test_the_spread_of_runs_in_words(first, second, words):
    assert words in compare.spread(
        pd.DataFrame(
            {"setting": ["a"] * len(first) + ["b"] * len(second), "mAP75": [*first, *second]}
        )
    )


def test_curves_in_words():
    def results(*values):
        return pd.DataFrame({"epoch": range(len(values)), "metrics/mAP_0.75": values})

    scores = pd.DataFrame({"setting": ["a", "a", "b"], "run": ["a0", "a1", "b0"]})
    ends = run_folders.curve_ends(
        scores,
        {
            "a0": results(0.1, 0.2, 0.5),
            "a1": results(0.1, 0.2, 0.5, 0.9),
            "b0": results(0.2, 0.4, 0.3),
        },
    )
    assert ends["rising"].tolist() == [True, False] and ends["best_epoch"].tolist() == [3, 2]
    assert ends.attrs == {"epoch": 3, "leader": "a", "leads_since": 3}
    said = compare.curves(ends)
    assert said.startswith("At epoch 3 a leads, since epoch 3. Still rising at the end: a.")
    assert "a run moves by up to 0.700: a difference of that size depends on the epoch" in said
    none = run_folders.curve_ends(scores, {"a0": results(), "a1": results(), "b0": results()})
    assert compare.curves(none).startswith("Fewer than")


def test_every_figure_has_a_sentence_after_it(judged):
    runs, on, predictions = judged
    scores = tables.run_scores(runs, predictions, on, "optimisers")
    results = {
        name: run_folders.results(folder)
        for name, folder in zip(runs["name"], runs["folder"], strict=True)
    }
    shown = []

    class Page:
        def say(self, text):
            shown.append(("say", text))

        def table(self, frame, caption="", *options):
            shown.append(("table", caption))

        def figure(self, ax, name, caption):
            shown.append(("figure", name))

        def metrics(self, **values):
            pass

    answers = [
        tables.Answer(
            "optimisers",
            number,
            "",
            on,
            scores,
            tables.question_table(scores, "optimisers"),
            tables.differences(scores, predictions, on),
            results,
        )
        for number in (1, 2)
    ]
    displays = comparison.compared_runs(answers)
    assert displays[0].plot().get_xlabel().startswith("mAP75 gained")
    Step.show(Page(), *displays)
    kinds = [kind for kind, _ in shown]
    places = [place for place, kind in enumerate(kinds) if kind == "figure"]
    names = ["differences", "optimisers_curves", "optimisers_2_curves"]
    assert [shown[place][1] for place in places] == names
    assert all(kinds[place + 1] == "say" for place in places)
    assert shown[1] == ("say", "### Optimisers: SGD, default; AdamW, default")
    assert [text for kind, text in shown if kind == "table"].count("The write-up's own table.") == 1
    assert not any("on the right" in text for _, text in shown)


def test_welchs_interval_is_scipys_own_confidence():
    low, high = tables.welch_interval(np.array([1.0, 2, 3]), np.array([1.0, 2, 3]))
    assert low == pytest.approx(-high) and high == pytest.approx(2.776 * np.sqrt(2 / 3), rel=1e-3)
    assert tables.welch_interval(np.array([2.0, 2]), np.array([1.0, 1])) == (1.0, 1.0)


def test_figures_name_settings_and_intervals(judged):
    runs, on, predictions = judged
    scores = tables.run_scores(runs, predictions, on, "optimisers")
    ax = run_differences(tables.differences(scores, predictions, on))
    assert "mAP75 minus that of SGD, default" in ax.get_xlabel()
    results = {
        name: run_folders.results(folder)
        for name, folder in zip(runs["name"], runs["folder"], strict=True)
    }
    ax = setting_curves(scores, results)
    assert {text.get_text() for text in ax.texts} == {
        "SGD, default (2 seeds)",
        "AdamW, default (2 seeds)",
    }
    assert list(ax.lines[0].get_xdata()) == [1, 2] and ax.get_ylim()[0] > 0
    heights = sorted(text.get_window_extent().y0 for text in ax.texts)
    assert heights[1] - heights[0] > 10  # the two lines end at the same height, their names do not
    assert run_differences(pd.DataFrame()).texts[0].get_text() == "nothing was compared"


def test_other_photos_under_the_same_ids_are_predicted_anew(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        engine,
        "predict",
        lambda weights, photos, **k: calls.append(weights) or photos.boxes,
        raising=False,
    )
    write_run(tmp_path / "training" / "multilabel_split", data="a")
    runs = run_folders.find_runs(tmp_path)
    images, boxes = write_archives(tmp_path / "archives")
    on = tables.Judge("valid", Photos(images, boxes, tmp_path / "archives"))
    for number in (1, 1, 2):
        if number == 2:
            pigs = images.loc[images["archive"] == "pig.zip", "member"]
            with zipfile.ZipFile(tmp_path / "archives" / "pig.zip", "w") as archive:
                for seed, member in enumerate(pigs):
                    archive.writestr(member, jpeg(100 + seed))
        runs_module.predict_runs(runs, on, tmp_path / "kept")
        assert len(calls) == number


def test_no_display_is_hidden_by_the_module_that_holds_it():
    for _ in range(2):  # an imported module becomes an attribute of its package
        assert all(callable(getattr(displays, name)) for name in displays.__all__)
