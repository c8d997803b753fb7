"""A person's way through missing, loose and doubtful boxes: each decision goes into one file of
corrected labels (COCO, as an annotation tool's export), which also says where one stopped."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from livestock_utils.core import locks, species, tables
from livestock_utils.core.boxes import XYXY
from livestock_utils.core.errors import DatasetError
from livestock_utils.core.reading import read_json
from livestock_utils.core.text import count
from livestock_utils.evaluate.labels import exchange
from livestock_utils.evaluate.labels.faults import FAULTS
from livestock_utils.evaluate.labels.report import MissingLabels

_KINDS = ["missing", *FAULTS]
_KEY = ("image_id", "fault", "case")
_FIELDS = {*_KEY, "verdict", "species", "label", "box"}
_ADVICE = "name another file for the corrections, or move this one away"


class Review:
    """Cases in order, the first undecided one open, and the decisions of `path`."""

    def __init__(self, missing: MissingLabels, path: str | os.PathLike) -> None:
        """Goes on where `path` stopped; DatasetError for a file that holds no review of these."""
        self.photos, self.path = missing.photos, Path(path)
        self.cases = _cases(missing)
        self.decisions = self._read()
        self.at = 0
        if self.cases and self.verdict():
            self._next_open()

    @property
    def corrected(self) -> str:
        """The file of corrections for `MissingLabels.write`; "" while nothing is decided."""
        return str(self.path) if self.decisions else ""

    @property
    def n_decided(self) -> int:
        """The number of cases that have a verdict."""
        return sum(_key(case) in self.decisions for case in self.cases)

    def verdict(self) -> str:
        """What was decided on the open case: "accept", "reject" or ""."""
        return self.decisions.get(_key(self.cases[self.at]), {}).get("verdict", "")

    def answer(self, message: dict[str, Any]) -> str:
        """Do what the page asks: {"do": "accept", "reject", "next" or "previous", "at": the case,
        "box": four px if it was dragged}; returns what there is to tell, as a rule nothing."""
        do, steps = message.get("do"), {"next": 1, "previous": -1}
        if message.get("at") != self.at or not self.cases:
            return ""  # a key pressed twice, before the next case was shown
        if do in ("accept", "reject"):
            return self._decide(do, message.get("box"))
        if do not in steps:
            raise DatasetError(f"expected accept, reject, next or previous, got {do!r}")
        self.at = (self.at + steps[do]) % len(self.cases)
        return ""

    def box(self) -> list[float] | None:
        """The box that accepting the open case would leave, px; None: the label goes."""
        return self.decisions.get(_key(case := self.cases[self.at]), case)["box"]

    def _next_open(self) -> None:
        order = [*range(self.at + 1, len(self.cases)), *range(self.at + 1)]
        undecided = (n for n in order if _key(self.cases[n]) not in self.decisions)
        self.at = next(undecided, min(self.at + 1, len(self.cases) - 1))

    def _decide(self, verdict: str, dragged: Any) -> str:
        case, box = self.cases[self.at], self.box()
        if verdict == "accept" and box is not None and dragged is not None:
            width, height = case["frame"]
            box = exchange.clipped(_numbers(dragged), width, height, f"image {case['image_id']}")
        with locks.alone(self.path.parent):
            there = self._read()
            strange = sum(self.decisions.get(key) != one for key, one in there.items())
            self.decisions |= there | {_key(case): {**case, "box": box, "verdict": verdict}}
            self._write()
        self._next_open()
        told = f"{count(strange, 'decision')} of that one taken over, nothing is lost"
        return f"{self.path.name} is written by another notebook too: {told}" if strange else ""

    def _write(self) -> None:
        images = self.photos.select({key[0] for key in self.decisions})
        after = images.with_boxes(_applied(images.boxes, made := list(self.decisions.values())))
        exchange.write_coco(self.path, after, pd.DataFrame(), review=made)

    def _read(self) -> dict[tuple, dict[str, Any]]:
        if not self.path.exists():
            return {}
        content = read_json(self.path, DatasetError, _ADVICE)
        made = content.get("review") if isinstance(content, dict) else None
        if not isinstance(made, list):
            raise DatasetError(f"{self.path} is no file of a review (no list 'review')", _ADVICE)
        known = set(self.photos.images["image_id"])
        for one in made:
            if what := _unfit(one):
                raise DatasetError(f"{self.path}: {what}", _ADVICE)
        if strange := [one["image_id"] for one in made if one["image_id"] not in known]:
            what = f"{len(strange)} of {len(made)} decisions, the first on {strange[0]!r}"
            raise DatasetError(f"{self.path} holds corrections of other images: {what}", _ADVICE)
        return {_key(one): one for one in made}


def table(review: Review) -> pd.DataFrame:
    """The cases with their verdicts, for `plots.error_gallery`: a boxes table and `why`."""
    rows = []
    for case in review.cases:
        verdict = review.decisions.get(_key(case), {}).get("verdict", "open")
        why = f"{case['fault']}? {case['species']}, {verdict}"
        rows.append((case["image_id"], case["species"], *(case["box"] or case["label"]), why))
    return pd.DataFrame(rows, columns=[*tables.BOX_COLUMNS, "why"])


def _cases(missing: MissingLabels) -> list[dict[str, Any]]:
    """Missing boxes by falling score, then suspicious labels: `label` is what stands there, `box`
    what should, `species` of that one."""
    found: list[tuple[Any, ...]] = []
    for row in missing.suggestions.to_dict("records"):
        box = [row[name] for name in XYXY]
        found.append((row["image_id"], "missing", row["species"], row["score"], None, box))
    for row in missing.faults.to_dict("records"):
        label, kind = [row[name] for name in XYXY], row["fault"]
        instead = [row[f"suggested_{name}"] for name in XYXY]
        mended = {"loose": instead, "swapped": label, "duplicate": None}[kind]
        name = row["suggested_species" if kind == "swapped" else "species"]
        found.append((row["image_id"], kind, name, row["score"], label, mended))
    sizes = missing.photos.images.set_index("image_id")[["width_px", "height_px"]].astype(float)
    cases = []
    for image_id, kind, name, score, label, box in found:
        if kind in ("missing", "loose"):  # a detector's box may reach beyond the photo
            width, height = sizes.loc[image_id]
            box = exchange.clipped(box, width, height, f"image {image_id}")
        rounded = [None if xyxy is None else [round(v, 2) for v in xyxy] for xyxy in (label, box)]
        case = {"image_id": image_id, "fault": kind, "species": name, "score": round(score, 4)}
        case["frame"] = sizes.loc[image_id].tolist()
        place = " ".join(f"{value:.0f}" for value in (rounded[0] or rounded[1] or ()))
        cases.append({**case, "case": place, "label": rounded[0], "box": rounded[1]})
    return cases


def _applied(boxes: pd.DataFrame, made: list[dict[str, Any]]) -> pd.DataFrame:
    """The labels after the accepted decisions; once more changes nothing."""
    rows = boxes[tables.BOX_COLUMNS].to_dict("records")
    was = [(row["image_id"], np.array([row[name] for name in XYXY])) for row in rows]

    def places(image_id: str, box: list[float]) -> list[int]:
        return [n for n, (a, b) in enumerate(was) if a == image_id and np.allclose(b, box, atol=1)]

    gone: set[int] = set()
    # A label of two faults is mended first and removed last.
    for one in sorted(made, key=lambda one: _KINDS.index(one["fault"])):
        if one["verdict"] != "accept":
            continue
        image_id, box, label = one["image_id"], one["box"], one["label"]
        if label is None:
            if not places(image_id, box):
                rows.append({"image_id": image_id, "species": one["species"]})
                rows[-1] |= dict(zip(XYXY, box, strict=True))
                was.append((image_id, np.array(box)))
            continue
        here = [n for n in places(image_id, label) if n not in gone]
        if here and box is None:
            gone.add(here[-1])
        elif here:
            if one["fault"] == "swapped":
                rows[here[0]]["species"] = one["species"]
            if box != label:
                rows[here[0]] |= dict(zip(XYXY, box, strict=True))
    kept = [row for n, row in enumerate(rows) if n not in gone]
    return pd.DataFrame(kept, columns=tables.BOX_COLUMNS)


def _unfit(one: Any) -> str:
    """What is wrong with a decision of a file, or ""."""
    if not isinstance(one, dict) or not set(one) >= _FIELDS:
        return f"a decision needs {', '.join(sorted(_FIELDS))}, got {one!r}"
    if not all(isinstance(one[name], str) for name in (*_KEY, "verdict", "species")):
        return f"a decision's {', '.join(_KEY)}, verdict and species are texts, got {one!r}"
    known = {"verdict": ["accept", "reject"], "fault": _KINDS, "species": list(species.names())}
    for name, names in known.items():
        if one[name] not in names:
            return f"{name} {one[name]!r}; expected one of {', '.join(names)}"
    for name in ("label", "box"):
        one[name] = None if one[name] is None else _numbers(one[name])
    wanted = [one["fault"] != "missing", one["fault"] != "duplicate"]
    if [one[name] is not None for name in ("label", "box")] != wanted:
        return f"a {one['fault']} decision without its boxes, or with one too many: {one!r}"
    return ""


def _key(one: dict[str, Any]) -> tuple:
    return tuple(one[name] for name in _KEY)


def _numbers(box: Any) -> list[float]:
    numbers = isinstance(box, list) and [type(v) in (int, float) for v in box] == [True] * 4
    if not numbers or not np.isfinite(box).all():
        raise DatasetError(f"a box is four numbers in px, got {box!r}; drag it again")
    return [float(value) for value in box]
