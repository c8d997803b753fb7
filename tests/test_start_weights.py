"""Start weights: heads carried over by meaning, and what has no source starts fresh."""

import dataclasses

import pytest
import torch

from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect.settings import Recorded, read_hyp
from livestock_utils.detect.train import start

COCO = ("person", "dog", "sheep", "cow")
OURS = ("pig", "cow")


@pytest.mark.parametrize(
    ("known", "wanted", "rows"),
    [
        ((), OURS, {"pig": [], "cow": []}),
        (COCO, OURS, {"pig": [2, 3, 1], "cow": [3]}),
        (("cow", "pig"), OURS, {"pig": [1], "cow": [0]}),
        (("person",), OURS, {"pig": [], "cow": []}),
        (COCO, ("pig",), {"pig": []}),
        (COCO, ("dog", "goat"), {"dog": [1], "goat": []}),
        (COCO, tuple(f"c{n}" for n in range(20)), {f"c{n}": [] for n in range(20)}),
    ],
)
def test_classes_start_from_their_name_or_their_kin(known, wanted, rows):
    assert start.class_sources(known, wanted) == rows


def test_what_a_head_starts_from_is_told_in_a_line():
    assert start.told(COCO, start.class_sources(COCO, OURS)) == (
        "pig from sheep, cow and dog, cow from cow"
    )
    assert start.told((), {"goat": []}) == "goat afresh"


@pytest.fixture(scope="module", params=["yolov5n", "yolov5n6"])
def weights(request, tmp_path_factory):
    """Weights of four classes with random tensors, of three levels and of four."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "start.pt"
    with yolov5.yolov5() as y5:
        model = y5.yolo.Model(y5.model_file(request.param), ch=3, nc=len(COCO))
        for tensor in model.state_dict().values():
            if tensor.is_floating_point() and tensor.dim():
                tensor.copy_(torch.rand_like(tensor))
        model.names = dict(enumerate(COCO))
        checkpoints.write_weights(path, model)
    return request.param, path


def head_of(model):
    """Rows of each level's head, (levels, anchors, 5 + classes) of biases."""
    detect = model.model[-1]
    return torch.stack([conv.bias.detach().view(detect.na, -1) for conv in detect.m])


def built(model, path, **changes):
    settings = dataclasses.replace(
        Recorded(model=model, hyp=read_hyp(None), classes=OURS, head="carried"), **changes
    )
    torch.manual_seed(1)
    with yolov5.yolov5() as y5:
        return start.starting_model(y5, settings, path, False)


def test_box_and_objectness_rows_are_kept_and_class_rows_come_by_meaning(weights):
    model, path = weights
    theirs = checkpoints.build(checkpoints.read_weights(path))
    ours, fresh = head_of(built(model, path)), head_of(built(model, path, head="fresh"))
    source = head_of(theirs)
    torch.testing.assert_close(ours[..., :5], source[..., :5])
    torch.testing.assert_close(ours[..., 6], source[..., 8])  # cow from cow
    torch.testing.assert_close(ours[..., 5], source[..., 6:9].mean(-1))  # pig from its kin
    assert not torch.equal(fresh[..., :5], source[..., :5])


def test_other_anchors_take_no_rows(weights):
    model, path = weights
    hyp = read_hyp(None) | {"anchors": 3.0}
    fresh = built(model, path, hyp=hyp, head="fresh")
    torch.testing.assert_close(head_of(built(model, path, hyp=hyp)), head_of(fresh))


def test_a_head_of_another_layout_starts_fresh(weights):
    _, path = weights
    read = checkpoints.read_weights(path)
    own = {"m.0.bias": torch.zeros(3 * 7)}
    for rows in (3 * 9 + 1, 2 * 9, 6 * 9):
        given = {"m.0.bias": torch.ones(rows)}
        assert start.carried_head(given, own, "m.", 3, len(read.names), {"pig": [0]}) == {}


def test_weights_of_another_model_are_refused(weights):
    model, path = weights
    other = {"yolov5n": "yolov5s", "yolov5n6": "yolov5s6"}[model]
    with pytest.raises(checkpoints.CheckpointError, match="of its tensors fit"):
        built(other, path)


def test_a_file_of_v6_with_a_buffer_more_is_read_alike(weights, tmp_path):
    model, path = weights
    old = checkpoints.load_checkpoint(path)
    detect = old["model"].model[-1]
    anchors = detect.anchors.clone().view(detect.nl, 1, -1, 1, 1, 2)
    vars(detect).pop("anchor_grid", None)
    detect.register_buffer("anchor_grid", anchors)
    torch.save(old, tmp_path / "v6.pt")
    torch.testing.assert_close(
        head_of(built(model, tmp_path / "v6.pt")), head_of(built(model, path))
    )
