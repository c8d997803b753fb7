"""The text and JSON that the command `check` prints."""

import json

import pandas as pd

from livestock_utils.data.aihub.integrity import Survey
from livestock_utils.data.findings import KINDS


def check_text(survey: Survey, rows_per_kind: int = 3) -> str:
    """What was found, then the findings by kind with their first rows, as plain text."""
    lines = ["archives" if len(survey.archives) else "archives: none"]
    for row in survey.archives.itertuples():
        unread = "" if row.is_read else "  left out (Validation)"
        what = f"{row.species:<4} {row.kind:<6} {row.form:<6} {row.files:>7,} files"
        lines.append(f"  {what} {row.megabytes:>9,.1f} MB  {row.archive}{unread}")
    lines += ["", "usable" if len(survey.images) or len(survey.test_images) else "usable: nothing"]
    for name, part in [("training", survey.images), ("test", survey.test_images)]:
        if len(part):
            counts = part["species"].value_counts()
            images = ", ".join(f"{count:,} {name or 'of none'}" for name, count in counts.items())
            boxes = f", {len(survey.boxes):,} boxes" if name == "training" else ""
            lines.append(f"  {name}: {len(part):,} images ({images}){boxes}")
    lines += ["", "findings" if len(survey.findings) else "findings: none"]
    for kind, rows in survey.findings.groupby("kind", sort=False):
        count, texts = int(rows["value"].sum()), KINDS[str(kind)]
        plural = texts.singular if count == 1 else texts.plural
        same, told = rows["advice"].nunique() == 1, rows["message"]
        advice = f"; {rows['advice'].iloc[0]}" if same else ""
        lines.append(f"  {texts.severity}: {count:,} {plural}{advice}")
        told = told if same else told + "; " + rows["advice"]
        lines += [f"    {message}" for message in told.head(rows_per_kind)]
        if len(rows) > rows_per_kind:
            lines.append(f"    and {len(rows) - rows_per_kind:,} more (--all lists them)")
    return "\n".join(lines)


def check_json(survey: Survey) -> str:
    """The same as JSON: archives, counts, and all findings."""
    value = {
        "archives": _records(survey.archives),
        "images": len(survey.images),
        "boxes": len(survey.boxes),
        "test_images": len(survey.test_images),
        "findings": _records(survey.findings),
    }
    return json.dumps(value, ensure_ascii=False, indent=2)


def _records(table: pd.DataFrame) -> list[dict]:
    return json.loads(table.to_json(orient="records", force_ascii=False))
