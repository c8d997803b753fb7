"""Silver sets on disk, the training lists made of them, and what two trainings are compared by."""

import hashlib
import shutil
import tarfile

import numpy as np
import pandas as pd
import pytest
import yaml
from data_sets import write_archives

from livestock_utils.core.archives import ImageReader
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError, ScoringError, TrainingError
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import reading, tars, writing
from livestock_utils.detect import settings as settings_module
from livestock_utils.detect.predict import silver_sources
from livestock_utils.detect.train import data as training_data
from livestock_utils.detect.train import distill
from livestock_utils.evaluate.scoring import intervals, matching
from livestock_utils.evaluate.scoring.metrics import table_sides
from livestock_utils.evaluate.silver import effect, making, sets
from livestock_utils.evaluate.silver.making import SilverSettings
from livestock_utils.show import training
from livestock_utils.show.words import silver

IGNORED = [40.0, 30.0, 90.0, 60.0]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """(archives folder, images, boxes, predictions): each cow image has one sure new box and one
    unsure one."""
    folder = tmp_path_factory.mktemp("archives")
    images, _ = write_archives(folder, 12)
    boxes = pd.DataFrame({"image_id": images["image_id"], "species": images["species"]})
    boxes[XYXY] = [4.0, 4.0, 24.0, 20.0]
    cows = images.loc[images["species"] == "cow", "image_id"]
    parts = [
        pd.DataFrame({"image_id": cows, "species": "cow", "confidence": confidence}).assign(
            **dict(zip(XYXY, corners, strict=True))
        )
        for confidence, corners in (
            (0.9, [4, 4, 24, 21]),
            (0.8, [60.0, 4.0, 80.0, 20.0]),
            (0.2, IGNORED),
        )
    ]
    return folder, images, boxes, pd.concat(parts, ignore_index=True)


def made(source, mode: str) -> making.Silver:
    _, images, boxes, predictions = source
    settings = SilverSettings(
        mode,
        0.5,
        min_boxes=1,
        ignore_threshold=0.1 if mode == "merge" else None,
        max_ignored_share=1.0,
    )
    return making.make_silver(Photos(images, boxes), predictions, settings, "best.pt")


def folds_of(images: pd.DataFrame) -> pd.Series:
    return pd.Series(np.arange(len(images)) % 3, index=images["image_id"])


@pytest.fixture(scope="module", params=making.MODES)
def written(request, source, tmp_path_factory):
    """(mode, silver set, folder of its tars, folder where it is extracted)."""
    folder = tmp_path_factory.mktemp("out")
    one = made(source, request.param)
    sets.write_silver(folder, one, source[0], folds_of(source[1]), seed=3)
    return request.param, one, folder, sets.open_silver(folder, folder / "plus")


def test_same_input_same_bytes(source, written, tmp_path):
    mode, _, folder, _ = written
    sets.write_silver(tmp_path, made(source, mode), source[0], folds_of(source[1]), seed=3)
    again = sorted(tmp_path.iterdir())
    assert [path.name for path in again] == ["plus_image.tar", "plus_label.tar"]
    assert [path.read_bytes() for path in again] == [
        (folder / path.name).read_bytes() for path in again
    ]


def test_the_set_reads_back(written):
    mode, one, _, plus = written
    images, boxes = reading.read_tables(plus)
    assert images["image_id"].tolist() == one.images["image_id"].tolist()
    assert len(images) == 6 and images["image_id"].str.startswith("plus_livestock_cow").all()
    pd.testing.assert_frame_equal(
        boxes[XYXY].sort_values(XYXY).reset_index(drop=True),
        one.boxes[XYXY].sort_values(XYXY).reset_index(drop=True),
        atol=1e-3,
    )
    assert sets.read_settings(plus) == (one.settings, None)
    provenance = pd.read_csv(plus / "provenance.csv")
    pd.testing.assert_frame_equal(provenance, one.labels, check_dtype=False)
    assert set(provenance["origin"]) == (
        {"gold", "silver", "ignored"} if mode == "merge" else {"silver"}
    )
    manifest = reading.read_manifest(plus)
    assert (manifest["seed"] == 3).all()


def test_source_and_copy_share_a_fold(source, written):
    manifest = reading.read_manifest(written[3]).set_index("image_id")
    folds = folds_of(source[1])
    assert {name: folds[name.removeprefix("plus_")] for name in manifest.index} == manifest[
        "fold"
    ].to_dict()


def test_photos_are_copied_as_they_are(source, written):
    _, one, _, plus = written
    with ImageReader(source[0]) as reader:
        for row in one.images.to_dict("records"):
            copy = plus / "images" / f"{row['image_id']}.jpg"
            assert copy.read_bytes() == reader.bytes(row["archive"], row["member"])


def test_extracting_again_changes_nothing_and_mends_what_is_damaged(written):
    _, _, folder, plus = written
    label = next((plus / "labels").glob("*.txt"))
    stamp, text = label.stat().st_mtime_ns, label.read_bytes()
    assert sets.open_silver(folder, plus) == plus
    assert label.stat().st_mtime_ns == stamp
    label.write_bytes(b"0 0.5 0.5 0.1 0.1\n")
    (plus / "labels.cache").write_bytes(b"stale")
    sets.open_silver(folder, plus)
    assert label.read_bytes() == text and not (plus / "labels.cache").exists()


def test_other_settings_are_read_though_the_labels_are_the_same(source, tmp_path):
    _, images, boxes, predictions = source
    for threshold in (0.5, 0.6):  # no prediction lies between
        one = making.make_silver(
            Photos(images, boxes),
            predictions,
            SilverSettings("duplicate", threshold, min_boxes=1),
            "best.pt",
        )
        sets.write_silver(tmp_path, one, source[0], folds_of(images), seed=3)
        plus = sets.open_silver(tmp_path, tmp_path / "plus")
        assert sets.read_settings(plus)[0].confidence_threshold == threshold


@pytest.fixture
def tar_pair(source, tmp_path):
    sets.write_silver(tmp_path, made(source, "duplicate"), source[0])
    return tmp_path


def without(folder, name: str, member: str, end: bytes = b"") -> None:
    """Write the tar again without a member, and `end` after the bytes of the others."""
    kept = [
        (n, tars.read_whole(folder / name, n, f) + end)
        for n, f in tars.members(folder / name)
        if n != member
    ]
    with (folder / name).open("wb") as file:
        tar = tars.TarWriter(file)
        for each, data in kept:
            tar.add(each, data)
        tar.close()


@pytest.mark.parametrize(
    ("name", "member", "message"),
    [
        (
            "plus_image.tar",
            "images/plus_livestock_cow_bbox_000000.jpg",
            "plus_image.tar lacks 'images/plus_livestock_cow",
        ),
        (
            "plus_label.tar",
            "labels/plus_livestock_cow_bbox_000000.txt",
            "plus_label.tar lacks labels or they are damaged",
        ),
        (
            "plus_label.tar",
            "provenance.csv",
            "plus_label.tar lacks provenance.csv; write the silver set again",
        ),
        ("plus_label.tar", "manifest.csv", "plus_label.tar lacks manifest.csv"),
    ],
)
def test_tars_that_lack_something(tar_pair, name, member, message):
    without(tar_pair, name, member)
    with pytest.raises(DatasetError, match=message):
        sets.open_silver(tar_pair, tar_pair / "plus")
    assert not (tar_pair / "plus").exists()


def test_tars_that_are_absent_cut_or_of_another_writing(source, tar_pair, tmp_path):
    other = tmp_path / "other"
    sets.write_silver(other, made(source, "merge"), source[0])
    without(tar_pair, "plus_image.tar", "", b"other")
    with pytest.raises(
        DatasetError, match=r"not what plus_label.tar says; the two are not of one writing"
    ):
        sets.open_silver(tar_pair, tar_pair / "plus")
    whole = (other / "plus_image.tar").read_bytes()
    (other / "plus_image.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"plus_image\.tar"):
        sets.open_silver(other, other / "plus")
    (other / "plus_label.tar").unlink()
    with pytest.raises(DatasetError, match="tar not found"):
        sets.open_silver(other, other / "plus")
    assert not (other / "plus").exists()


def test_a_source_without_a_fold(source, tmp_path):
    with pytest.raises(
        DatasetError, match="source images have no fold, the first is 'livestock_cow_bbox_000001'"
    ):
        sets.write_silver(
            tmp_path, made(source, "merge"), source[0], pd.Series({"livestock_cow_bbox_000000": 0})
        )
    assert not list(tmp_path.iterdir())


def test_the_tars_open_with_tar(tar_pair):
    with tarfile.open(tar_pair / "plus_image.tar") as tar:
        assert len(tar.getnames()) == 6
    with tarfile.open(tar_pair / "plus_label.tar") as tar:
        assert {"manifest.csv", "provenance.csv", "silver.json"} < set(tar.getnames())


@pytest.fixture(scope="module")
def gold(source, tmp_path_factory):
    """(train folder, valid folder): the last cow image is held out."""
    folder, images, boxes, _ = source
    out = tmp_path_factory.mktemp("gold")
    last = images["image_id"] == images.loc[images["species"] == "cow", "image_id"].iloc[-1]
    writing.write_set(out / "train", Photos(images[~last], boxes, folder))
    writing.write_set(out / "valid", Photos(images[last], boxes, folder))
    return out / "train", out / "valid"


def listed(path) -> list[str]:
    return [line.rsplit("/", 1)[1] for line in path.with_suffix(".txt").read_text().splitlines()]


def test_training_lists(written, gold, tmp_path):
    mode, _, _, plus = written
    first, second, table, *_ = sets.write_silver_lists(tmp_path, gold[0], plus, gold[1])
    table = table.set_index("training")
    assert table.loc["expanded", ["silver_images", "held_out"]].tolist() == [5, 1]
    assert table["images"].nunique() == 1, "both trainings take as many steps"
    plain, expanded = listed(first), listed(second)
    assert sorted(name.removeprefix("plus_") for name in expanded) == sorted(plain), (
        "both see the same photos"
    )
    assert len(plain) == (16 if mode == "duplicate" else 11)
    twice = {name for name in plain if plain.count(name) == 2}
    assert len(twice) == (5 if mode == "duplicate" else 0)
    for path in (first, second):
        data = training_data.read_data(path)
        assert len(data.train.files) == len(plain) and len(data.valid.files) == 1
        assert data.train.n_boxes == table.loc[path.stem, "boxes"]
    assert yaml.safe_load(first.read_text())["names"] == {0: "pig", 1: "cow"}
    assert ("seen twice" in silver.lists(table.reset_index())) is bool(twice)


def test_ignored_regions_travel_with_the_set_to_the_training(written, gold, tmp_path):
    mode, _, _, plus = written
    lists = sets.write_silver_lists(tmp_path, gold[0], plus, gold[1])
    regions = lists.regions
    if mode != "merge":
        assert regions.empty
        return
    assert len(regions) == 5 and (regions[XYXY] == IGNORED).all(axis=None)
    assert set(regions["image_id"] + ".jpg") <= set(listed(lists.expanded))
    expanded, plain = (training_data.read_data(path) for path in (lists.expanded, lists.gold))
    marked = distill.with_teacher(expanded, regions).train
    added = {
        file.rpartition("/")[2]: len(labels) - len(own)
        for file, labels, own in zip(
            marked.files, marked.labels, expanded.train.labels, strict=True
        )
    }
    assert added == {name: int(name.startswith("plus_")) for name in added}
    with pytest.raises(TrainingError, match=r"no box of confidence .* on any training image"):
        distill.with_teacher(plain, regions)


def test_a_provenance_that_lacks_a_column(written, gold, tmp_path):
    plus = tmp_path / "plus"
    shutil.copytree(written[3], plus)
    labels = pd.read_csv(plus / "provenance.csv").drop(columns="origin")
    labels.to_csv(plus / "provenance.csv", index=False)
    with pytest.raises(DatasetError, match=r"provenance.csv: the column 'origin' is lacking"):
        sets.write_silver_lists(tmp_path, gold[0], plus, gold[1])


def test_a_share_of_silver(written, gold, tmp_path):
    plus = written[3]
    lists = [
        sets.write_silver_lists(tmp_path / str(seed), gold[0], plus, gold[1], 0.4, seed)
        for seed in (0, 0, 1, 2, 3)
    ]
    assert all(table["silver_images"].max() == 2 for _, _, table, *_ in lists)
    chosen = [
        frozenset(name for name in listed(second) if name.startswith("plus_"))
        for _, second, *_ in lists
    ]
    assert chosen[0] == chosen[1] and len(set(chosen)) > 1


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_a_share_refused(written, gold, tmp_path, share):
    with pytest.raises(
        DatasetError, match=r"the share of silver images must be above 0 and at most 1"
    ):
        sets.write_silver_lists(tmp_path, gold[0], written[3], gold[1], share)


def test_lists_of_another_set_refused(written, gold, tmp_path):
    images, boxes = reading.read_tables(gold[0])
    writing.write_set(tmp_path / "pigs", Photos(images[images["species"] == "pig"], boxes, gold[0]))
    with pytest.raises(
        DatasetError,
        match=r"no source of the 6 silver images is in .*; make silver from the images",
    ):
        sets.write_silver_lists(tmp_path, tmp_path / "pigs", written[3], gold[1])


def test_a_folder_that_is_no_silver_set(gold):
    with pytest.raises(DatasetError, match="is missing: extract the silver set there first"):
        sets.read_settings(gold[0])


def test_settings_of_another_version(tmp_path):
    (tmp_path / "silver.json").write_text('{"mode": "merge", "power": 9}')
    with pytest.raises(
        DatasetError, match=r"expected the settings mode, .*, got mode, power; write the silver"
    ):
        sets.read_settings(tmp_path)


def test_images_hash_as_the_manifest_says(written):
    plus = written[3]
    for row in reading.read_manifest(plus).to_dict("records"):
        data = (plus / "images" / f"{row['image_id']}.jpg").read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (row["bytes"], row["sha256"])


# The comparison of two trainings.


def scenes(
    n_images: int = 30,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(images, truth, labels, gold's predictions, expanded's): expanded also finds what nobody
    labelled."""
    ids = [f"livestock_cow_bbox_{i:06d}" for i in range(n_images)]
    images = pd.DataFrame({"image_id": ids, "species": "cow", "width_px": 400, "height_px": 300})
    parts = [
        pd.DataFrame(
            {
                "image_id": ids,
                "species": "cow",
                "x_min": x,
                "y_min": 0.0,
                "x_max": x + 50.0,
                "y_max": 50.0,
            }
        )
        for x in (0.0, 100.0, 200.0)
    ]
    truth = pd.concat(parts).sort_values("image_id", kind="stable", ignore_index=True)
    labels = truth[truth["x_min"] < 200].reset_index(drop=True)
    random = np.random.default_rng(0)
    confidence = random.random(len(truth)).round(3)
    expanded = truth.assign(confidence=confidence)
    return images, truth, labels, expanded[expanded["x_min"] < 200].reset_index(drop=True), expanded


def test_effect_hangs_on_the_answers():
    images, truth, labels, gold, expanded = scenes()
    table = effect.effect_table(
        {"complete": truth, "as labelled": labels}, [gold], [expanded], images
    )
    rows = table[table["class"] == "all"].set_index("answers")
    assert rows.loc["complete", "difference"] > 0.2 > 0 > rows.loc["as labelled", "difference"]
    between = rows.loc[effect.BETWEEN]
    assert between["difference"] == pytest.approx(
        rows.loc["complete", "difference"] - rows.loc["as labelled", "difference"]
    )
    assert 0 < between["low"] <= between["difference"] <= between["high"]
    assert rows["labels"].tolist()[:2] == [90, 60]
    text = silver.cause(table)
    assert text.startswith("Silver loses where boxes are lacking and wins where they are not")
    assert "take" in text
    metrics = silver.effect_metrics(table)
    assert metrics["difference"] > 0 > metrics["difference_lacking"]
    assert (metrics["answers"], metrics["answers_lacking"]) == ("complete", "as labelled")


def test_effect_is_the_paired_comparison_of_intervals():
    images, truth, _, gold, expanded = scenes()
    table = effect.effect_table({"complete": truth}, [gold], [expanded], images, seed=4)
    matches = [matching.match_best(table_sides(truth, found, images)) for found in (gold, expanded)]
    wanted = intervals.compare(*matches, seed=4)
    assert table["class"].tolist() == wanted.index.tolist()
    for ours, theirs in (
        ("gold", "first"),
        ("expanded", "second"),
        ("difference", "difference"),
        ("low", "low"),
        ("high", "high"),
        ("second_better", "second_better"),
    ):
        np.testing.assert_allclose(table[ours], wanted[theirs])
    assert silver.cause(table) == "With one set of answers this cannot be told."


def test_the_same_answers_twice_make_no_difference():
    images, truth, _, gold, expanded = scenes()
    table = effect.effect_table({"complete": truth, "again": truth}, [gold], [expanded], images)
    between = table[table["answers"] == effect.BETWEEN]
    assert (between[["difference", "low", "high"]] == 0).all(axis=None)
    assert silver.cause(table).startswith("Silver wins on both")


@pytest.mark.parametrize(
    ("full", "lacking", "start"),
    [
        ((0.1, 0.2), (0.1, 0.2), "Silver wins on both"),
        ((0.1, 0.2), (-0.1, 0.2), "Silver wins for sure on the fuller answers only"),
        (
            (0.1, 0.2),
            (-0.2, -0.1),
            "Silver loses where boxes are lacking and wins where they are not",
        ),
        ((-0.1, 0.1), (-0.1, 0.2), "With neither label set is the difference significant"),
        ((-0.1, 0.1), (-0.2, -0.1), "Silver loses for sure only where boxes are lacking"),
        ((-0.1, 0.1), (0.1, 0.2), "Silver wins for sure only where boxes are lacking"),
        ((-0.2, -0.1), (-0.2, -0.1), "Silver loses on the fuller answers too"),
        ((-0.2, -0.1), (-0.1, 0.1), "Silver loses for sure on the fuller answers"),
        ((-0.2, -0.1), (0.1, 0.2), "Silver wins only where boxes are lacking"),
    ],
)
def test_the_cause_is_claimed_only_where_intervals_allow_it(full, lacking, start):
    rows = [("complete", *full), ("as labelled", *lacking), (effect.BETWEEN, -0.01, 0.01)]
    table = pd.DataFrame(
        [(name, "all", (low + high) / 2, low, high) for name, low, high in rows],
        columns=["answers", "class", "difference", "low", "high"],
    )
    text = silver.cause(table)
    assert text.startswith(start) and text.endswith("within noise.")


def test_several_runs_are_averaged():
    images, truth, _, gold, expanded = scenes()
    one, two = (
        effect.effect_table({"complete": truth}, [gold] * n, [expanded, gold][:n], images)
        for n in (1, 2)
    )
    np.testing.assert_allclose(two["difference"], one["difference"] / 2)
    np.testing.assert_allclose(two[["low", "high"]], one[["low", "high"]] / 2)
    assert (two["lowest_run"] == 0).all() and two["highest_run"].equals(one["difference"])
    assert silver.luck(one).startswith("The interval covers the choice of images only.")
    assert silver.luck(two).startswith(
        "Over 2 pairs of trainings from different seeds the difference on “compl"
    )
    with pytest.raises(
        ScoringError, match="gold and expanded need as many runs each, at least one, got 1, 2"
    ):
        effect.effect_table({"complete": truth}, [gold], [expanded] * 2, images)


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_refused(seeds, tmp_path):
    with pytest.raises(
        TrainingError, match="seeds must be different whole numbers, at least one, got"
    ):
        training.train_pairs("g.yaml", "e.yaml", None, lambda name: (tmp_path / name, None), seeds)


def test_answers_without_boxes_refused():
    images, truth, _, gold, expanded = scenes(4)
    with pytest.raises(ScoringError, match="the answers 'none' hold no boxes"):
        effect.effect_table({"none": truth.iloc[:0]}, [gold], [expanded], images)


def test_answer_sets_with_and_without_the_truth(tmp_path):
    images, truth, labels, *_ = scenes(10)
    found = effect.answer_sets(Photos(images, labels), tmp_path, 0.5)
    assert {name: len(boxes) for name, boxes in found.items()} == {"as labelled": 20, "thinned": 10}
    truth.assign(labelled=truth["x_min"] < 200).to_csv(tmp_path / "truth.csv", index=False)
    found = effect.answer_sets(Photos(images, labels), tmp_path)
    assert {name: len(boxes) for name, boxes in found.items()} == {
        "complete": 30,
        "as labelled": 20,
    }


@pytest.mark.parametrize("shift", [{"image_id": "x"}, {"x_min": 900.0, "x_max": 950.0}])
def test_a_truth_file_of_other_data_is_refused(tmp_path, shift):
    images, truth, labels, *_ = scenes(10)
    truth.assign(**shift).to_csv(tmp_path / "truth.csv", index=False)
    with pytest.raises(DatasetError, match=r"truth.csv is of other data: 0 of 20 labels lie on"):
        effect.answer_sets(Photos(images, labels), tmp_path)


def test_two_numbers_stand_side_by_side(tmp_path):
    images, truth, labels, gold, expanded = scenes()
    photos = Photos(images, labels)
    columns = ["name", "given_AP75", "completed_AP75", "completed_recall"]
    hidden = effect.two_numbers(photos, {"gold": [gold]}, tmp_path, 0.5)
    assert hidden.columns.tolist() == columns and hidden.attrs["answers"][0] == "as labelled"
    assert hidden["given_AP75"][0] < hidden["completed_AP75"][0] == 1
    assert "no truth file" in silver.two_numbers(hidden)
    truth.to_csv(tmp_path / "truth.csv", index=False)
    table = effect.two_numbers(photos, {"gold": [gold] * 2, "expanded": [expanded]}, tmp_path)
    one, other = table.set_index("name").to_dict("index").values()
    assert one == pytest.approx(dict(zip(columns[1:], (1, 2 / 3, 2 / 3), strict=True)))
    assert other["given_AP75"] < 0.9
    assert [other[name] for name in columns[2:]] == pytest.approx([1, 1])
    assert silver.two_numbers(table).endswith(
        "by the truth file; gold leads on the given answers, expanded on the completed ones."
    )
    nothing = effect.two_numbers(photos, {"none": [gold.iloc[:0]]}, tmp_path)
    assert nothing["completed_AP75"][0] == 0 and "leads" not in silver.two_numbers(nothing)
    with pytest.raises(DatasetError, match="thin_share must be at least 0 and below 1, got 1"):
        effect.two_numbers(photos, {"gold": [gold]}, tmp_path / "none", 1)


@pytest.mark.parametrize(("share", "kept"), [(0.0, 20), (0.25, 15), (0.99, 0)])
def test_thinning(share, kept):
    _, _, labels, *_ = scenes(10)
    thinned = effect.thin(labels, share, seed=1)
    assert len(thinned) == kept
    pd.testing.assert_frame_equal(thinned, effect.thin(labels, share, seed=1))
    pigs = labels.assign(species="pig")
    pd.testing.assert_frame_equal(effect.thin(pigs, share), pigs)


def test_thinning_refused():
    with pytest.raises(DatasetError, match="thin_share must be at least 0 and below 1, got 1"):
        effect.thin(scenes(2)[2], 1)


def test_recipes_compared(tmp_path):
    for name, epochs, data in (("full", 20, "a"), ("expanded", 3, "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.yaml").write_text(
            yaml.safe_dump({"epochs": epochs, "data": data, "workers": 1})
        )
    assert settings_module.recipe_differences(tmp_path / "full", tmp_path / "expanded") == [
        "epochs: 20 -> 3"
    ]
    assert silver.recipe(tmp_path / "expanded", tmp_path / "full") == (
        "The expanded training has the recipe of the run “full” and images of its own; these "
        "settings differ: epochs: 20 -> 3."
    )
    assert silver.recipe(tmp_path / "full", tmp_path / "full").endswith("images of its own.")
    assert silver.recipe(tmp_path / "full", tmp_path / "none").startswith(
        "There is no run “none” here"
    )
    with pytest.raises(
        DatasetError, match=r"settings.yaml is missing: .*none is not a run folder; train first"
    ):
        settings_module.recipe_differences(tmp_path / "full", tmp_path / "none")


@pytest.mark.parametrize(
    ("names", "full", "lacking", "part"),
    [
        (
            ("complete", "as labelled"),
            (-0.2, -0.1),
            (-0.1, 0.1),
            "its labels are to blame, not the gaps",
        ),
        (
            ("as labelled", "thinned"),
            (-0.2, -0.1),
            (-0.1, 0.1),
            "“as labelled” may lack animals too",
        ),
        (
            ("as labelled", "thinned"),
            (-0.2, -0.1),
            (-0.2, -0.1),
            "clears neither the labels nor the gaps",
        ),
    ],
)
def test_only_complete_answers_blame_the_labels(names, full, lacking, part):
    rows = [(names[0], *full), (names[1], *lacking), (effect.BETWEEN, -0.01, 0.01)]
    table = pd.DataFrame(
        [(name, "all", (low + high) / 2, low, high) for name, low, high in rows],
        columns=["answers", "class", "difference", "low", "high"],
    )
    text = silver.cause(table)
    assert part in text
    assert ("to blame" in text) == (names[0] == "complete")


@pytest.mark.parametrize(
    ("source", "weights", "expected"),
    [
        ("out_of_fold", "training/full/weights/best.pt", False),
        ("ensemble", "training/full/weights/best.pt", False),
        ("in_sample", "training/full/weights/best.pt", True),
        ("in_sample", "training/multilabel_split/weights/best.pt", False),
        ("in_sample", "other/weights/best.pt", None),
        ("in_sample", None, None),
        ("some/table.csv", "training/full/weights/best.pt", None),
    ],
)
def test_whether_the_teachers_saw_validation(tmp_path, source, weights, expected):
    given = None if weights is None else tmp_path / weights
    assert silver_sources.saw_validation(tmp_path, given, source) is expected


@pytest.mark.parametrize(
    ("saw", "start"),
    [
        (False, "The models behind the silver labels have seen no"),
        (True, "**The model behind these"),
        (None, "**Not known**"),
    ],
)
def test_a_possible_leak_is_said(saw, start):
    assert silver.teachers(saw).startswith(start)
