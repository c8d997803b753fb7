import numpy as np
import pandas as pd
import pytest
from data_sets import write_archives
from made_network import write_network
from training_sets import train, write_set

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import LivestockError, TrainingError
from livestock_utils.core.photos import Photos
from livestock_utils.data.sets import reading, writing
from livestock_utils.detect import checkpoints, settings, yolov5
from livestock_utils.detect.backends import loading
from livestock_utils.detect.export import exports, formats, lighter
from livestock_utils.detect.predict import engine
from livestock_utils.detect.predict.postprocess import PostprocessSettings
from livestock_utils.detect.train import data as training_data
from livestock_utils.detect.train import distill
from livestock_utils.show.words import edge

TRAIN = {
    "epochs": 1,
    "image_size": 64,
    "batch_size": 4,
    "nominal_batch": 4,
    "warmup_min_iterations": 1,
    "loggers": (),
    "cache": None,
    "autoanchor": False,
    "final_evaluation": False,
}


ASKED = settings.TrainSettings(
    model="yolov5n",
    **{name: value for name, value in TRAIN.items() if name != "final_evaluation"},
)
SHARES = {"prune_share": 0.3, "tucker_share": 0.5, "settings": PostprocessSettings()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("lighter") / "plain.pt")


@pytest.fixture(scope="module")
def data_yaml(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"))


def parameters(path):
    return sum(parameter.numel() for parameter in checkpoints.load(path, device="cpu").parameters())


def raw(path):
    batch = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), dtype=np.uint8)
    return loading.open_backend(path, device="cpu")(batch, 0.0)[0]


def pruned(weights, folder):
    pytest.importorskip("torch_pruning", reason="the lighter extra is not installed")
    return lighter.prune(weights, folder / "pruned.pt", 0.4, image_size=64)


def decomposed(weights, folder, share=0.5):
    pytest.importorskip("tensorly", reason="the lighter extra is not installed")
    return lighter.decompose(weights, folder / "tucker.pt", share)


@pytest.mark.parametrize("way", [pruned, decomposed])
def test_a_lighter_network_is_smaller_loads_exports_and_trains_on(
    weights, data_yaml, tmp_path, way
):
    light = way(weights, tmp_path)
    assert parameters(light) < 0.8 * parameters(weights)
    assert light.stat().st_size < 0.8 * weights.stat().st_size
    assert raw(light).shape == raw(weights).shape
    run = train(data_yaml, tmp_path / "run", model="yolov5n", init_weights=light, **TRAIN)
    assert run.finished
    assert parameters(run.best) == parameters(light)
    again = train(data_yaml, tmp_path / "run", model="yolov5n", init_weights=light, **TRAIN)
    assert len(again.results) == 1
    pytest.importorskip("onnx", reason="the edge extra is not installed")
    own, exported = raw(light), formats.export(light, tmp_path, image_size=64)
    other = loading.open_backend(exported)(
        np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), dtype=np.uint8), 0.0
    )[0]
    assert np.quantile(np.abs(own - other), 0.99) < 0.01


def test_pruning_keeps_channels_in_multiples(weights, tmp_path):
    state = checkpoints.read_weights(pruned(weights, tmp_path)).state
    channels = {len(tensor) for name, tensor in state.items() if name.endswith("conv.weight")}
    assert all(count % lighter.ROUND_TO == 0 for count in channels)


def test_a_decomposition_of_nearly_full_rank_changes_nearly_nothing(weights, tmp_path):
    own, near = raw(weights), raw(decomposed(weights, tmp_path, 0.999))
    assert np.quantile(np.abs(own - near)[:, 4:], 0.99) < 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda path, out: lighter.prune(path, out, 0, 64),
            r"share must lie in \(0, 0\.9\], got 0",
        ),
        (lambda path, out: lighter.decompose(path, out, 1), r"share must lie in \(0, 1\), got 1"),
        (
            lambda path, out: lighter.decompose(path, out, 0.5, least_channels=4096),
            "lower least_channels",
        ),
    ],
)
def test_what_cannot_be_made_lighter_is_told(weights, tmp_path, call, message):
    pytest.importorskip("tensorly", reason="the lighter extra is not installed")
    with pytest.raises(LivestockError, match=message):
        call(weights, tmp_path / "x.pt")
    assert not (tmp_path / "x.pt").exists()


def teacher_table(data, confidence=0.9):
    """The labels of the first training image, seen by a teacher."""
    width, height = data.train.sizes_px[0]
    rows = [
        {
            "image_id": data.train.files[0].rpartition("/")[2].removesuffix(".jpg"),
            "species": data.names[int(label)],
            "x_min": (x - w / 2) * width,
            "y_min": (y - h / 2) * height,
            "x_max": (x + w / 2) * width,
            "y_max": (y + h / 2) * height,
            "confidence": confidence,
        }
        for label, x, y, w, h in data.train.labels[0].tolist()
    ]
    return pd.DataFrame(rows)


def test_a_teachers_boxes_ride_along_as_coded_labels(data_yaml, tmp_path):
    data = training_data.read_data(data_yaml)
    table = teacher_table(data)
    table.to_csv(tmp_path / "teacher.csv", index=False)
    taught = distill.with_teacher(data, tmp_path / "teacher.csv")
    own, extra = data.train.labels[0], taught.train.labels[0]
    n = len(own)
    assert len(extra) == 2 * n and np.array_equal(extra[:n], own)
    np.testing.assert_allclose(extra[n:, 1:], own[:, 1:], atol=1e-6)
    assert (extra[n:, 0] == own[:, 0] + 2 * (1 + 45)).all()  # .9 is step 45 of 50
    assert taught.sha256 not in (
        data.sha256,
        distill.with_teacher(data, teacher_table(data, 0.5)).sha256,
    )
    assert [len(label) for label in taught.train.labels[1:]] == [
        len(label) for label in data.train.labels[1:]
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="confidence"), "the column 'confidence' is lacking"),
        (
            lambda table: table.assign(species="goat"),
            "the teacher finds 'goat', the data have pig, cow",
        ),
        (
            lambda table: table.assign(image_id="other"),
            "no box of confidence 0.1 or more on any training image",
        ),
        (
            lambda table: table.assign(confidence=0.01),
            "no box of confidence 0.1 or more on any training image",
        ),
        (lambda table: "absent.csv", "teacher's predictions not found: absent.csv"),
    ],
)
def test_tables_that_teach_nothing_are_refused(data_yaml, change, message):
    data = training_data.read_data(data_yaml)
    with pytest.raises(TrainingError, match=message):
        distill.with_teacher(data, change(teacher_table(data)))


def test_the_teachers_term_falls_as_the_network_agrees(weights):
    import torch

    model = checkpoints.build(checkpoints.read_weights(weights))
    with yolov5.yolov5() as y5:
        model.hyp = settings.read_hyp(None) | {"label_smoothing": 0.0}
        base = y5.loss.ComputeLoss(model)
        loss = distill.TeachingLoss(base, 1.0, 2, y5.metrics.bbox_iou)
        label = [0, 0, 0.5, 0.5, 0.5, 0.5]
        taught = [0, 0 + 2 * (1 + 45), 0.5, 0.5, 0.5, 0.5]
        images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        plain, parts = base(model(images), torch.tensor([label]))
        only_labels, same_parts = loss(model(images), torch.tensor([label]))
        assert torch.allclose(
            plain, only_labels, rtol=0.05
        )  # batch statistics move a little from call to call
        values = []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(8):
            term = loss._term(model(images), torch.tensor([taught]))
            optimizer.zero_grad()
            term.backward()
            optimizer.step()
            values.append(float(term.detach()))
    assert parts.shape == same_parts.shape == (3,)
    assert values[-1] < 0.9 * values[0]
    assert torch.equal(distill.labels_only(torch.tensor([label, taught]), 2), torch.tensor([label]))


def test_a_training_with_a_teacher_differs_and_tells(data_yaml, weights, tmp_path):
    table = teacher_table(training_data.read_data(data_yaml))
    options = TRAIN | {"init_weights": weights, "model": "yolov5n"}
    plain = train(data_yaml, tmp_path / "plain", **options)
    taught = train(data_yaml, tmp_path / "taught", teacher=table, teacher_weight=2.0, **options)
    assert taught.finished
    first, second = (checkpoints.read_weights(run.best).state for run in (plain, taught))
    assert any(not np.array_equal(first[name], second[name]) for name in first)
    with pytest.raises(TrainingError, match="teacher_weight"):
        train(data_yaml, tmp_path / "taught", teacher=table, teacher_weight=1.0, **options)
    with pytest.raises(TrainingError, match=r"teacher_weight must lie in \(0, 10\], got 0"):
        train(data_yaml, tmp_path / "none", teacher=table, teacher_weight=0, **options)


def test_models_side_by_side(weights, data_yaml, tmp_path):
    pytest.importorskip("onnx", reason="the edge extra is not installed")
    folder = data_yaml.parent / "valid" / "images"
    images = pd.DataFrame(
        [
            {
                "image_id": path.stem,
                "species": "pig",
                "width_px": 96,
                "height_px": 64,
                "archive": "",
                "member": path.name,
            }
            for path in sorted(folder.glob("*.jpg"))
        ]
    )
    boxes = engine.predict(weights, Photos(images, folder=folder), image_size=64).query(
        "confidence > 0.3"
    )
    same = write_network(tmp_path / "same" / "other.pt", seed=1)
    table = lighter.compare(
        {"plain": weights, "Tucker": decomposed(weights, tmp_path), "distilled": same},
        Photos(images, boxes[["image_id", "species", *XYXY]], folder),
        64,
        PostprocessSettings(),
        threads=1,
        rounds=2,
    )
    assert table["model"].tolist() == ["plain", "Tucker", "distilled"]
    assert np.isnan(table["difference"][0]) and table["difference"][1] < 0
    assert table["parameters_million"][1] < table["parameters_million"][0]
    assert (
        table["latency_ms"][0] == table["latency_ms"][2] != table["latency_ms"][1]
    )  # one network, one time
    assert (
        np.isnan(table["speed"][0])
        and table["speed_low"][1] <= table["speed"][1] <= table["speed_high"][1]
    )
    assert "Tucker does not pay" in edge.lighter(table)
    assert "1.00 x as fast, 100% of the size" in edge.lighter(table)


@pytest.mark.parametrize(
    ("difference", "low", "high", "speeds", "verdict"),
    [
        (
            -0.042,
            -0.1,
            0.01,
            (2, 2, 2),
            "does not pay: -0.042 AP75 (within noise), 2.00 x as fast,",
        ),
        (
            -0.005,
            -0.04,
            0.03,
            (1.9, 2, 2.1),
            "pays: -0.005 AP75 (within noise), 2.00 x as fast (in 3 processes 1.90 to 2.10),",
        ),
        (
            -0.005,
            -0.04,
            0.03,
            (1.05, 1.2, 1.3),
            "does not pay: -0.005 AP75 (within noise), 1.20 x as fast (in 3 "
            "processes 1.05 to 1.30),",
        ),
        (-0.02, -0.03, -0.01, (2, 2, 2), "does not pay: -0.020 AP75, 2.00 x as fast,"),
        (0.03, 0.01, 0.05, (1, 1, 1), "pays: +0.030 AP75, 1.00 x as fast,"),
        (
            0.03,
            -0.01,
            0.07,
            (1, 1, 1),
            "does not pay: +0.030 AP75 (within noise), 1.00 x as fast,",
        ),
        (0.03, 0.01, 0.05, (0.5, 0.5, 0.5), "does not pay: +0.030 AP75, 0.50 x as fast,"),
    ],
)
def test_what_pays_is_faster_at_a_level_score_or_better_beyond_luck(
    difference, low, high, speeds, verdict
):
    plain = {"model": "plain", "size_mb": 4.0}
    small = {
        "model": "small",
        "difference": difference,
        "low": low,
        "high": high,
        "size_mb": 2.0,
        **dict(zip(("speed_low", "speed", "speed_high"), speeds, strict=True)),
    }
    assert f"small {verdict} 50% of the size" in edge.lighter(pd.DataFrame([plain, small]))


def test_without_the_packages_nothing_is_trained_and_that_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(lighter.importlib.util, "find_spec", lambda name: None)
    train, valid = Photos(pd.DataFrame()), Photos(pd.DataFrame())
    table = lighter.study("w.pt", train, valid, tmp_path / "none", ASKED, **SHARES)
    assert table.empty and not (tmp_path / "none").exists()
    assert (
        "this needs torch_pruning and tensorly; run python -m livestock_utils.install"
        in caplog.text
    )


@pytest.mark.slow
def test_the_study_of_a_notebook_trains_every_form(weights, tmp_path):
    pytest.importorskip("onnx", reason="the edge extra is not installed")
    pytest.importorskip("torch_pruning", reason="the lighter extra is not installed")
    images, boxes = write_archives(tmp_path / "zips", 8)
    sets = [tmp_path / name for name in ("Train", "Valid")]
    for folder in sets:
        writing.write_set(folder, Photos(images, boxes, tmp_path / "zips"))
    train_set, valid_set = (reading.open_set(folder) for folder in sets)
    boxes.assign(confidence=0.9).to_csv(tmp_path / "two_stage.csv", index=False)
    table = lighter.study(
        weights,
        train_set,
        valid_set,
        tmp_path / "runs",
        ASKED,
        **SHARES,
        teacher=f"{weights}, {tmp_path / 'two_stage.csv'}",
        threads=1,
        rounds=2,
    )
    assert table["model"].tolist() == [
        "plain",
        "pruned",
        "Tucker",
        f"distilled from {weights.stem}",
        "distilled from two_stage",
    ]
    assert list(table.columns) == lighter.COLUMNS
    assert edge.lighter(table).startswith("Against the plain model at equal epochs: pruned ")


def test_without_the_wish_nothing_is_trained(tmp_path):
    photos = Photos(pd.DataFrame())
    asked = exports.ExportSettings(lighter=False)
    made = exports.Exports(asked, photos, photos, tmp_path, tmp_path, 0.0, settings.TrainSettings())
    assert made.lighter.empty and not list(tmp_path.iterdir())
    assert "were not trained in this run" in edge.lighter(made.lighter)
