"""The review in a notebook: a widget where there is somebody to click, else a gallery."""

import base64
import functools
import io
import os
import sys
from typing import Any

from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import LivestockError
from livestock_utils.core.progress import watched
from livestock_utils.core.project import PACKAGE
from livestock_utils.detect.backends.onnx import need
from livestock_utils.evaluate.labels.report import MissingLabels
from livestock_utils.evaluate.labels.review import Review, table
from livestock_utils.show.display import Display
from livestock_utils.show.plots import errors as plots
from livestock_utils.show.plots import style

_LONGEST_PX = 1280
_ASKS = {
    "missing": "{species} without a label? Accept adds the dotted box",
    "loose": "Loose label of a {species}? Accept moves it to the dotted box",
    "swapped": "Is this a {species}? Accept renames the label",
    "duplicate": "Two labels on one {species}? Accept removes the thick one",
}


def state(review: Review, note: str = "") -> dict[str, Any]:
    """What the page shows of the open case: photo (data URL), boxes in px, text, `note`."""
    total = len(review.cases)
    if not total:
        return {"at": 0, "total": 0, "text": "Nothing to review.", "note": note}
    case, photos = review.cases[review.at], review.photos
    mine = photos.boxes[photos.boxes["image_id"] == case["image_id"]]
    image = photos.open(case["image_id"])
    image.thumbnail((_LONGEST_PX, _LONGEST_PX))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    asked = _ASKS[case["fault"]].format(species=case["species"])
    return {
        "at": review.at,
        "total": total,
        "text": f"{review.at + 1} of {total}, {review.n_decided} decided. {asked} "
        f"(score {case['score']:.2f}; {case['image_id']}; so far {review.verdict() or 'open'}).",
        "note": note,
        "photo": f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}",
        **dict(zip(("width", "height"), case["frame"], strict=True)),
        "colour": style.colour(case["species"]),
        "labels": mine[XYXY].to_numpy(float).tolist(),
        "label": case["label"],
        "box": review.box(),
    }


def answer(review: Review, message: dict[str, Any]) -> dict[str, Any]:
    """Do what the page asks and return the next state; a fault becomes the state's note."""
    try:
        note = review.answer(message)
    except (LivestockError, OSError) as error:
        note = str(error)
    return state(review, note)


def widget(review: Review) -> Any:
    """The review as a widget for JupyterLab and Colab; LivestockError without anywidget."""
    anywidget = need("anywidget", "review")
    import traitlets

    if "google.colab" in sys.modules:
        sys.modules["google.colab"].output.enable_custom_widget_manager()

    class Page(anywidget.AnyWidget):  # type: ignore[name-defined]
        _esm = (PACKAGE / "assets" / "review.js").read_text(encoding="utf-8")
        state = traitlets.Dict().tag(sync=True)

    page = Page(state=state(review))

    def heard(_: Any, message: Any, __: Any) -> None:
        # Always news for the page, which waits for it: the same state twice would not be sent.
        page.state = {**answer(review, message), "turn": page.state.get("turn", 0) + 1}

    page.on_msg(heard)
    return page


def gallery(missing: MissingLabels, review: Review, told: str = "", n: int = 4) -> Display:
    """The first cases of a review as pictures, with their verdicts so far."""
    cases = table(review)
    parts = cases.head(n), missing.photos, missing.predictions, 0.25, "no cases"
    said = f"{review.n_decided} of {len(cases)} boxes are decided. {told}".strip()
    caption = "The first boxes of the review: left the labels, right the predictions."
    draw = functools.partial(plots.error_gallery, *parts)
    return Display("review", caption, cases, draw, said, {"reviewed": review.n_decided})


def of(missing: MissingLabels, path: str | os.PathLike) -> tuple[Review, Any]:
    """(review, what shows it): the widget, or a gallery in headless runs and without anywidget."""
    review = Review(missing, path)
    if not watched():
        return review, gallery(missing, review)
    try:
        return review, widget(review)
    except LivestockError as error:
        return review, gallery(missing, review, f"To click: {error}.")
