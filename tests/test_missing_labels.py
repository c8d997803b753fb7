"""Missing labels: scores, suggestions, ranked images, faults of labels; known answers and bad
input."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import livestock_utils as lu
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError, ScoringError
from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub import folder
from livestock_utils.data.sample import drawing
from livestock_utils.evaluate.labels import faults as label_faults
from livestock_utils.evaluate.labels import missing, ranking, report
from livestock_utils.show.words import labels as words

BOX_COLUMNS = ["image_id", "species", *XYXY]


def scene(n_images=40, per_image=5, gap=0.2, seed=0):
    """(images, kept, removed, predictions): animals on a grid, one to three boxes on each, faint
    boxes on nothing."""
    rng = np.random.default_rng(seed)
    animals, found = [], []
    for image in range(n_images):
        name, species = f"i{image:03d}", "pig" if image % 4 == 0 else "cow"
        for place in rng.permutation(12)[:per_image]:
            low = np.array([place % 4, place // 4]) * 100 + rng.uniform(5, 20, 2)
            box = np.concatenate([low, low + rng.uniform(50, 75, 2)])
            animals.append((name, species, *box))
            for extra in range(rng.integers(1, 4)):
                spread = rng.normal(0, 2 + 3 * extra, 4)
                found.append(
                    (name, species, *(box + spread), float(rng.beta(6, 2) / (1 + 3 * extra)))
                )
        for _ in range(10):
            low = rng.uniform(0, 300, 2)
            found.append(
                (name, species, *low, *(low + rng.uniform(30, 90, 2)), float(rng.beta(1, 12)))
            )
    boxes = pd.DataFrame(animals, columns=BOX_COLUMNS)
    kept, removed = ranking.hide(boxes, gap, seed)
    images = pd.DataFrame(
        {"image_id": [f"i{i:03d}" for i in range(n_images)], "width_px": 400, "height_px": 300}
    )
    images["species"] = ["pig" if i % 4 == 0 else "cow" for i in range(n_images)]
    return images, kept, removed, pd.DataFrame(found, columns=[*BOX_COLUMNS, "confidence"])


def test_unlabelled_animals_rank_first_and_above_cleanlab():
    pytest.importorskip("cleanlab")
    images, kept, removed, predictions = scene()
    truth = missing.is_missing(predictions, kept, removed)
    curves = ranking.curves(truth, ranking.rankings(Photos(images, kept), predictions))
    ours, *others = ranking.average_precisions(curves).values()
    assert ours > 0.9
    assert ours > max(others) + 0.1


def test_scores_leave_labelled_and_faint_boxes_at_zero_and_repeat(monkeypatch):
    monkeypatch.setattr(missing, "_CONFIDENCE_FLOOR", 0.05)
    images, kept, _, predictions = scene(20)
    scored = missing.score(Photos(images, kept), predictions)
    assert (scored.loc[scored["label_iou"] >= 0.5, "score"] == 0).all()
    assert (scored.loc[scored["confidence"] < 0.05, "score"] == 0).all()
    assert scored["score"].between(0, 1).all()
    pd.testing.assert_frame_equal(scored, missing.score(Photos(images, kept), predictions))
    assert list(scored.index) == list(predictions.index)


def test_one_suggestion_an_animal():
    images, kept, removed, predictions = scene()
    suggestions = missing.suggest(missing.score(Photos(images, kept), predictions), images)
    right = missing.is_missing(suggestions, kept, removed)
    assert right.mean() > 0.9
    assert right.sum() <= len(removed)
    ranked = missing.rank_images(Photos(images, kept), suggestions)
    assert ranked["suggestions"].sum() == len(suggestions)
    assert ranked["expected"].is_monotonic_decreasing


SCORED = pd.DataFrame(
    [
        ("a", "cow", 0, 0, 10, 10, 0.9, 0.6),
        ("a", "pig", 0, 0, 10, 11, 0.1, 0.8),
        ("a", "cow", 50, 50, 60, 60, 0.3, 0.7),
        ("b", "cow", 0, 0, 10, 10, 0.3, 0.2),
    ],
    columns=[*BOX_COLUMNS, "confidence", "score"],
)


OF_SCORED = pd.DataFrame({"image_id": ["a", "b"], "species": "cow"})


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(SCORED.iloc[:0], [], id="empty"),
        pytest.param(
            SCORED,
            [("cow", 0.8), ("cow", 0.7)],
            id="most confident of a cluster, with its highest score",
        ),
        pytest.param(SCORED.iloc[3:], [], id="below the threshold"),
    ],
)
def test_suggest(table, expected):
    chosen = missing.suggest(table, OF_SCORED)
    assert list(zip(chosen["species"], chosen["score"], strict=True)) == expected


def test_a_cow_photo_suggests_cows_whatever_the_model_calls_them():
    labels = pd.DataFrame([("a", "cow", 70.0, 70.0, 90.0, 90.0)], columns=BOX_COLUMNS)
    chosen = missing.suggest(SCORED.assign(species="pig"), OF_SCORED)
    assert chosen["species"].tolist() == ["cow", "cow"]
    assert chosen["predicted_species"].tolist() == ["pig", "pig"]
    table = report.by_species(labels, chosen)
    assert table[["species", "labels", "suggestions", "named_otherwise"]].to_numpy().tolist() == [
        ["cow", 1, 2, 2]
    ]
    said = words.suggested(table, 1)
    assert (
        "**2 cow** beside 1 labelled (67 %)" in said
        and "In 2 cases the model named another species" in said
    )
    assert report.cases(chosen)["why"].tolist() == [
        "cow? score 0.80 (as pig)",
        "cow? score 0.70 (as pig)",
    ]


@pytest.mark.parametrize(
    ("scored", "message"),
    [
        (SCORED.drop(columns="score"), "scored predictions: the column 'score' is lacking"),
        (
            SCORED.assign(image_id="z"),
            "4 scored predictions are of images that are not in the images table.*'z'",
        ),
    ],
)
def test_bad_scores_get_one_line(scored, message):
    with pytest.raises(ScoringError, match=message):
        missing.suggest(scored, OF_SCORED)


def test_on_a_drawn_sample_the_unlabelled_animals_are_the_truths(tmp_path):
    """Every animal is predicted, the unlabelled cows mostly as pigs: what is suggested is cows all
    the same."""
    where = drawing.write_sample(tmp_path, n_images=60, n_test_images=0, seed=2, scale=0.2)
    photos = folder.read_archives(where / "data")
    images, boxes = photos.images, photos.boxes
    truth, rng = drawing.read_truth(where), np.random.default_rng(0)
    animals = truth.sample(frac=1, random_state=0).reset_index(drop=True)
    swapped = ~animals["labelled"] & (rng.random(len(animals)) < 0.7) | (
        rng.random(len(animals)) < 0.1
    )
    names = animals["species"].map({"pig": "cow", "cow": "pig"}).where(swapped, animals["species"])
    near = animals[XYXY] + rng.normal(0, 1, (len(animals), 4))
    faint = animals.assign(
        x_min=0.0, y_min=0.0, x_max=30.0, y_max=30.0, confidence=rng.uniform(0, 0.2, len(animals))
    )
    found = animals.assign(species=names, confidence=rng.uniform(0.4, 0.95, len(animals)), **near)
    predictions = pd.concat([found, faint], ignore_index=True)[[*BOX_COLUMNS, "confidence"]]
    suggestions = missing.suggest(missing.score(Photos(images, boxes), predictions), images)
    unlabelled = ranking.unlabelled(where, images)
    assert set(unlabelled["species"]) == {"cow"} and len(unlabelled) > 5
    shares = report.by_species(boxes, suggestions).set_index("species")["share"]
    assert shares["cow"] > shares["pig"]
    assert (suggestions["predicted_species"] == "pig").mean() > 0.3


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"predictions": lambda p: p.iloc[:0]}, ScoringError, "there are no predictions"),
        (
            {"predictions": lambda p: p.assign(image_id="x")},
            ScoringError,
            "not in the images table, the first is 'x'",
        ),
        (
            {"predictions": lambda p: p.drop(columns="confidence")},
            ScoringError,
            "'confidence' is lacking",
        ),
        (
            {"predictions": lambda p: p.assign(confidence=np.nan)},
            ScoringError,
            "row 0 has no confidence",
        ),
        ({"boxes": lambda b: b.iloc[:0]}, DatasetError, "there are no labels"),
    ],
)
@pytest.mark.parametrize("function", [missing.score, label_faults.find])
def test_bad_input_gets_one_line(function, change, error, message):
    images, kept, _, predictions = scene(4)
    tables = {"boxes": kept, "predictions": predictions}
    tables |= {name: make(tables[name]) for name, make in change.items()}
    with pytest.raises(error, match=message) as caught:
        function(Photos(images, tables["boxes"]), tables["predictions"])
    assert "\n" not in str(caught.value)


def test_labels_that_no_prediction_finds_teach_nothing():
    images, kept, _, predictions = scene(4)
    elsewhere = kept.assign(image_id="i001", x_min=900.0, x_max=901.0)
    with pytest.raises(ScoringError, match="nothing can be learnt"):
        missing.score(Photos(images, elsewhere), predictions)


def test_a_species_without_labels_is_told(caplog):
    images, kept, _, predictions = scene(12)
    missing.score(Photos(images, kept[kept["species"] == "cow"]), predictions)
    assert "pig has predictions but not a single label" in caplog.text


def test_faults_of_labels():
    images, kept, _, predictions = scene(gap=0)
    boxes = kept.copy()
    boxes.loc[3, ["x_max", "y_max"]] += 15.0
    boxes.loc[7, "species"] = "pig" if boxes.loc[7, "species"] == "cow" else "cow"
    boxes = pd.concat(
        [boxes, boxes.iloc[[11]].assign(x_max=lambda t: t["x_max"] + 1)], ignore_index=True
    )
    faults = label_faults.find(Photos(images, boxes), predictions)
    assert set(faults.loc[faults["fault"] == "swapped", "label"]) == {7}
    assert list(faults.loc[faults["fault"] == "duplicate", "label"]) == [len(boxes) - 1]
    assert 3 in set(faults.loc[faults["fault"] == "loose", "label"].head(5))
    faint = predictions.assign(confidence=0.01)
    none = label_faults.find(Photos(images, boxes.iloc[20:60]), faint)
    assert none[none["fault"] != "duplicate"].empty
    assert words.faults(none).startswith("Suspicious labels: 0 loose")
    said = words.faults(faults.assign(right=report.right_labels(faults, kept)))
    assert "By the truth **0 of the 3** are right as they are" in said
    right = report.right_labels(faults, boxes)
    assert right.sum() == 2
    assert "By the truth **2 of the 3** are right" in words.faults(faults.assign(right=right))
    assert "as the class comes from the archive, that is the model's mistake" in said


def test_the_sentence_says_when_labels_were_hidden_after_training(tmp_path):
    images, kept, removed, _ = scene(8)
    boxes = pd.concat([kept, removed], ignore_index=True)
    left, hidden, known_by = ranking.known_gaps(tmp_path, Photos(images, boxes))
    assert (len(left), len(hidden)) == (32, 8)
    curves = ranking.curves(np.ones(2, dtype=bool), {"x": np.ones(2)})
    curves.attrs |= {"missing": len(hidden), "known_by": known_by}
    assert "after the detectors were trained with all of them" in words.ranking(curves)
    assert ranking.unlabelled(tmp_path, images) is None


def test_sentences_of_nothing():
    _, kept, removed, predictions = scene(4)
    images = predictions[["image_id", "species"]].drop_duplicates()
    empty = missing.suggest(predictions.assign(score=0.0), images)
    assert "No box is suggested" in words.suggested(report.by_species(kept, empty), 0)
    assert "No suggestion" in words.audit(report.audit(empty, kept, removed))
    assert report.cases(empty).empty


def test_displays_of_labels(tmp_path):
    images, kept, removed, predictions = scene(20)
    truth = [kept.assign(labelled=True), removed.assign(labelled=False)]
    pd.concat(truth).to_csv(tmp_path / "truth.csv", index=False)
    images = images.assign(archive="", member="absent.jpg")
    found = lu.missing_labels(Photos(images, kept, tmp_path), predictions, 0.5, tmp_path)
    curves = lu.displays.missing_curves(found)
    assert curves.shows_table and "drawn sample" in curves.verdict
    assert list(curves.table) == ["50% found after", "80% found after", "95% found after"]
    assert curves.metrics["missing_label_ap"]["hidden-label regression"] > 0.8
    assert curves.plot() is not None
    where = lu.displays.images_to_check(found)
    assert where.metrics["suggestions"] == len(found.suggestions) and where.shows_table
    true_share = len(removed) / (len(removed) + len(kept))
    assert where.metrics["missing_share"] == pytest.approx(true_share, abs=0.1)
    assert "lie on an unlabelled animal" in where.verdict
    best = lu.displays.suggestions(found, 4)
    assert best.table["right"].all()
    assert "right" in lu.displays.label_faults(found).table
    changes = found.write(tmp_path / "out")
    assert changes.empty and not lu.displays.corrections(changes).shows_table
    names = {path.name for path in (tmp_path / "out").iterdir()}
    files = {"suggestions.csv", "faults.csv", "changes.csv", "labels_with_suggestions.json"}
    assert names == files | {"yolo", "tables"}
    again = found.write(tmp_path / "out", tmp_path / "out" / "labels_with_suggestions.json")
    assert set(again["change"]) == {"kept", "added"}
    assert lu.displays.corrections(again).table["added"].sum() == len(found.suggestions)
    plt.close("all")


def test_the_work_until_so_many_are_found_is_counted_in_boxes():
    columns = ["image_id", "species", *XYXY]
    gone = pd.DataFrame(
        [["a", "cow", 10.0 * k, 0, 10 * k + 10, 10] for k in range(4)], columns=columns
    )
    found = pd.concat([gone.iloc[[0, 0, 1]], gone.iloc[[2]].assign(x_min=500.0, x_max=510.0)])
    found = found.reset_index(drop=True)
    ranked = {"good": np.array([9.0, 8, 7, 1]), "bad": np.array([1.0, 2, 3, 9])}
    table = ranking.effort(found, gone, ranked, (0.25, 0.5, 0.95))
    # The second box on the first animal is not shown.
    assert table.loc["good"].tolist()[:2] == [1, 2] and table.loc["bad"].tolist()[:2] == [2, 3]
    assert table[0.95].isna().all()
    assert ranking.effort(found.iloc[:0], gone, {"x": np.zeros(0)}).isna().all(axis=None)
    assert ranking.effort(found, gone.iloc[:0], ranked).isna().all(axis=None)
