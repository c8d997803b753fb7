"""The review of boxes: messages of the page in, corrected labels out; two notebooks, files that do
not fit, and the page itself in Chromium."""

import builtins
import json

import in_chromium
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import livestock_utils as lu
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError, LivestockError
from livestock_utils.core.photos import Photos
from livestock_utils.core.project import PACKAGE
from livestock_utils.evaluate.labels import exchange, faults, report
from livestock_utils.evaluate.labels.review import Review
from livestock_utils.show import review as page

BOX = ["image_id", "species", *XYXY]
SIZE = (200, 100)
LABELS = [
    ("a", "cow", 10.0, 10.0, 50.0, 50.0),
    ("b", "cow", 60.0, 10.0, 100.0, 50.0),
    ("b", "cow", 62.0, 12.0, 102.0, 52.0),
    ("c", "pig", 0.0, 0.0, 40.0, 40.0),
]
MISSING = [("a", "cow", 120.0, 20.0, 160.0, 60.0, 0.9), ("c", "pig", 90.0, 50.0, 130.0, 90.0, 0.8)]
FAULTS = [
    ("loose", *LABELS[0], 0, 0.7, 0.6, "cow", 12.0, 12.0, 44.0, 44.0),
    ("swapped", *LABELS[3], 3, 0.6, 0.9, "cow", 1.0, 1.0, 41.0, 41.0),
    ("duplicate", *LABELS[2], 2, 0.8, 0.8, "cow", *LABELS[1][2:]),
]


@pytest.fixture
def found(tmp_path):
    """Three photos with two missing boxes and a fault of each kind."""
    for name in "abc":
        Image.new("RGB", SIZE, (90, 120, 90)).save(tmp_path / f"{name}.png")
    images = pd.DataFrame({"image_id": list("abc"), "species": ["cow", "cow", "pig"]})
    images = images.assign(width_px=SIZE[0], height_px=SIZE[1], archive="")
    images["member"] = images["image_id"] + ".png"
    photos = Photos(images, pd.DataFrame(LABELS, columns=BOX), tmp_path)
    suggestions = pd.DataFrame(MISSING, columns=[*BOX, "score"])
    predictions = suggestions.rename(columns={"score": "confidence"})
    made = report.MissingLabels(photos, predictions, predictions, suggestions)
    columns = faults.find(photos, predictions).columns
    vars(made)["faults"] = pd.DataFrame(FAULTS, columns=columns)
    return made


def tell(review, *does, box=None):
    """The states after these messages of the page."""
    return [page.answer(review, {"do": do, "at": review.at, "box": box}) for do in does]


def changes(found, review):
    boxes, table = report.corrections(review.corrected, found.photos)
    return len(boxes), {k: v for k, v in table["change"].value_counts().items() if k != "kept"}


@pytest.mark.parametrize(
    ("does", "boxes", "told"),
    [
        ([], 4, {}),
        (["reject"], 4, {}),
        (["accept"], 5, {"added": 1}),
        (["next", "accept"], 5, {"added": 1}),
        (["accept", "previous", "reject"], 4, {}),
        (["reject", "reject", "accept"], 4, {"moved": 1}),
        (["next", "next", "next", "accept"], 4, {"species": 1}),
        (["previous", "accept"], 3, {"removed": 1}),
        (["accept"] * 5, 5, {"added": 2, "moved": 1, "species": 1, "removed": 1}),
    ],
)
def test_messages_become_corrections(found, tmp_path, does, boxes, told):
    review = Review(found, tmp_path / "labels" / "corrected.json")
    tell(review, *does)
    assert changes(found, review) == (boxes, told)


def test_a_dragged_box_is_clipped_to_its_photo(found, tmp_path):
    review = Review(found, tmp_path / "corrected.json")
    tell(review, "accept", box=[150, 20, 260, 120])
    after = exchange.read_corrected(review.corrected, found.photos.images)
    assert after[XYXY].to_numpy().tolist()[1] == [150.0, 20.0, 200.0, 100.0]
    tell(review, "previous", "accept")  # once more, as it was dragged
    assert exchange.read_corrected(review.corrected, found.photos.images).equals(after)


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ([300, 0, 400, 50], "lies outside its frame of 200 x 100 px"),
        ([50, 20, 50, 60], "needs four finite numbers and an extent"),
        ([1, 2, 3], "four numbers in px, got [1, 2, 3]"),
        ("box", "four numbers in px, got 'box'"),
        ([0, 0, float("nan"), 5], "four numbers in px"),
    ],
)
def test_a_box_that_is_none_is_told_and_changes_nothing(found, tmp_path, box, says):
    review = Review(found, tmp_path / "corrected.json")
    (state,) = tell(review, "accept", box=box)
    assert says in state["note"]
    assert "\n" not in state["note"]
    assert (state["at"], review.corrected) == (0, "")


def test_a_message_of_an_earlier_case_or_an_unknown_one_changes_nothing(found, tmp_path):
    review = Review(found, tmp_path / "corrected.json")
    page.answer(review, {"do": "accept", "at": 3})
    assert "got 'paint'" in page.answer(review, {"do": "paint", "at": 0})["note"]
    assert not (tmp_path / "corrected.json").exists()


def test_opened_again_it_goes_on_and_writes_the_same_bytes(found, tmp_path):
    path = tmp_path / "corrected.json"
    tell(Review(found, path), "accept", "reject")
    again = Review(found, path)
    assert page.state(again)["text"].startswith("3 of 5, 2 decided. Loose label of a cow?")
    tell(again, "accept", "accept", "accept")
    tell(whole := Review(found, tmp_path / "whole.json"), "accept", "reject", *["accept"] * 3)
    assert path.read_bytes() == whole.path.read_bytes()
    assert page.state(Review(found, path))["at"] in range(5)


def test_a_correction_that_the_labels_already_have_is_not_made_twice(found, tmp_path):
    tell(Review(found, tmp_path / "x.json"), *["accept"] * 5)
    boxes, _ = report.corrections(tmp_path / "x.json", found.photos)
    later = report.MissingLabels(
        found.photos.with_boxes(boxes), found.predictions, found.scored, found.suggestions
    )
    vars(later)["faults"] = found.faults
    review = Review(later, tmp_path / "x.json")
    tell(review, "accept")
    assert changes(later, review) == (len(boxes), {})


def test_two_notebooks_on_one_file_lose_nothing_and_say_so(found, tmp_path):
    first, second = (Review(found, tmp_path / "corrected.json") for _ in range(2))
    assert tell(first, "accept")[0]["note"] == ""
    (state,) = tell(second, "next", "accept")[1:]
    assert state["note"].startswith("corrected.json is written by another notebook too: 1 decision")
    assert changes(found, second) == (6, {"added": 2})
    assert "another notebook" in tell(first, "next", "next", "accept")[2]["note"]
    assert len(Review(found, tmp_path / "corrected.json").decisions) == 3


def decision(**other):
    box = [1.0, 2.0, 30.0, 40.0]
    one = {"image_id": "a", "fault": "missing", "case": "1 2 30 40", "species": "cow"}
    return one | {"verdict": "accept", "label": None, "box": box} | other


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[]", "no file of a review"),
        (json.dumps({"images": [], "annotations": []}), "no file of a review"),
        (json.dumps({"review": [3]}), "a decision needs box, case, fault, image_id"),
        (json.dumps({"review": [decision(image_id="z")]}), "other images: 1 of 1 decisions"),
        (json.dumps({"review": [decision(box=[1, 2])]}), "a box is four numbers in px"),
        (json.dumps({"review": [decision(verdict="maybe")]}), "expected one of accept, reject"),
        (json.dumps({"review": [decision(fault="odd")]}), "expected one of missing"),
        (json.dumps({"review": [decision(box=None)]}), "without its boxes"),
        (json.dumps({"review": [decision(species="horse")]}), "species 'horse'; expected"),
        (json.dumps({"review": [decision(image_id=[1])]}), "are texts"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line_and_kept(found, tmp_path, text, says):
    path = tmp_path / "corrected.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=says) as caught:
        Review(found, path)
    assert "\n" not in str(caught.value)
    assert path.read_text() == text


def test_nothing_to_review(found, tmp_path):
    empty = report.MissingLabels(
        found.photos, found.predictions, found.scored, found.suggestions.iloc[:0]
    )
    vars(empty)["faults"] = found.faults.iloc[:0]
    review = Review(empty, tmp_path / "corrected.json")
    assert page.answer(review, {"do": "accept", "at": 0})["text"] == "Nothing to review."
    assert page.gallery(empty, review).verdict == "0 of 0 boxes are decided."


def without_anywidget(monkeypatch):
    real = builtins.__import__
    monkeypatch.setattr("importlib.import_module", lambda name: real(f"absent_{name}"))


@pytest.mark.parametrize("headless", [True, False])
def test_where_nobody_clicks_there_is_a_gallery(found, tmp_path, monkeypatch, headless):
    monkeypatch.setattr(page, "watched", lambda: not headless)  # papermill's kernel, any papermill
    if not headless:
        without_anywidget(monkeypatch)
    review, shown = page.of(found, tmp_path / "corrected.json")
    assert isinstance(shown, lu.Display)
    assert np.size(shown.plot()) == 8
    assert shown.verdict.startswith("0 of 5 boxes are decided.")
    assert ("--extras review" in shown.verdict) is not headless
    assert review.corrected == ""


def test_no_anywidget_is_told_in_one_line(found, tmp_path, monkeypatch):
    without_anywidget(monkeypatch)
    with pytest.raises(LivestockError, match=r"needs the package anywidget: .* --extras review"):
        page.widget(Review(found, tmp_path / "corrected.json"))


def test_the_widget_answers_messages(found, tmp_path):
    pytest.importorskip("anywidget", reason="the review extra is not installed")
    review = Review(found, tmp_path / "corrected.json")
    shown = page.widget(review)
    shown._handle_custom_msg({"do": "accept", "at": 0, "box": None}, [])
    assert shown.state["at"] == 1
    assert changes(found, review) == (5, {"added": 1})


PAGE = """<!doctype html><body><div id="say"></div><div id="el"></div></body>"""
CLICKS = """
const { render } = await import("/web/review.js");
const states = await (await fetch("/web/states.html")).json();
const sent = [], heard = [];
let now = 0;
const model = {
  get: () => states[now],
  on: (_, f) => heard.push(f),
  off: () => {},
  send: (message) => { sent.push(message); },
};
const reply = () => { now += 1; heard.forEach((f) => f()); };
const el = document.getElementById("el");
render({ model, el });
const root = el.firstChild;
let outside = 0;
document.addEventListener("keydown", () => { outside += 1; });
const press = (key, more = {}) => root.dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
await until(() => el.querySelector("rect.box"), "a dotted box");
told.text = root.textContent;
told.labels = el.querySelectorAll("rect").length;
press("a"); press("a"); reply();
press("c"); press("a", { ctrlKey: true });
const drag = (part, dx, dy) => {
  const box = el.querySelector(part).getBoundingClientRect();
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  const fire = (target, type, x, y) => target.dispatchEvent(
    new PointerEvent(type, { clientX: x, clientY: y, bubbles: true, cancelable: true }));
  fire(el.querySelector(part), "pointerdown", x, y);
  fire(window, "pointermove", x + dx, y + dy);
  fire(window, "pointerup", x + dx, y + dy);
};
const scale = el.querySelector("svg").getScreenCTM().a;
drag("rect.box", 10 * scale, 5 * scale);
drag("rect.g21", 20 * scale, 2 * scale);
drag("rect.g03", 4000 * scale, 0);
root.querySelector("[data-do=accept]").click(); reply();
press("r"); reply(); press("ArrowRight"); reply(); press("p");
told.sent = sent;
told.outside = outside;
told.none = el.querySelector("rect.box") === null;
"""


@pytest.mark.skipif(in_chromium.CHROMIUM is None, reason="needs Chromium")
def test_the_page_by_keys_clicks_and_drags(found, tmp_path):
    review = Review(found, tmp_path / "corrected.json")
    states = [page.state(review), *tell(review, *["accept"] * 4)]
    web = tmp_path / "bundle" / "web"
    web.mkdir(parents=True)
    (web / "index.html").write_text(PAGE)
    (web / "review.js").write_bytes((PACKAGE / "assets" / "review.js").read_bytes())
    files = {"states.html": json.dumps(states).encode()}
    told = in_chromium.run(tmp_path / "bundle", tmp_path, CLICKS, files)
    assert told["text"].startswith("1 of 5, 0 decided. cow without a label?")
    sent = told["sent"]
    assert [(one["do"], one["at"]) for one in sent] == [
        ("accept", 0),
        ("accept", 1),
        ("reject", 2),
        ("next", 3),
        ("previous", 4),
    ]
    assert sent[0]["box"] is None
    x, y, right, low = MISSING[1][2:6]
    np.testing.assert_allclose(sent[1]["box"], [x + 10, y + 7, right + 30, low + 5], atol=0.5)
    assert told["outside"] == 2  # keys of others go on to the notebook
    assert told["none"]
