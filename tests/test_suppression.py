"""Soft-NMS and fusion against ensemble-boxes, NMS against yolov5's rules, on random crowds of
boxes."""

import contextlib
import io

import ensemble_boxes
import numpy as np
import pytest
import torch
import torchvision
from ensemble_boxes.ensemble_boxes_nms import cpu_soft_nms_float
from hypothesis import given, settings
from hypothesis import strategies as st

from livestock_utils.assets import edge_runner
from livestock_utils.core import overlaps, suppression
from livestock_utils.core.boxes import iou_matrix


def crowd(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """`n` boxes (shares of a frame, as ensemble-boxes wants them) around few centres, distinct
    falling confidences."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0.3, 0.7, (4, 2))[rng.integers(0, 4, n)] + rng.normal(0, 0.03, (n, 2))
    size = rng.uniform(0.05, 0.25, (n, 2))
    confidence = np.sort(rng.choice(np.linspace(0.01, 0.99, 997), n, replace=False))[::-1]
    return np.hstack([centre - size / 2, centre + size / 2]).astype(np.float32), confidence.astype(
        np.float32
    )


crowds = st.builds(crowd, st.integers(0, 10_000), st.integers(1, 60))


@settings(max_examples=80, deadline=None)
@given(crowds, st.floats(0.1, 0.9))
def test_nms_keeps_what_torchvision_keeps(boxes, threshold):
    xyxy, confidence = boxes
    expected = torchvision.ops.nms(
        torch.from_numpy(xyxy), torch.from_numpy(confidence), threshold
    ).numpy()
    assert (
        np.flatnonzero(suppression.nms(xyxy, confidence, threshold)).tolist() == expected.tolist()
    )


@settings(max_examples=80, deadline=None)
@given(crowds, st.floats(0.1, 0.9), st.floats(0.02, 0.9))
def test_a_cut_after_suppression_is_suppression_of_the_cut(boxes, threshold, cut):
    xyxy, confidence = boxes
    above = confidence >= np.float32(cut)
    whole = suppression.nms(xyxy, confidence, threshold)
    assert (
        whole[above].tolist() == suppression.nms(xyxy[above], confidence[above], threshold).tolist()
    )
    soft = suppression.soft_nms(xyxy, confidence, threshold, floor=0.01)
    again = suppression.soft_nms(
        xyxy[above], confidence[above], threshold, floor=float(np.float32(cut))
    )
    kept = soft >= np.float32(cut)
    assert np.array_equal(np.where(kept, soft, 0)[above], again)
    assert not kept[~above].any()


@settings(max_examples=60, deadline=None)
@given(crowds, st.floats(0.1, 0.9), st.sampled_from(["linear", "gaussian"]))
def test_soft_nms_equals_ensemble_boxes(boxes, threshold, method):
    xyxy, confidence = boxes
    decayed = confidence.astype(
        float
    )  # its public functions give the confidences before decay; this one changes them
    kept = cpu_soft_nms_float(
        xyxy.astype(float), decayed, threshold, 0.5, 0.02, {"linear": 1, "gaussian": 2}[method]
    )
    ours = suppression.soft_nms(xyxy, confidence, threshold, method=method, floor=0.02)
    assert np.flatnonzero(ours).tolist() == sorted(kept.tolist())
    assert np.sort(ours[ours > 0]) == pytest.approx(np.sort(decayed[decayed > 0.02]), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(crowds, st.floats(0.3, 0.9), st.sampled_from(["avg", "max"]), st.integers(1, 3))
def test_fusion_equals_ensemble_boxes(boxes, threshold, kind, n_passes):
    xyxy, confidence = boxes
    share = np.arange(len(xyxy)) % n_passes
    with contextlib.redirect_stdout(io.StringIO()):
        expected = ensemble_boxes.weighted_boxes_fusion(
            [xyxy[share == k].astype(float) for k in range(n_passes)],
            [confidence[share == k].astype(float) for k in range(n_passes)],
            [np.zeros(int((share == k).sum())) for k in range(n_passes)],
            iou_thr=threshold,
            conf_type=kind,
        )
    fused, scores = suppression.fuse(
        xyxy, confidence, threshold, n_passes=n_passes, confidence_type=kind
    )
    assert scores == pytest.approx(expected[1], abs=1e-5)
    ours = sorted(zip(scores.round(4), fused.tolist(), strict=True))
    theirs = sorted(zip(expected[1].round(4).astype(np.float32), expected[0].tolist(), strict=True))
    assert np.allclose([box for _, box in ours], [box for _, box in theirs], atol=2e-4)


@pytest.mark.parametrize(
    "call",
    [
        lambda xyxy, confidence: suppression.nms(xyxy, confidence, 0.5),
        lambda xyxy, confidence: suppression.diou_nms(xyxy, confidence, 0.5),
        lambda xyxy, confidence: suppression.soft_nms(xyxy, confidence, 0.5),
        lambda xyxy, confidence: suppression.fuse(xyxy, confidence, 0.5)[1],
    ],
)
def test_nothing_gives_nothing(call):
    assert len(call(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))) == 0


def test_boxes_without_area_do_not_disturb():
    xyxy = np.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]], np.float32)
    confidence = np.array([0.9, 0.8, 0.7], np.float32)
    assert suppression.nms(xyxy, confidence, 0.5).tolist() == [True, True, True]
    assert suppression.soft_nms(xyxy, confidence, 0.5).tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert suppression.fuse(xyxy, confidence, 0.5)[0].tolist() == [[0, 0, 10, 10]]


@settings(max_examples=60, deadline=None)
@given(crowds, st.floats(0.1, 0.9))
def test_diou_nms_is_greedy_over_torchvisions_distance_iou(boxes, threshold):
    xyxy, confidence = boxes
    whole = torch.from_numpy(xyxy.astype(float))
    # Its epsilon of 1e-7 in the diagonal is felt by boxes as small as shares: so in px.
    diou = (torchvision.ops.distance_box_iou(whole * 1000, whole * 1000)).numpy()
    kept: list[int] = []
    for box in range(len(xyxy)):
        if all(diou[box, other] <= threshold for other in kept):
            kept.append(box)
    assert np.flatnonzero(suppression.diou_nms(xyxy, confidence, threshold)).tolist() == kept


@settings(max_examples=60, deadline=None)
@given(crowds, st.floats(0.3, 0.9))
def test_votes_by_confidence_alone_are_yolov5s_merge_nms(boxes, threshold):
    xyxy, confidence = boxes
    confidence = 0.5 + confidence / 2  # above VOTE_SHARE of each other: all vote, as there
    kept = torchvision.ops.nms(*(torch.from_numpy(a) for a in (xyxy, confidence)), threshold)
    overlaps = torchvision.ops.box_iou(torch.from_numpy(xyxy)[kept], torch.from_numpy(xyxy))
    weights = (overlaps > threshold) * torch.from_numpy(confidence)[None]
    merged = (weights @ torch.from_numpy(xyxy)) / weights.sum(1, keepdim=True)
    sides = xyxy[kept.numpy()], confidence[kept.numpy()], xyxy, confidence
    ours = suppression.vote(*sides, threshold, by_iou=False)
    np.testing.assert_allclose(ours, merged.numpy(), atol=1e-5)


def voted_one_by_one(xyxy, confidence, voters_xyxy, voters, threshold):
    """Box voting as its paper has it, box by box."""
    moved = []
    for box, own in zip(xyxy, confidence, strict=True):
        total, weight = np.zeros(4), 0.0
        for other, vote in zip(voters_xyxy, voters, strict=True):
            iou = float(iou_matrix(box[None], other[None])[0, 0])
            if iou >= threshold and vote >= np.float32(suppression.VOTE_SHARE) * own:
                total, weight = total + vote * iou * other.astype(float), weight + vote * iou
        moved.append(total / weight if weight else box)
    return np.array(moved).reshape(-1, 4)


@settings(max_examples=60, deadline=None)
@given(crowds, st.floats(0.1, 0.9), st.floats(0.1, 0.95))
def test_voting_is_the_weighted_mean_of_what_overlaps(boxes, threshold, voting):
    xyxy, confidence = boxes
    kept = suppression.nms(xyxy, confidence, threshold)
    found = suppression.vote(xyxy[kept], confidence[kept], xyxy, confidence, voting)
    expected = voted_one_by_one(xyxy[kept], confidence[kept], xyxy, confidence, voting)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(crowds, st.floats(0.02, 0.9))
def test_a_higher_threshold_leaves_the_voted_boxes_above_it(boxes, cut):
    xyxy, confidence = boxes
    voters = confidence >= np.float32(suppression.VOTE_SHARE) * np.float32(cut)
    above = confidence >= np.float32(cut)
    whole = suppression.vote(xyxy, confidence, xyxy, confidence, 0.6)[above]
    cut_first = suppression.vote(
        xyxy[above], confidence[above], xyxy[voters], confidence[voters], 0.6
    )
    np.testing.assert_allclose(whole, cut_first, atol=1e-6)


def test_nobody_votes_for_nothing_and_a_box_alone_stays():
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    assert suppression.vote(*nothing, *nothing, 0.5).shape == (0, 4)
    one = np.array([[0.1, 0.1, 0.4, 0.5]], np.float32), np.array([0.9], np.float32)
    np.testing.assert_array_equal(suppression.vote(*one, *nothing, 0.5), one[0])


@settings(max_examples=60, deadline=None)
@given(crowds, crowds, st.sampled_from([0.0, 0.05, 0.3, 0.6, 0.8, 1.0]))
def test_near_pairs_are_those_of_the_whole_matrix(boxes, others, least):
    first, second = (side[0].astype(float) * 1000 for side in (boxes, others))
    first[::5, 2] = first[::5, 0]  # cut off by the frame's edge: no area
    second = np.vstack([second, first])  # the same boxes among them
    expected = iou_matrix(first, second)
    row, column, iou = overlaps.near(first, second, least)
    assert (
        sorted(np.column_stack([row, column]).tolist()) == np.argwhere(expected >= least).tolist()
    )
    assert np.array_equal(iou, expected[row, column])
    runners = edge_runner.near(first, second, least)
    assert all(map(np.array_equal, runners, (row, column, iou)))


def test_nothing_is_near_nothing():
    nothing, one = np.zeros((0, 4)), np.array([[0.0, 0, 9, 9]])
    for sides in ((nothing, nothing), (nothing, one), (one, nothing)):
        assert [len(part) for part in overlaps.near(*sides, 0.5)] == [0, 0, 0]
