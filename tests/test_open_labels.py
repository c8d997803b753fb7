"""Losses that do not believe every absent label: yolov5's own where off, no gradient where nobody
knows, and the same through mosaic and flips."""

import copy

import numpy as np
import pandas as pd
import pytest
from training_sets import train, write_set

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import TrainingError
from livestock_utils.detect import checkpoints, settings, yolov5
from livestock_utils.detect.train import data as training_data
from livestock_utils.detect.train import distill, open_labels

torch = pytest.importorskip("torch")
TRAIN = {"epochs": 3, "image_size": 64, "batch_size": 4, "loggers": (), "patience": 0, "workers": 0}
LABEL = [0, 0, 0.25, 0.25, 0.3, 0.3]
TAUGHT = [0, 1 + 2 * (1 + 45), 0.7, 0.7, 0.4, 0.4]  # a cow of confidence .9
SHAPES = [(2, 3, 8, 8, 7), (2, 3, 4, 4, 7), (2, 3, 2, 2, 7)]


@pytest.fixture(scope="module")
def data_yaml(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def opened():
    with yolov5.yolov5() as y5:
        model = y5.yolo.Model(y5.model_file("yolov5n"), ch=3, nc=2)
        model.hyp = settings.read_hyp(None) | {"label_smoothing": 0.0}
        yield y5, model


def heads(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]


def loss_of(opened, negatives, rows, share=1.0, where=None):
    """Loss, parts and the gradients of the objectness logits."""
    y5, model = opened
    base = y5.loss.ComputeLoss(model)
    loss = base if negatives is None else open_labels.OpenLoss(base, negatives, 2)
    loss.share = share
    raw = heads() if where is None else where
    total, parts = loss(raw, torch.tensor(rows).reshape(-1, 6))
    gradients = torch.autograd.grad(total, raw)
    return total.detach(), parts, [gradient[..., 4] for gradient in gradients]


@pytest.mark.parametrize("negatives", ["masked", "soft", "doubted"])
@pytest.mark.parametrize("rows", [[], [LABEL]])
def test_without_doubt_it_is_yolov5s_loss(opened, negatives, rows):
    plain = loss_of(opened, None, rows)
    ours = loss_of(opened, negatives, rows, share=0.0)
    assert torch.equal(plain[0], ours[0]) and torch.equal(plain[1], ours[1])
    assert all(torch.equal(a, b) for a, b in zip(plain[2], ours[2], strict=True))


def test_a_validation_is_always_yolov5s(opened):
    y5, model = opened
    base = y5.loss.ComputeLoss(model)
    raw = [head.detach() for head in heads()]
    wanted = base(raw, torch.tensor([LABEL]))
    loss = open_labels.OpenLoss(y5.loss.ComputeLoss(model), "doubted", 2)
    loss.share = 1.0
    assert torch.equal(loss(raw, torch.tensor([LABEL]))[0], wanted[0])


def test_regions_get_no_gradient_but_from_labels_inside(opened):
    plain, masked = loss_of(opened, None, [LABEL]), loss_of(opened, "masked", [LABEL, TAUGHT])
    for (_, _, rows, columns, _), before, after in zip(SHAPES, plain[2], masked[2], strict=True):
        x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
        inside = np.outer(abs(y - 0.7) <= 0.2, abs(x - 0.7) <= 0.2)
        assert (after[0][:, inside] == 0).all() and inside.any()
        torch.testing.assert_close(after[0][:, ~inside], before[0][:, ~inside])
        torch.testing.assert_close(after[1], before[1])
    # A label inside a region stays a target.
    same = [0, 0, *TAUGHT[2:]]
    labelled, hidden = loss_of(opened, None, [same]), loss_of(opened, "masked", [same, TAUGHT])
    kept = sum(int((after[0] != 0).sum()) for after in hidden[2])
    assert kept > 0 and hidden[0] < labelled[0]


def test_soft_targets_pull_up_what_a_teacher_saw(opened):
    y5, model = opened
    plain, soft = loss_of(opened, None, [LABEL]), loss_of(opened, "soft", [LABEL, TAUGHT])
    base = y5.loss.ComputeLoss(model)
    places = base.build_targets(heads(), torch.tensor([TAUGHT]))[2]
    changed = 0
    for level, (before, after) in enumerate(zip(plain[2], soft[2], strict=True)):
        differs = before != after
        mine = torch.zeros_like(differs)
        mine[places[level]] = True
        assert not differs[~mine].any()
        changed += int(differs.sum())
        assert (after[differs] < before[differs]).all()  # less pressure downwards
    assert changed > 0
    assert torch.equal(plain[1][0], soft[1][0]) and torch.equal(plain[1][2], soft[1][2])


def test_a_background_that_looks_like_an_animal_weighs_less(opened):
    plain, ours = loss_of(opened, None, [LABEL]), loss_of(opened, "doubted", [LABEL])
    y5, model = opened
    raw = heads()
    labelled = y5.loss.ComputeLoss(model).build_targets(raw, torch.tensor([LABEL]))[2]
    for head, places, before, after in zip(raw, labelled, plain[2], ours[2], strict=True):
        p = head[..., 4].detach().sigmoid()
        background = torch.ones_like(p, dtype=torch.bool)
        background[places] = False
        ratio = (after / before)[background]
        torch.testing.assert_close(ratio, (1 - p[background]) ** 2, rtol=1e-3, atol=1e-4)
    young = loss_of(opened, "doubted", [LABEL], share=0.1)
    assert torch.equal(young[0], plain[0])


def teacher(data, size=0.9, confidence=0.9):
    rows = []
    for file, (width, height) in zip(data.train.files, data.train.sizes_px, strict=True):
        stem = file.rpartition("/")[2].removesuffix(".jpg")
        low, high = (1 - size) / 2, (1 + size) / 2
        rows.append([stem, "cow", low * width, low * height, high * width, high * height])
    return pd.DataFrame(rows, columns=["image_id", "species", *XYXY]).assign(confidence=confidence)


@pytest.mark.parametrize("negatives", ["masked", "soft", "doubted"])
def test_trainings_differ_and_repeat_through_mosaic_and_flips(data_yaml, tmp_path, negatives):
    table = teacher(training_data.read_data(data_yaml), 0.5)
    taught = {} if negatives == "doubted" else {"teacher": table}
    options = TRAIN | {"model": "yolov5n", "seed": 3}
    runs = [
        train(data_yaml, tmp_path / name, negatives=one, **options, **more)
        for name, one, more in (
            ("plain", "plain", {}),
            ("first", negatives, taught),
            ("again", negatives, taught),
        )
    ]
    weights = [checkpoints.read_weights(run.last) for run in runs]
    plain, first, again = (each.notes["trained_on"] for each in weights)
    assert plain == first == again  # what nobody knows is no animal
    plain, first, again = (each.state for each in weights)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], plain[name]) for name in first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"negatives": "ignored"}, "negatives must be one of plain, masked, soft, doubted"),
        ({"negatives": "masked"}, "negatives 'masked' needs a teacher: predictions on the train"),
        ({"negatives": "soft"}, "negatives 'soft' needs a teacher"),
    ],
)
def test_what_cannot_be_is_a_line(data_yaml, tmp_path, options, message):
    with pytest.raises(TrainingError, match=message):
        train(data_yaml, tmp_path / "run", **TRAIN, **options)
    assert not (tmp_path / "run").exists()


def test_masks_must_leave_a_background_and_lie_in_the_frame(data_yaml, tmp_path):
    data = training_data.read_data(data_yaml)
    with pytest.raises(TrainingError, match=r"boxes cover 100% of the training photos"):
        train(
            *(data_yaml, tmp_path / "run"),
            negatives="masked",
            teacher=teacher(data, 1.0),
            **TRAIN,
        )
    outside = teacher(data, 0.5)
    outside.loc[0, ["x_min", "x_max"]] += 500
    with pytest.raises(TrainingError, match=r"1 boxes of .* lie outside its frame of 96 x 64 px"):
        distill.with_teacher(data, outside)


def test_doubt_and_a_teacher_go_together(opened):
    y5, model = opened
    base = open_labels.OpenLoss(y5.loss.ComputeLoss(copy.deepcopy(model)), "doubted", 2)
    loss = distill.TeachingLoss(base, 1.0, 2, y5.metrics.bbox_iou)
    total, parts = loss(heads(), torch.tensor([LABEL, TAUGHT]))
    assert torch.isfinite(total).all() and parts.shape == (3,)
