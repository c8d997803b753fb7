"""What a training starts from: random weights, or the tensors of a weights file that fit.

YOLOv5's head is a 1 x 1 convolution a level with rows for each anchor: four of the box, one of the
objectness, one a class. Other classes change the class rows alone, so the rest is kept, and class
rows come from the classes of the weights that mean the same (after ultralytics#25051, which does so
for later YOLOs; yolov5 7.0.14 drops all rows when the number of classes differs).
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from livestock_utils.core import species
from livestock_utils.core.errors import CheckpointError
from livestock_utils.core.text import listed
from livestock_utils.detect import checkpoints, yolov5
from livestock_utils.detect.settings import Recorded

log = logging.getLogger(__name__)

_TRANSFER_SHARE = 0.9
"""At least this share of the tensors before the head must fit from `init_weights`."""
_BOX_ROWS = 5
"""Rows of an anchor before its classes: x, y, width, height, objectness."""


def starting_model(
    y5: yolov5.Yolov5, settings: Recorded, init_weights: Path | None, trust: bool
) -> Any:
    """A model of the asked architecture, with the tensors of `init_weights` that fit."""
    weights = None if init_weights is None else checkpoints.read_weights(init_weights, trust=trust)
    same_classes = weights is not None and weights.names == settings.classes
    if weights is not None and same_classes and "lighter" in weights.architecture:
        return checkpoints.build(weights)  # pruned or decomposed: its own shapes
    anchors = settings.hyp.get("anchors")
    model = y5.yolo.Model(
        y5.architecture(settings.model), ch=3, nc=len(settings.classes), anchors=anchors
    )
    if weights is None:
        return model
    own = model.state_dict()
    head = f"model.{len(model.model) - 1}."
    fitting = {
        name: tensor
        for name, tensor in weights.state.items()
        if name in own and tensor.shape == own[name].shape and not (anchors and "anchor" in name)
    }
    body = [name for name in own if not name.startswith(head)]
    share = sum(name in fitting for name in body) / len(body)
    if share < _TRANSFER_SHARE:
        raise CheckpointError(
            f"{init_weights}: only {share:.0%} of its tensors fit {settings.model}; give the model "
            "that the weights were trained as, or other weights"
        )
    if not same_classes:  # a head of other classes of the same number is no use as it is
        fitting = {name: fitting[name] for name in fitting if not name.startswith(f"{head}m.")}
        if settings.head == "carried" and not anchors:
            n_anchors, known = model.model[-1].na, weights.names
            sources = class_sources(known, settings.classes)
            carried = carried_head(weights.state, own, f"{head}m.", n_anchors, len(known), sources)
            if not carried:
                log.warning("%s: the head has another layout and starts fresh", init_weights)
            fitting |= carried
    model.load_state_dict(fitting, strict=False)
    log.info("%d of %d tensors taken from %s", len(fitting), len(own), init_weights)
    return model


def class_sources(known: Sequence[str], wanted: Sequence[str]) -> dict[str, list[int]]:
    """For each wanted class the rows of `known` classes that it starts from; none: fresh. The class
    of the same name, else those that species.yaml names in `start_from`. A list of one class starts
    fresh: yolov5 trains no class rows there, and takes them for certain."""
    if len(wanted) == 1:
        return {wanted[0]: []}
    kin = {one.name: one.start_from for one in species.all_species()}
    return {
        name: [known.index(name)]
        if name in known
        else [known.index(other) for other in kin.get(name, ()) if other in known]
        for name in wanted
    }


def carried_head(
    state: Mapping[str, Any],
    own: Mapping[str, Any],
    prefix: str,
    n_anchors: int,
    n_known: int,
    sources: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """Tensors of a head with the box and objectness rows of `state` and class rows by `sources`.
    `own` is a fresh model's state; what has no source stays as it is there. `state` is of a head
    for `n_known` classes; a level of another shape is left out."""
    carried = {}
    for name, fresh in own.items():
        given = state.get(name)
        wanted = (n_anchors * (_BOX_ROWS + n_known), *fresh.shape[1:])
        if not name.startswith(prefix) or given is None or given.shape != wanted:
            continue
        rows = fresh.clone().view(n_anchors, -1, *fresh.shape[1:])
        theirs = given.to(fresh.dtype).view(n_anchors, -1, *fresh.shape[1:])
        rows[:, :_BOX_ROWS] = theirs[:, :_BOX_ROWS]
        for index, taken in enumerate(sources.values()):
            if taken:
                columns = [_BOX_ROWS + one for one in taken]
                rows[:, _BOX_ROWS + index] = theirs[:, columns].mean(1)
        carried[name] = rows.view(fresh.shape)
    return carried


def told(known: Sequence[str], sources: Mapping[str, Sequence[int]]) -> str:
    """What a head's classes start from, in a line: "cow from cow, pig from sheep, cow and dog"."""
    return ", ".join(
        f"{name} from {listed([known[row] for row in rows])}" if rows else f"{name} afresh"
        for name, rows in sources.items()
    )
