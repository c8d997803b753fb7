"""The preview of augmentation as a figure."""

from collections.abc import Sequence

import numpy as np

from livestock_utils.detect.train.preview import KINDS, View
from livestock_utils.show.plots import gallery, style

_ROW_TITLES = {
    "as it is": "as it is",
    "pipeline": "after the pipeline",
    "mosaic": "in a mosaic, all of training",
}


def augmented(views: Sequence[View], axes: np.ndarray | None = None) -> np.ndarray:
    """The views of `preview.preview`, a row per kind, a column per photo; Axes."""
    kinds = [kind for kind in KINDS if any(view.kind == kind for view in views)]
    if not kinds:
        axes = style.grid_of_axes(1, 1, 1.2) if axes is None else axes
        style.say_empty(axes[0, 0], "no training photos")
        return axes
    rows = [[view for view in views if view.kind == kind] for kind in kinds]
    columns = max(map(len, rows))
    height_in = len(rows) * (style.WIDTH_IN / columns + 0.25)
    axes = style.grid_of_axes(len(rows), columns, height_in) if axes is None else axes
    for cells, kind, found in zip(axes, kinds, rows, strict=True):
        for number, (ax, view) in enumerate(zip(cells, found, strict=False)):
            height, width = view.picture.shape[:2]
            gallery.photo(
                view.picture,
                width,
                height,
                view.boxes,
                ax,
                _ROW_TITLES[kind] if number == 0 else "",
                1.2,
            )
        for ax in cells[len(found) :]:
            ax.set_axis_off()
    return axes
