"""What is wrong or worth knowing in a folder of archives: raised, or collected row by row."""

import dataclasses
import re
from collections import Counter

import pandas as pd

from livestock_utils.core.archives import place_of
from livestock_utils.core.errors import ArchiveError


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of finding: "error" stops the reading, "warning" is left out or changed and counted,
    "note" is told."""

    severity: str
    singular: str
    plural: str
    advice: str


_TABLE = """\
archive_missing | error | archive missing | archives missing |
    download what is missing, put it beside the others
archive_broken | error | broken archive | broken archives | download it again
archive_empty | error | empty archive | empty archives |
    download it again, or look at what is inside
nothing_usable | error | species without a usable photo | species without a usable photo |
    see the other findings
repeated_id | error | id in two places | ids in two places | remove one of the two
wrong_crc | error | member with a wrong CRC | members with a wrong CRC | download the archive again
foreign_archive | warning | archive of another task | archives of another task |
    read it with boxes_as if it belongs here
image_lost | warning | image that lost all its boxes | images that lost all their boxes |
    correct its label; it is left out
label_unreadable | warning | label unreadable | labels unreadable | repair or remove the member
label_incomplete | warning | label without label_info | labels without label_info |
    repair or remove the member
image_unreadable | warning | image unreadable | images unreadable | replace or remove the member
image_too_large | warning | image above 100 megapixels | images above 100 megapixels |
    scale it down or remove it
image_without_label | warning | image without label | images without label |
    add its label, or remove the image
label_without_image | warning | label without image | labels without image |
    add its image, or remove the label
size_differs | warning | size that differs from the JPEG | sizes that differ from the JPEG |
    correct width and height
box_not_numbers | warning | box that is not four numbers | boxes that are not four numbers |
    correct it
box_inverted | warning | box without area | boxes without area |
    correct it: bbox is [x1, y1, x2, y2]
box_outside | warning | box outside the frame | boxes outside the frame | correct or remove it
box_clipped | warning | box clipped to the frame | boxes clipped to the frame |
    correct it if it matters
box_duplicated | note | repeated box | repeated boxes | remove the copy; it is kept in the tables
class_unknown | warning | box of an unknown class | boxes of unknown classes |
    name the class in species.yaml, or on the spot: --classes pig=hog,piglet
class_unwanted | note | box of a class that is not wanted | boxes of classes that are not wanted |
    nothing to do: they are left out
group_box | note | box around a group (iscrowd) | boxes around groups (iscrowd) |
    label the animals one by one: the box is left out
box_turned | note | turned box | turned boxes | nothing to do: the upright box around it counts
box_scaled | warning | photo labelled at another size | photos labelled at another size |
    nothing to do, the boxes are scaled; correct width and height if that is wrong
frame_differs | warning | photo labelled on another frame | photos labelled on another frame |
    label it again as a viewer shows it: it is left out
annotators | note | photo of several annotators | photos of several annotators |
    the newest annotation counts, unless `annotators` (--annotators) says union or refuse
in_two_parts | warning | photo in two parts of the data | photos in two parts of the data |
    remove it from one; the first of train, valid and test counts
image_unlabelled | note | photo without a label file | photos without a label file |
    nothing to do if it shows no animals, as it then counts; else label or remove it
labels_empty | warning | empty label file of CVAT | empty label files of CVAT |
    if the photos show animals export them as COCO: YOLO 1.1 leaves turned boxes out
image_truncated | warning | truncated image | truncated images | replace it: its lower part is grey
image_duplicated | warning | copy of another image | copies of other images |
    keep the two in one fold, or remove one
image_near_duplicate | note | near-duplicate image | near-duplicate images |
    split by groups (lu.lookalikes)
name_differs | note | file_name of another image | file_names of other images | correct file_name
validation_left_out | note | Validation archive left out | Validation archives left out |
    read it with include_validation=True
other_files | note | member of another type | members of other types | nothing to do: it is not read
unknown_archive | note | archive not recognised | archives not recognised |
    if it counts, name it by 원천 or 라벨 (or TS_, TL_, VS_, VL_) and the species"""
"""Kind and the fields of `Kind`; an indented line goes on with the one above."""

KINDS = {
    name.strip(): Kind(*map(str.strip, texts))
    for name, *texts in (row.split("|") for row in re.split(r"\n(?! )", _TABLE))
}
"""Every kind of finding; the order is that of the report."""

COLUMNS = ["kind", "severity", "archive", "member", "image_id", "value", "message", "advice"]
"""Columns of the report; `value` counts what the row stands for (boxes, members, 1)."""


class Findings:
    """Collects findings; an error is raised at once unless `collect_errors`."""

    def __init__(self, collect_errors: bool = False):
        """Start empty."""
        self.collect_errors = collect_errors
        self.rows: list[dict] = []

    def add(
        self,
        kind: str,
        message: str,
        archive: str = "",
        member: str = "",
        image_id: str = "",
        value: int = 1,
        advice: str = "",
    ) -> None:
        """Record one finding; an error raises ArchiveError unless errors are collected."""
        advice = advice or KINDS[kind].advice
        if KINDS[kind].severity == "error" and not self.collect_errors:
            raise ArchiveError(message, advice)
        row = [kind, KINDS[kind].severity, archive, member, image_id, value, message, advice]
        self.rows.append(dict(zip(COLUMNS, row, strict=True)))

    def add_member(
        self, kind: str, archive: str, member: str, image_id: str, what: str, value: int = 1
    ) -> None:
        """Record `what` is wrong with one member of an archive, as `add` does."""
        self.add(kind, f"{place_of(archive, member)}: {what}", archive, member, image_id, value)

    def add_error(
        self, kind: str, error: ArchiveError, archive: str, member: str = "", image_id: str = ""
    ) -> None:
        """Record an ArchiveError, with its advice if it gives one, as a finding of `kind`."""
        self.add(kind, error.what, archive, member, image_id, advice=error.advice)

    def summary(self, severity: str = "warning", but: str = "") -> str:
        """ "3 boxes clipped to the frame, 1 image without label", "" if there is nothing of that
        severity `but` of one kind."""
        counts: Counter[str] = Counter()
        for row in self.rows:
            counts[row["kind"]] += row["value"]
        words = [
            f"{counts[name]:,} {kind.singular if counts[name] == 1 else kind.plural}"
            for name, kind in KINDS.items()
            if kind.severity == severity and counts[name] and name != but
        ]
        return ", ".join(words)

    def first(self) -> str:
        """ "message; advice" of the first warning."""
        told = (r for r in self.rows if r["severity"] == "warning")
        return next((f"{r['message']}; {r['advice']}" for r in told), "")

    def table(self) -> pd.DataFrame:
        """All findings with `COLUMNS`: errors first, then as in `KINDS`, by archive and member."""
        severities = ["error", "warning", "note"]
        by_severity = sorted(KINDS, key=lambda name: severities.index(KINDS[name].severity))
        order = {name: place for place, name in enumerate(by_severity)}
        rows = sorted(self.rows, key=lambda r: (order[r["kind"]], r["archive"], r["member"]))
        return pd.DataFrame(rows, columns=COLUMNS).astype({"value": int})
