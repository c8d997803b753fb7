"""The README's two pictures and its numbers of the drawn sample, each from files that are there.

    python benchmarks/draw_readme.py                       the plot, from benchmarks/results
    python benchmarks/draw_readme.py --run runs/sample     also the photos and results/sample.json
    python benchmarks/draw_readme.py --run ... --lines     also runs the README's Python (minutes)

`make notebooks` calls the second after its run. The photos are drawn ones: no photo of a real barn
may be shown.
"""

import argparse
import contextlib
import io
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

import livestock_utils as lu
from livestock_utils.core import files
from livestock_utils.core.boxes import XYXY, iou_matrix
from livestock_utils.core.errors import NotebookError
from livestock_utils.core.photos import Photos
from livestock_utils.core.reading import read_json
from livestock_utils.core.species import by_name
from livestock_utils.detect.predict import postprocess
from livestock_utils.show.plots import gallery, style

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FIGURES = ROOT / "notebooks" / "figures"
KEPT = {
    "05_train_multilabel_split": (
        "mAP50",
        "mAP75",
        "mAP50-95",
        "mAP75_pig",
        "mAP75_cow",
        "mAP75_complete",
    ),
    "10_train_expanded": ("difference", "low", "high"),
    "11_inference": (
        *("mAP50", "mAP75", "mAP75_low", "mAP75_high", "mAP75_pig", "mAP75_cow", "valid_mAP75"),
        *("elsewhere_difference", "elsewhere_low", "elsewhere_high", "elsewhere_images"),
    ),
}
"""Notebook -> its numbers that the README and docs/ say."""
BARS = (
    ("plain yolov5, 15 epochs", "accuracy", "plain yolov5"),
    ("this project, 15 epochs", "accuracy", "auto"),
    ("20 epochs (as long as plain)", "accuracy", "auto, plain's seconds"),
    ("this project, untuned", "postprocess", "NMS .68"),
    ("… tuned, one pass", "postprocess", "chosen, one pass, re-scored where it paid"),
    ("… tuned, up to six passes", "postprocess", "chosen, passes, re-scored where it paid"),
)
"""Label, file and its row of each bar."""
MISSED = "#000000"


def bars() -> pd.DataFrame:
    """label, file, value, low, high of each bar: mean and range of the seeds, or the mean of four
    networks and the interval of its gain over the first of them (none for the first)."""
    accuracy = pd.read_csv(RESULTS / "accuracy.csv").query("plan == 'final'").groupby("way")["AP75"]
    after = pd.read_csv(RESULTS / "postprocess.csv").set_index("how")
    rows = []
    for label, file, way in BARS:
        if file == "accuracy":
            found = accuracy.get_group(way)
            row = found.mean(), found.min(), found.max()
        else:
            base = after.at["NMS .68", "AP75"]
            row = (after.at[way, "AP75"], *(base + after.loc[way, ["low", "high"]]))
        rows.append((label, file, *map(float, row)))
    return pd.DataFrame(rows, columns=["label", "file", "value", "low", "high"])


def draw_bars(path: Path) -> None:
    """Plain yolov5 against this project on the same real photos."""
    table = bars()
    place = np.arange(len(table)) + 0.7 * (table["file"] == "postprocess")
    tones = [style.NEUTRAL if "plain" in label[:5] else style.LINES[0] for label in table["label"]]
    fig, ax = plt.subplots(figsize=(4.8, 3.6))  # read on a phone, where all shrinks
    ax.barh(place, table["value"], height=0.72, color=tones)
    spread = [table["value"] - table["low"], table["high"] - table["value"]]
    ax.errorbar(table["value"], place, xerr=spread, fmt="none", ecolor=style.INK, capsize=3)
    for y, value, high in zip(place, table["value"], table["high"], strict=True):
        ax.text(high + 0.012, y, f"{value:.3f}", va="center", fontweight="bold")
    heads = "427 photos; lines: range of 3 seeds", "four fifths; lines: 95 % interval"
    for y, head in zip((-0.68, 3.02), heads, strict=True):
        ax.text(0.004, y, head, va="center", color=style.MUTED, fontsize=9)
    ax.set_yticks(place, table["label"])
    ax.set(xlim=(0, 0.68), ylim=(6.2, -1.05), xlabel="AP75, 88 held-out photos")
    ax.grid(visible=False)
    ax.tick_params(left=False)
    fig.savefig(path, dpi=213)
    plt.close(fig)
    Image.open(path).convert("RGB").quantize(48).save(path, optimize=True)


def test_photos(data: Path) -> Photos:
    """The test photos with their answers in px; those stand in the contest's frames."""
    photos = lu.read_test_archives(data / "data_test")
    answers = pd.read_csv(data / "answer.csv")
    boxes = pd.DataFrame({"image_id": answers["ImageID"].str[:-4], "species": answers["LabelName"]})
    frames = np.array([by_name(name).contest_size_px for name in boxes["species"]])
    for name, side, share in zip(XYXY, (0, 1, 0, 1), ("XMin", "YMin", "XMax", "YMax"), strict=True):
        boxes[name] = answers[share].to_numpy() * frames[:, side]
    return photos.with_boxes(boxes)


def judge(photos: Photos, found: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The answers with `hit` and the predictions with `right`: IoU of .75 with one of the class."""
    answers, found = photos.boxes.assign(hit=False), found.assign(right=False)
    for key, mine in found.groupby(["image_id", "species"]):
        theirs = answers[(answers[["image_id", "species"]] == list(key)).all(axis=1)]
        if theirs.empty:
            continue
        good = iou_matrix(mine[[*XYXY]].to_numpy(), theirs[[*XYXY]].to_numpy()) >= 0.75
        found.loc[mine.index, "right"] = good.any(axis=1)
        answers.loc[theirs.index, "hit"] = good.any(axis=0)
    return answers, found


def draw_result(run: Path, data: Path, path: Path) -> dict[str, int]:
    """One test photo a species, the fullest that holds a miss; returns what all of them hold."""
    photos, file = test_photos(data), run / "predictions" / "settings.yaml"
    weights = run / "training" / "full" / "weights" / "best.pt"
    settings = postprocess.load_settings(file, "looking")
    found = lu.predict(
        weights, photos, settings=settings, image_size=postprocess.load_image_size(file)
    ).reset_index(drop=True)
    answers, found = judge(photos, found)
    chosen = []
    for name in ("pig", "cow"):
        of_image = answers[answers["species"] == name].groupby("image_id")["hit"]
        table = of_image.agg(["count", "sum"]).query("count > sum")
        if table.empty:
            raise NotebookError(
                f"{run}: nothing is missed on a photo of a {name}; take another run"
            )
        chosen.append(table.sort_values("count", kind="stable").index[-1])

    fig, axes = plt.subplots(1, 2, figsize=(6.4, 2.55))
    sizes = photos.images.set_index("image_id")
    with photos.reader() as reader:
        for image_id, ax in zip(chosen, axes, strict=True):
            row, seen = sizes.loc[image_id], found[found["image_id"] == image_id]
            picture = gallery.read_photo(reader, row["archive"], row["member"], 1280)
            right = seen[seen["right"]].drop(columns="confidence")
            gallery.photo(picture, row["width_px"], row["height_px"], right, ax)
            here = answers[(answers["image_id"] == image_id) & ~answers["hit"]]
            marks = [(box, style.colour(box["species"]), ":") for _, box in seen.iterrows()]
            marks = [mark for mark in marks if not mark[0]["right"]]
            for box, tone, line in [*marks, *((box, MISSED, "--") for _, box in here.iterrows())]:
                x, y, x_max, y_max = box[[*XYXY]]
                for ink, width, dashes in (("white", 2.6, "-"), (tone, 1.6, line)):
                    shape = Rectangle((x, y), x_max - x, y_max - y, fill=False, ec=ink)
                    shape.set(lw=width, ls=dashes)
                    ax.add_patch(shape)
    keys = [
        Line2D([], [], color=style.colour("pig"), lw=2, label="pig found"),
        Line2D([], [], color=style.colour("cow"), lw=2, label="cow found"),
        Line2D([], [], color=style.INK, lw=2, ls=":", label="box too loose (IoU < .75)"),
        Line2D([], [], color=MISSED, lw=2, ls="--", label="true box, missed at .75"),
    ]
    fig.legend(handles=keys, loc="outside lower center", ncols=2, frameon=False, fontsize=10.5)
    fig.savefig(path, dpi=190, pil_kwargs={"quality": 78, "optimize": True})
    plt.close(fig)
    return {
        "images": len(photos.images),
        "animals": len(answers),
        "missed": int((~answers["hit"]).sum()),
        "boxes": len(found),
        "right": int(found["right"].sum()),
    }


def numbers(run: Path) -> dict[str, dict[str, float]]:
    """What the README says of a run, from its metrics.json."""
    metrics = read_json(run / "metrics.json", NotebookError, "run the sample first")
    kept = {name: {key: metrics[name][key] for key in keys} for name, keys in KEPT.items()}
    edge = metrics["13_edge_export"]
    asked = edge["recommended"], edge["recommended_image_size"]
    row = next(row for row in edge["table"] if (row["export"], row["image_size"]) == asked)
    shown = "export", "image_size", "size_mb", "whole_ms", "AP75"
    return kept | {"13_edge_export": {key: row[key] for key in shown} | {"images": edge["images"]}}


def lines() -> str:
    """What the README's Python prints."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    with contextlib.redirect_stdout(io.StringIO()) as told:
        exec(code, {})
    return "".join(f"{line.rstrip()}\n" for line in told.getvalue().splitlines())


def main() -> None:
    """Draw and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="a finished run of the sample")
    parser.add_argument("--data", type=Path, default=Path("data/sample"))
    parser.add_argument("--lines", action="store_true", help="run the README's lines of Python")
    options = parser.parse_args()
    style.theme()
    FIGURES.mkdir(exist_ok=True)
    draw_bars(FIGURES / "against_yolov5.png")
    if options.run:
        kept = numbers(options.run)
        seen = draw_result(options.run, options.data, FIGURES / "result.jpg")
        files.write_json(RESULTS / "sample.json", {**kept, "for looking, test": seen})
    if options.lines:
        files.write_text(RESULTS / "readme_lines.txt", lines())


if __name__ == "__main__":
    main()
