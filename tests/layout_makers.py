"""Three photos labelled in each layout, as plain files that a test can bend before reading."""

import json
from pathlib import Path

from archive_makers import jpeg

import livestock_utils as lu

SIZES = {"a": (64, 48), "b": (80, 60), "c": (64, 48)}
BOXES = [
    ("a", "pig", (4.0, 6.0, 20.0, 30.0)),
    ("a", "cow", (10.0, 10.5, 30.0, 40.0)),
    ("a", "cow", (30.0, 8.0, 60.0, 44.0)),
    ("b", "pig", (8.0, 6.0, 40.0, 30.0)),
]
"""Photo, class, corners in px; c has none."""
CLASSES = ("pig", "cow")


def sample(folder: Path) -> Path:
    """A small drawn sample in AI Hub's layout; one of its photos has no box."""
    return lu.write_sample(folder, n_images=30, n_test_images=4, scale=0.15)


def photos(folder: Path, names: str = "abc") -> Path:
    for shade, name in enumerate(names):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(SIZES.get(name, (64, 48)), shade=40 * shade))
    return folder


def yolo_lines(name: str) -> str:
    width, height = SIZES[name]
    lines = []
    for photo, kind, (x0, y0, x1, y1) in BOXES:
        if photo == name:
            shares = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height
            shares += (x1 - x0) / width, (y1 - y0) / height
            lines.append(f"{CLASSES.index(kind)} {' '.join(map(repr, shares))}\n")
    return "".join(lines)


def yolo(folder: Path, described: str = "train: images\nval: []\nnames: [pig, cow]\n") -> Path:
    photos(folder / "images")
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    for name in SIZES:
        (folder / "labels" / f"{name}.txt").write_text(yolo_lines(name))
    (folder / "data.yaml").write_text(described)
    return folder


def coco_content() -> dict:
    ids = {name: number for number, name in enumerate(SIZES, start=11)}
    return {
        "images": [
            {"id": ids[name], "file_name": f"{name}.jpg", "width": size[0], "height": size[1]}
            for name, size in SIZES.items()
        ],
        "categories": [{"id": 5, "name": "pig"}, {"id": 2, "name": "cow"}],
        "annotations": [
            {
                "id": number,
                "image_id": ids[name],
                "category_id": {"pig": 5, "cow": 2}[kind],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
            }
            for number, (name, kind, (x0, y0, x1, y1)) in enumerate(BOXES)
        ],
    }


def coco(folder: Path, content: dict | None = None) -> Path:
    photos(folder / "images")
    (folder / "labels.json").write_text(json.dumps(content or coco_content()))
    return folder


def voc_text(name: str, **changes: str) -> str:
    """The XML of a photo, with texts of its first box (xmin, ...) or of itself changed."""
    width, height = SIZES[name]
    said = {"filename": f"{name}.jpg", "width": str(width), "height": str(height)} | changes
    objects = []
    for photo, kind, corners in BOXES:
        if photo == name:
            sides = dict(zip(("xmin", "ymin", "xmax", "ymax"), map(str, corners), strict=True))
            sides |= {} if objects else {key: changes[key] for key in sides if key in changes}
            box = "".join(f"<{key}>{value}</{key}>" for key, value in sides.items())
            objects.append(f"<object><name>{kind}</name><bndbox>{box}</bndbox></object>")
    size = f"<size><width>{said['width']}</width><height>{said['height']}</height></size>"
    named = f"<filename>{said['filename']}</filename>"
    return f"<annotation>{named}{size}{''.join(objects)}</annotation>"


def voc(folder: Path) -> Path:
    photos(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    for name in SIZES:
        (folder / "Annotations" / f"{name}.xml").write_text(voc_text(name))
    return folder


def cvat_text(first: str = "") -> str:
    """The XML of all photos; `first` stands in place of the first box."""
    images = []
    for name, (width, height) in SIZES.items():
        shapes = [
            f'<box label="{kind}" xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"/>'
            for photo, kind, (x0, y0, x1, y1) in BOXES
            if photo == name
        ]
        if name == "a" and first:
            shapes[0] = first
        about = f'id="0" name="{name}.jpg" width="{width}" height="{height}"'
        images.append(f"<image {about}>{''.join(shapes)}</image>")
    meta = "<version>1.1</version><meta><task><name>barn</name></task></meta>"
    return f"<annotations>{meta}{''.join(images)}</annotations>"


def cvat(folder: Path, text: str = "") -> Path:
    photos(folder / "images")
    (folder / "annotations.xml").write_text(text or cvat_text())
    return folder


def label_studio_content() -> list:
    tasks = []
    for number, (name, (width, height)) in enumerate(SIZES.items()):
        result = [
            {
                "type": "rectanglelabels",
                "original_width": width,
                "original_height": height,
                "value": {
                    "x": x0 / width * 100,
                    "y": y0 / height * 100,
                    "width": (x1 - x0) / width * 100,
                    "height": (y1 - y0) / height * 100,
                    "rotation": 0,
                    "rectanglelabels": [kind],
                },
            }
            for photo, kind, (x0, y0, x1, y1) in BOXES
            if photo == name
        ]
        place = f"/data/upload/1/0123abcd-{name}.jpg"
        annotation = {"id": number, "was_cancelled": False, "result": result}
        tasks.append({"id": number, "data": {"image": place}, "annotations": [annotation]})
    return tasks


def label_studio(folder: Path, content: list | None = None) -> Path:
    photos(folder / "images")
    (folder / "project.json").write_text(json.dumps(content or label_studio_content()))
    return folder


LAYOUTS = {"yolo": yolo, "coco": coco, "voc": voc, "cvat": cvat, "label_studio": label_studio}
