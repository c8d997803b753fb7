"""Cameras that a model never saw: found by their background, left out, adapted to, told."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from livestock_utils import cli
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.photos import Photos
from livestock_utils.data import lookalikes
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.sample import drawing
from livestock_utils.data.split import cameras
from livestock_utils.data.split.groups import lookalikes as groups_of
from livestock_utils.detect.predict import unseen
from livestock_utils.detect.settings import TrainSettings
from livestock_utils.show.displays import comparison

SIDE_PX = 240


def filmed(folder, views, frames=4):
    """`frames` photos of each view (a still background), an animal elsewhere on each; a view None
    is another place on every photo."""
    random = np.random.default_rng(5)
    rows, boxes = [], []
    for number, view in enumerate(views):
        for frame in range(frames):
            name = f"v{number}_{frame}"
            seed = 100 + view if view is not None else 200 + 10 * number + frame
            tiles = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
            picture = np.array(Image.fromarray(tiles).resize((SIDE_PX, SIDE_PX), 2))
            x, y = (int(at) for at in random.integers(0, SIDE_PX - 90, 2))
            picture[y : y + 90, x : x + 90] = random.integers(0, 255, (90, 90, 3))
            Image.fromarray(picture).save(folder / f"{name}.jpg", quality=80)
            rows.append((name, "pig", SIDE_PX, SIDE_PX, "", f"{name}.jpg"))
            boxes.append((name, "pig", x, y, x + 90, y + 90))
    columns = ["image_id", "species", "width_px", "height_px", "archive", "member"]
    labels = pd.DataFrame(
        boxes, columns=["image_id", "species", "x_min", "y_min", "x_max", "y_max"]
    )
    return Photos(pd.DataFrame(rows, columns=columns), labels, folder)


def listed(n, labelled=None, prefix="a"):
    """`n` photos without bytes, the first `labelled` of them with a box."""
    ids = [f"{prefix}{i:03d}" for i in range(n)]
    columns = {"species": "cow", "width_px": 10, "height_px": 10, "archive": "", "member": "x"}
    images = pd.DataFrame({"image_id": ids}).assign(**columns)
    boxes = pd.DataFrame({"image_id": ids[: n if labelled is None else labelled]})
    corners = {"x_min": 0.0, "y_min": 0.0, "x_max": 5.0, "y_max": 5.0}
    return Photos(images, boxes.assign(species="cow", **corners))


def test_no_photo_has_no_background():
    assert cameras.background_groups(listed(0)).empty


def test_photos_of_a_fixed_camera_are_found_by_what_is_behind_the_animals(tmp_path):
    photos = filmed(tmp_path, [1, 2, None])
    (tmp_path / "v2_0.jpg").write_bytes(b"no photo")
    (tmp_path / "v2_1.jpg").unlink()
    groups = groups_of(photos, "background")
    ids = [f"v{view}_{frame}" for view in range(3) for frame in range(4)]
    assert groups.index.tolist() == ids
    assert groups.tolist() == ["v0_0"] * 4 + ["v1_0"] * 4 + ids[8:]
    turned = Photos(photos.images[::-1], photos.boxes, tmp_path)
    pd.testing.assert_series_equal(cameras.background_groups(turned), groups)


def test_photos_that_are_all_animal_stay_alone(tmp_path):
    photos = filmed(tmp_path, [1])
    whole = photos.boxes.assign(x_min=0, y_min=0, x_max=SIDE_PX, y_max=SIDE_PX)
    assert cameras.background_groups(photos.with_boxes(whole)).nunique() == 4


@pytest.mark.parametrize(
    "sizes, names, found",
    [
        ({"pen": 12, "gate": 10, "yard": 9, "": 30}, [], {"gate": 10, "pen": 12}),
        ({"pen": 12, "yard": 9}, ["yard"], {"yard": 9}),
        ({"pen": 4, "": 1}, ["pen", "pen"], {"pen": 4}),
    ],
)
def test_cameras_that_are_left_out(sizes, names, found):
    photos = listed(sum(sizes.values()))
    groups = pd.Series(np.repeat(list(sizes), list(sizes.values())), photos.images["image_id"])
    held = cameras.held_out(photos, groups, names)
    assert {name: len(camera) for name, camera in held.items()} == found
    assert all((groups[c.images["image_id"]] == name).all() for name, c in held.items())


@pytest.mark.parametrize(
    "photos, group, names, message",
    [
        (listed(0), "pen", [], "no group has 10 photos or more, the largest has 0; name the cam"),
        (listed(9), "pen", [], "no group has 10 photos or more, the largest has 9"),
        (listed(30), "", [], "no group has 10 photos or more, the largest has 0"),
        (listed(30), None, [], "no group has 10 photos or more, the largest has 0"),
        (listed(12), "pen", ["gate"], r"no camera 'gate': expected some of \['pen'\]"),
        (listed(12, 0), "pen", [], "camera 'pen' has labels on 0 of 12 photos, 4 are needed; lab"),
        (listed(12, 3), "pen", ["pen"], "camera 'pen' has labels on 3 of 12 photos, 4 are needed"),
        (listed(12), "pen", [], "all 12 photos are of one camera, 'pen': none is left to train on"),
    ],
)
def test_cameras_that_cannot_be_left_out(photos, group, names, message):
    groups = None if group is None else pd.Series(group, photos.images["image_id"], dtype=str)
    with pytest.raises(DatasetError, match=message):
        cameras.held_out(photos, groups, names)


def hashed(monkeypatch, bits):
    """A camera whose frames have these hashes."""
    camera = listed(len(bits))
    hashes = pd.Series(np.array(bits, np.uint64), camera.images["image_id"])
    monkeypatch.setattr(lookalikes, "perceptual_hashes", lambda photos: hashes)
    return camera


def test_frames_are_picked_far_from_each_other(monkeypatch):
    camera = hashed(monkeypatch, [0b0, 0b1, 0b11, 0xFF00, 0xFF01, 0xFFFF0000])
    for seed in range(8):
        picked = cameras.pick_frames(camera, 3, seed)
        kinds = {"a000": 0, "a001": 0, "a002": 0, "a003": 1, "a004": 1, "a005": 2}
        assert sorted(kinds[name] for name in picked) == [0, 1, 2]
        assert cameras.pick_frames(camera, 4, seed)[:3] == picked
        assert cameras.pick_frames(camera, 3, seed) == picked
    assert len({cameras.pick_frames(camera, 1, seed)[0] for seed in range(20)}) > 1


def test_frames_that_look_the_same_are_picked_once_each(monkeypatch):
    camera = hashed(monkeypatch, [7] * 6)
    assert len(set(cameras.pick_frames(camera, 4))) == 4


@pytest.mark.parametrize("n", [0, 5, 6])
def test_more_frames_than_there_are(n, monkeypatch):
    camera = hashed(monkeypatch, [1, 2, 3, 4, 5, 6])
    message = f"{n} labelled frames asked of a camera that has 6: expected 1 to 4, as 2 are left"
    with pytest.raises(DatasetError, match=message):
        cameras.pick_frames(camera, n)


def test_counts_recall_and_ap_of_a_camera():
    photos = listed(4)
    found = photos.boxes.assign(confidence=[0.9, 0.8, 0.2, 0.7])
    found.loc[3, ["x_min", "x_max"]] = [5.0, 10.0]  # beside the animal
    row = unseen.scores(photos, found, unseen.postprocess.LOOKING)
    assert (row["images"], row["labels"]) == (4, 4)
    assert row["recall"] == 0.5  # one is too faint to be shown, one stands beside
    assert row["count_error"] == 0.25
    assert row["AP75"] == pytest.approx((1 + 1 + 0.75) / 4)
    for name in ("AP75", "recall", "count_error"):
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


def test_animals_of_two_species_on_a_photo_miscount_one_photo():
    photos = listed(4)
    found = photos.boxes.assign(confidence=0.9)
    pigs = found.iloc[:2].assign(species="pig", x_min=6.0, x_max=10.0)
    row = unseen.scores(photos, pd.concat([found, pigs]), unseen.postprocess.LOOKING)
    assert (row["recall"], row["count_error"]) == (1, 0.5)


def test_nothing_found_on_a_camera():
    photos = listed(3)
    nothing = photos.boxes.assign(confidence=0.5).iloc[:0]
    row = unseen.scores(photos, nothing, unseen.postprocess.LOOKING)
    assert (row["AP75"], row["recall"], row["count_error"]) == (0, 0, 1)


def table(losses):
    """A table of cameras: loss by name, and one adapted model."""
    ends = ("AP75", "recall", "count_error")
    same = {f"{name}{end}": 0.5 for name in ends for end in ("", "_low", "_high")}
    rows = []
    for camera, loss in losses.items():
        for model, gain in ((unseen.NEVER, np.nan), (unseen.SEEN, loss), ("1 frame", 0.01)):
            ends = [f"difference{end}" for end in ("", "_low", "_high")]
            difference = dict(zip(ends, (gain, gain - 0.1, gain + 0.1), strict=True))
            rows.append({"camera": camera, "images": 4, "model": model, **same, **difference})
    return pd.DataFrame(rows)


def test_the_figure_has_the_greatest_loss_on_top(monkeypatch):
    found = table({"gate": 0.05, "pen": 0.3, "yard": -0.2})
    monkeypatch.setattr(unseen, "unseen_cameras", lambda *asked: found)
    display = comparison.unseen_cameras(listed(9), "none", "out")
    ax = display.plot()
    names = {
        label.get_text(): at
        for label, at in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)
    }
    falling = sorted(names, key=names.get, reverse=True)
    expected = [
        f"{camera}: {m}" for camera in ("pen", "gate", "yard") for m in (unseen.SEEN, "1 frame")
    ]
    assert falling == expected
    assert "never seen" in ax.get_xlabel()
    found = "Cameras by none: gate (4 photos), pen (4 photos) and yard (4 photos) of 9 photos. Nev"
    assert display.verdict.startswith(found)
    assert "pen AP75 0.500 (0.500 to 0.500), 50% found, 0.5 a photo" in display.verdict
    gains = "With “saw other frames” +0.050 with gate, +0.300 with pen and -0.200 with yard; 2 of 3"
    assert gains in display.verdict


@pytest.fixture(scope="module")
def barn(tmp_path_factory):
    """A drawn sample, and a CSV that gives 12 of its photos to two cameras."""
    root = drawing.write_sample(
        tmp_path_factory.mktemp("barn"), n_images=20, n_test_images=0, seed=3, scale=0.1
    )
    photos = data_folder.read_archives(root / "data")
    with_boxes = photos.boxes["image_id"].unique()[:12]
    group = pd.Series("", photos.images["image_id"])
    group[with_boxes] = ["pen"] * 6 + ["gate"] * 6
    group.rename("group").rename_axis("image_id").to_csv(root / "cameras.csv")
    return root


def asked(barn, out, *options):
    names = ("--epochs", "1", "--image-size", "64", "--batch-size", "8", "--loggers", "none")
    groups = () if "--groups" in options else ("--groups", str(barn / "cameras.csv"))
    return CliRunner().invoke(cli.cli, ["cameras", str(barn), str(out), *groups, *names, *options])


@pytest.mark.parametrize(
    "options, message",
    [
        (("--groups", "nowhere.csv"), "group_by 'nowhere.csv': expected one of none"),
        (("--groups", "SHORT"), "groups: 19 of 20 images have no group"),
        (("--groups", "none"), "no group has 10 photos or more"),
        (("--groups", "background"), "no group has 10 photos or more, the largest has "),
        (("--camera", "roof"), "no camera 'roof': expected some of ['gate', 'pen']"),
        (("--camera", "pen", "--adapt", "6"), "frames to adapt with must be 1 to 5, got 6"),
        (("--camera", "pen", "--adapt", "0"), "frames to adapt with must be 1 to 5, got 0"),
        ((), "no group has 10 photos or more, the largest has 6"),
    ],
)
def test_the_command_tells_bad_input_in_one_line_and_trains_nothing(
    barn, tmp_path, options, message
):
    short = tmp_path / "short.csv"
    first = data_folder.read_archives(barn / "data").images["image_id"].iloc[0]
    short.write_text(f"image_id,group\n{first},pen\n")
    told = asked(barn, tmp_path / "out", *(o.replace("SHORT", str(short)) for o in options))
    assert told.exit_code == 1
    assert (
        [line for line in told.output.splitlines() if "error" in line]
        == [
            line
            for line in told.output.splitlines()
            if line.startswith("error: ") and message in line
        ]
        != []
    )
    assert not (tmp_path / "out" / "training").exists()


@pytest.mark.slow
def test_two_cameras_from_the_command_line_and_again(barn, tmp_path):
    options = ("--camera", "pen", "--camera", "gate", "--adapt", "2")
    told = asked(barn, tmp_path, *options)
    assert told.exit_code == 0, told.output
    written = pd.read_csv(tmp_path / "cameras.csv")
    assert written["camera"].tolist() == ["pen"] * 3 + ["gate"] * 3
    assert written["model"].tolist() == [unseen.NEVER, unseen.SEEN, "2 frames"] * 2
    assert written["images"].tolist() == [6, 3, 4] * 2
    assert written["difference"].isna().tolist() == [True, False, False] * 2
    assert (tmp_path / "cameras.png").stat().st_size > 1000
    groups = pd.read_csv(barn / "cameras.csv", index_col="image_id")["group"].fillna("")
    held = {"camera_fold1": {"pen"}, "camera_fold2": {"gate"}}
    for run, names in held.items():
        learnt = (tmp_path / "training" / run / "train_images.txt").read_text().split()
        assert set(groups[learnt]) == {"pen", "gate", ""} - names
    half = (tmp_path / "training" / "camera_seen_fold1" / "train_images.txt").read_text().split()
    assert groups[half].value_counts().to_dict() == {"": 8, "pen": 3, "gate": 3}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "training").rglob("*.pt")}
    assert asked(barn, tmp_path, *options).output.endswith(told.output[-200:])
    assert {
        path: path.stat().st_mtime_ns for path in (tmp_path / "training").rglob("*.pt")
    } == before


def test_labels_of_the_frames_that_are_scored_are_never_looked_at(monkeypatch, tmp_path):
    """`adapt` trains on the given labels, on the sure boxes of the others, and on other photos."""
    camera, elsewhere = listed(6), listed(20, prefix="b")
    both = pd.concat([camera.images, elsewhere.images]), pd.concat([camera.boxes, elsewhere.boxes])
    found = camera.boxes.assign(x_max=9.0, confidence=[0.9, 0.9, 0.6, 0.2, 0.9, 0.3])
    kept = {}

    def train(train, valid, folder, settings, *, teacher, **options):
        kept.update(train=train, valid=valid, settings=settings, teacher=teacher)

    def predict(weights, photos, **options):
        return found[found["image_id"].isin(photos.images["image_id"])]

    monkeypatch.setattr(unseen.engine, "predict", predict)
    monkeypatch.setattr(unseen.run, "train", train)
    settings = TrainSettings(init_weights="last.pt")
    folder = unseen.training_folder(tmp_path, "x")
    unseen.adapt(Photos(*both), camera, ["a000"], folder, settings)
    boxes = kept["train"].boxes.set_index("image_id")["x_max"]
    of_camera = boxes[boxes.index.str.startswith("a")]
    assert of_camera.to_dict() == {"a000": 5.0, "a001": 9.0, "a002": 9.0, "a004": 9.0}
    assert len(kept["train"]) == 6 + 12 and kept["valid"].images["image_id"].tolist() == ["a000"]
    assert kept["settings"].negatives == "soft" and len(kept["teacher"]) == 5
    found = found.iloc[:0]
    unseen.adapt(Photos(*both), camera, ["a000"], folder, settings)
    assert kept["teacher"] is None and kept["settings"].negatives is None
