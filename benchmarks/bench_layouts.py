"""16,455 labelled photos in COCO, YOLO and VOC -> tables, beside public readers, each in a process
of its own: seconds of CPU without imports, peak memory (aim: at least as fast, below 500 MB).

Readers that are not installed are left out: `pip install globox supervision pycocotools`. Ours
looks at every photo's header, as boxes are of the true frame; it is also timed with the readers'
own kind of work alone, the labels (`labels only`).
"""

import argparse
import importlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from PIL import Image

N_IMAGES, FRAME = 16_455, (1920, 1080)
VOC = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
READERS = {
    "ours": "livestock_utils.data.layouts.reading",
    "ours, labels only": "livestock_utils.data.layouts.reading",
    "globox": "globox",
    "supervision": "supervision",
    "pycocotools": "pycocotools.coco",
}
"""Reader -> what it imports, before the clock starts."""


def write(folder: Path, n_images: int) -> None:
    """The same boxes in three layouts over the same photos, which are links to one file."""
    draw, grey = random.Random(0), BytesIO()
    Image.new("L", FRAME, 128).save(grey, "JPEG", quality=1)
    for name in ("coco/images", "yolo/images", "yolo/labels", "voc/JPEGImages", "voc/Annotations"):
        (folder / name).mkdir(parents=True)
    photo = folder / "photo.jpg"
    images, annotations = [], []
    for number in range(n_images):
        if number % 20_000 == 0:  # a file has only so many links
            photo = folder / f"photo_{number}.jpg"
            photo.write_bytes(grey.getvalue())
        name = f"livestock_{number:06d}"
        for place in ("coco/images", "yolo/images", "voc/JPEGImages"):
            os.link(photo, folder / place / f"{name}.jpg")
        size = {"width": FRAME[0], "height": FRAME[1]}
        images.append({"id": number, "file_name": f"{name}.jpg", **size})
        rows, objects = [], []
        for _ in range(draw.randint(1, 12)):
            x, y, w, h = (
                draw.randint(*ends) for ends in ((0, 1500), (0, 800), (30, 400), (30, 250))
            )
            kind = draw.randint(0, 1)
            box = {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "category_id": kind}
            annotations.append({"id": len(annotations), "image_id": number, **box})
            shares = ((x + w / 2) / FRAME[0], (y + h / 2) / FRAME[1], w / FRAME[0], h / FRAME[1])
            rows.append(f"{kind} {' '.join(f'{share:.6f}' for share in shares)}\n")
            objects.append(
                VOC.format(("pig", "cow")[kind], x, y, x + w, y + h) + "</bndbox></object>"
            )
        (folder / "yolo" / "labels" / f"{name}.txt").write_text("".join(rows))
        sides = f"<size><width>{FRAME[0]}</width><height>{FRAME[1]}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.jpg</filename>{sides}{''.join(objects)}</annotation>"
        (folder / "voc" / "Annotations" / f"{name}.xml").write_text(text)
    categories = [{"id": 0, "name": "pig"}, {"id": 1, "name": "cow"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "coco" / "labels.json").write_text(json.dumps(content))
    (folder / "yolo" / "data.yaml").write_text("train: images\nval: images\nnames: [pig, cow]\n")


def read(reader: str, layout: str, folder: Path) -> int:
    """Read one layout by one reader -> the number of boxes."""
    photos, yolo, voc = folder / "images", folder / "labels", folder / "Annotations"
    if reader == "ours":
        import livestock_utils as lu

        return len(lu.read_photos(folder).boxes)
    if reader.startswith("ours"):
        from livestock_utils.data.aihub.reading import uncollected
        from livestock_utils.data.findings import Findings
        from livestock_utils.data.layouts import labels, reading

        found = reading.find(folder, layout)
        said = labels.Labels(found.folder, Findings())
        with uncollected():
            for path in found.sources:
                reading.LAYOUTS[layout].add(said, path, labels.relative(path, found.folder))
        return len(said.name)
    if reader == "globox":
        from globox import AnnotationSet

        made = {
            "coco": lambda: AnnotationSet.from_coco(folder / "labels.json"),
            "yolo": lambda: AnnotationSet.from_yolo_v5(folder=yolo, image_folder=photos),
            "voc": lambda: AnnotationSet.from_pascal_voc(voc),
        }[layout]()
        return sum(len(one.boxes) for one in made)
    if reader == "supervision":
        from supervision import DetectionDataset as Dataset

        data, file = str(folder / "data.yaml"), str(folder / "labels.json")
        made = {
            "coco": lambda: Dataset.from_coco(str(photos), file),
            "yolo": lambda: Dataset.from_yolo(str(photos), str(yolo), data),
            "voc": lambda: Dataset.from_pascal_voc(str(folder / "JPEGImages"), str(voc)),
        }[layout]()
        return sum(len(one) for one in made.annotations.values())
    if layout != "coco":
        raise ImportError("reads COCO only")
    from pycocotools.coco import COCO

    return len(COCO(str(folder / "labels.json")).anns)


def main() -> None:
    """Print a row for each layout and reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=N_IMAGES)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--one", nargs=3, metavar=("READER", "LAYOUT", "FOLDER"))
    options = parser.parse_args()
    if options.one:
        reader, layout, folder = options.one
        importlib.import_module(READERS[reader])
        start = time.process_time()
        boxes = read(reader, layout, Path(folder))
        took = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stderr.write(json.dumps([took, peak, boxes]))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.images)
        print(f"{options.images:,} photos, best of {options.rounds}")
        for layout in ("coco", "yolo", "voc"):
            for reader in READERS:
                command = [sys.executable, __file__, "--one", reader, layout, f"{folder}/{layout}"]
                runs = [
                    subprocess.run(command, text=True, capture_output=True)
                    for _ in range(options.rounds)
                ]
                if any(run.returncode for run in runs):
                    why = runs[0].stderr.strip().splitlines()[-1]
                    print(f"{layout:5} {reader:18} left out ({why[:60]})")
                    continue
                found = [json.loads(run.stderr.splitlines()[-1]) for run in runs]
                took, peak, boxes = min(found)
                print(f"{layout:5} {reader:18} {took:6.2f} s {peak:6.0f} MB {boxes:,} boxes")


if __name__ == "__main__":
    main()
