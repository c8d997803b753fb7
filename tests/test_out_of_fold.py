"""Out-of-fold predictions: which model predicts what, resuming, reuse of weights, joined folds, bad
input."""

import json

import pandas as pd
import pytest

from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.sample import drawing
from livestock_utils.data.split.folds import stratified_folds
from livestock_utils.detect.predict import out_of_fold
from livestock_utils.detect.settings import TrainSettings

TRAINING = TrainSettings(
    model="yolov5n",
    epochs=1,
    image_size=64,
    batch_size=4,
    loggers=(),
    autoanchor=False,
    warmup_min_iterations=1,
)


def predict(photos, folds, out, settings=TRAINING, **options):
    return out_of_fold.predict_out_of_fold(
        photos, folds, out, settings, **{"max_detections": 20, **options}
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    where = drawing.write_sample(
        tmp_path_factory.mktemp("oof"), n_images=12, n_test_images=0, seed=3, scale=0.1
    )
    folder = where / "data"
    photos = data_folder.read_archives(folder)
    return photos, stratified_folds(photos, n_splits=4)


@pytest.fixture(scope="module")
def first_run(drawn, tmp_path_factory):
    photos, folds = drawn
    out = tmp_path_factory.mktemp("out")
    return out, predict(photos, folds, out, n_folds=2)


def test_every_image_is_predicted_by_the_model_that_has_not_seen_it(drawn, first_run):
    images, folds = drawn[0].images, drawn[1]
    out, table = first_run
    assert set(table["image_id"]) <= set(images["image_id"])
    assert (table["fold"] == table["image_id"].map(folds) % 2).all()
    for number in (0, 1):
        data = (out / "local" / "oof" / f"held_out_{number}.yaml").read_text()
        train = next(line for line in data.splitlines() if "images" in line and "val" not in line)
        assert f"fold{number}/" not in train
    assert out_of_fold.read(out / "predictions" / "oof.csv.gz").shape == table.shape


def test_a_second_call_trains_and_predicts_nothing(drawn, first_run, monkeypatch):
    photos, folds = drawn
    out, table = first_run
    monkeypatch.setattr(
        "livestock_utils.detect.predict.engine.predict",
        lambda *a, **k: pytest.fail("predicted again"),
    )
    before = {path: path.stat().st_mtime_ns for path in (out / "training").rglob("*.pt")}
    again = predict(photos, folds, out, n_folds=2)
    pd.testing.assert_frame_equal(again, table)
    assert {path: path.stat().st_mtime_ns for path in (out / "training").rglob("*.pt")} == before


def test_a_damaged_fold_file_is_made_again(drawn, first_run):
    photos, folds = drawn
    out, table = first_run
    (out / "predictions" / "oof_fold1.csv.gz").write_bytes(b"half")
    pd.testing.assert_frame_equal(predict(photos, folds, out, n_folds=2), table)


def test_given_weights_are_used_and_nothing_is_trained(drawn, first_run, tmp_path):
    photos, folds = drawn
    out, table = first_run
    given = {
        number: out / "training" / f"oof_fold{number}" / "weights" / "last.pt" for number in (0, 1)
    }
    again = predict(photos, folds, tmp_path, n_folds=2, fold_weights=given)
    pd.testing.assert_frame_equal(again, table)
    assert not (tmp_path / "training").exists()
    note = json.loads((tmp_path / "predictions" / "oof_fold0.json").read_text())
    assert note["image_size"] == 64


def test_trained_models_are_found_with_the_fold_that_each_has_not_seen(drawn, first_run, tmp_path):
    images, folds = drawn[0].images, drawn[1]
    out, table = first_run
    weights, of_image = out_of_fold.trained(out, images, folds)
    assert weights == {
        number: out / "training" / f"oof_fold{number}" / "weights" / "last.pt" for number in (0, 1)
    }
    assert (table["fold"] == table["image_id"].map(of_image)).all()
    other = pd.Series(range(len(images)), index=images["image_id"]) // 6
    for where, their_folds in ((out, other), (tmp_path, folds)):
        with pytest.raises(
            DatasetError, match="holds no models trained out of fold on these images and folds"
        ):
            out_of_fold.trained(where, images, their_folds)
    with pytest.raises(DatasetError, match="holds no models"):
        out_of_fold.trained(out, images.iloc[1:], folds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": lambda f: f * 0}, "at least 2 folds, got 1"),
        ({"folds": lambda f: f.iloc[1:]}, "1 of 12 images have no fold"),
        ({"n_folds": lambda _: 1}, "at least 2 folds, got 1"),
        ({"fold_weights": lambda _: {7: "x.pt"}}, "given for fold 7, but the folds are"),
    ],
)
def test_bad_folds_get_one_line(drawn, tmp_path, change, message):
    photos, folds = drawn
    options = {"folds": folds, "n_folds": None, "fold_weights": None}
    options |= {name: make(options[name]) for name, make in change.items()}
    with pytest.raises(DatasetError, match=message):
        predict(photos, options.pop("folds"), tmp_path, **options)


@pytest.mark.parametrize(
    ("present", "n_folds", "sizes"),
    [
        ([0, 2, 3, 4], None, {0: 1, 2: 1, 3: 1, 4: 1}),
        ([0, 2, 3, 4], 2, {0: 2, 1: 2}),
        ([0, 2, 4], 2, {0: 2, 1: 1}),
        ([1, 3], 2, {0: 1, 1: 1}),
        ([0, 1, 2], 5, {0: 1, 1: 1, 2: 1}),
    ],
)
def test_the_folds_that_are_present_are_joined_evenly(present, n_folds, sizes):
    images = pd.DataFrame({"image_id": [f"i{number}" for number in present]})
    joined = out_of_fold.joined_folds(images, pd.Series(present, index=images["image_id"]), n_folds)
    assert joined.index.tolist() == images["image_id"].tolist()
    assert joined.value_counts().to_dict() == sizes


@pytest.mark.parametrize("n_folds", [1, 0, -2])
def test_fewer_folds_than_two_are_refused(n_folds):
    images = pd.DataFrame({"image_id": ["a", "b"]})
    with pytest.raises(DatasetError, match=f"at least 2 folds, got {n_folds}; raise n_folds"):
        out_of_fold.joined_folds(images, pd.Series([0, 1], index=["a", "b"]), n_folds)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "predictions not found"), (b"no gzip", "not a table .Not a gzipped")],
)
def test_bad_files_get_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "p.csv.gz").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        out_of_fold.read(tmp_path / "p.csv.gz")


def test_the_same_table_gives_the_same_bytes(tmp_path):
    table = pd.DataFrame([("a", "cow", 0.5, 1.0, 2.0, 3.004, 4.0, 0)], columns=out_of_fold.COLUMNS)
    paths = [out_of_fold.write(tmp_path / f"{name}.csv.gz", table) for name in "xy"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert out_of_fold.read(paths[0])["x_max"].tolist() == [3.0]


def test_other_photos_under_the_same_ids_are_predicted_anew(drawn, first_run, tmp_path):
    photos, folds = drawn
    out, _ = first_run
    weights = out / "training" / "oof_fold0" / "weights" / "last.pt"
    place = tmp_path / "photos"
    place.mkdir()
    images = photos.images
    with photos.reader() as reader:
        pictures = [reader.bytes(*row) for row in images[["archive", "member"]].to_numpy().tolist()]
    plain = images.assign(archive="", member=images["image_id"] + ".jpg")

    def predicted(order):
        for member, number in zip(plain["member"], order, strict=True):
            (place / member).write_bytes(pictures[number])
        return predict(
            Photos(plain, photos.boxes, place),
            folds,
            tmp_path / "out",
            n_folds=2,
            fold_weights={0: weights, 1: weights},
            max_detections=300,
        )

    order = list(range(len(photos)))
    first, second = predicted(order), predicted(order[1:] + order[:1])
    assert len(first) and not first.equals(second)
