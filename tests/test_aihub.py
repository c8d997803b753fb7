import contextlib
import logging
import os
import stat
import unicodedata
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import archive_makers as make
import numpy as np
import pandas as pd
import pytest
from archive_makers import COW, PIG
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livestock_utils.core.archives import ImageReader
from livestock_utils.core.errors import ArchiveError
from livestock_utils.data.aihub import folder as data_folder
from livestock_utils.data.aihub import integrity, reading
from livestock_utils.data.aihub import names as archive_names
from livestock_utils.data.aihub.integrity import check
from livestock_utils.data.findings import Findings

PIGS, COWS = "[원천]돼지_bbox.zip", "[원천]소_bbox.zip"
PIG_LABELS, COW_LABELS = "[라벨]돼지_bbox.zip", "[라벨]소_bbox.zip"
COW_2 = f"{COW[:-1]}2"


def rename(archives, **new_names):
    old = {"pigs": PIGS, "cows": COWS, "pig_labels": PIG_LABELS, "cow_labels": COW_LABELS}
    new = {old[key]: name for key, name in new_names.items()}
    return {new.get(name, name): members for name, members in archives.items()}


# ---- the tables ----


def test_tables(tmp_path):
    photos = data_folder.read_archives(make.write(tmp_path, make.four_archives()))
    images, boxes = photos.images, photos.boxes
    assert images.columns.tolist() == [
        "image_id",
        "species",
        "width_px",
        "height_px",
        "archive",
        "member",
    ]
    assert images["image_id"].tolist() == [COW, COW_2, PIG, f"{PIG[:-1]}2"]
    assert images["species"].tolist() == ["cow", "cow", "pig", "pig"]
    assert images[["width_px", "height_px"]].values.tolist() == [
        [64, 48],
        [80, 60],
        [64, 48],
        [64, 48],
    ]
    assert images.loc[0, ["archive", "member"]].tolist() == [COWS, f"{COW}.jpg"]
    assert boxes.columns.tolist() == ["image_id", "species", "x_min", "y_min", "x_max", "y_max"]
    assert boxes.values.tolist() == [
        [COW, "cow", 3.5, 4, 20, 30],
        [PIG, "pig", 1, 2, 11, 22],
        [PIG, "pig", 5, 6, 30, 40],
        [f"{PIG[:-1]}2", "pig", 0, 0, 64, 48],
    ]
    for table in (images, boxes):
        assert table.index.equals(pd.RangeIndex(len(table)))


def test_no_boxes_at_all_keep_the_columns_and_types(tmp_path):
    archives = make.four_archives()
    for name in (PIG_LABELS, COW_LABELS):
        archives[name] = {
            member: make.label(
                [], size=(80, 60) if "02" in member and "cow" in member else make.SIZE
            )
            for member in archives[name]
        }
    findings = Findings(collect_errors=True)
    with ImageReader(make.write(tmp_path, archives)) as reader:
        images, boxes = reading.read_tables(reader, findings)
    assert [row["kind"] for row in findings.rows if row["severity"] == "error"] == [
        "nothing_usable"
    ]
    assert len(images) == 4 and len(boxes) == 0
    assert boxes.columns.tolist() == ["image_id", "species", "x_min", "y_min", "x_max", "y_max"]
    assert boxes["x_min"].dtype == float


def test_test_archives_need_no_labels(tmp_path):
    archives = {name: members for name, members in make.four_archives().items() if "원천" in name}
    images = data_folder.read_test_archives(make.write(tmp_path, archives)).images
    assert images["image_id"].tolist() == [COW, COW_2, PIG, f"{PIG[:-1]}2"]
    assert images.loc[1, ["width_px", "height_px"]].tolist() == [80, 60]


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (b"", [0, 0]),
        (b"GIF? no", [0, 0]),
        (make.jpeg()[:30], [0, 0]),
        (make.png_header(20_000, 5_001), [0, 0]),
        (make.jpeg()[:-30], [64, 48]),
    ],
)
def test_no_test_image_is_left_out(tmp_path, caplog, content, size):
    archives = {name: members for name, members in make.four_archives().items() if "원천" in name}
    archives[COWS][f"{COW}.jpg"] = content
    images = data_folder.read_test_archives(make.write(tmp_path, archives)).images
    assert images["image_id"].tolist() == [COW, COW_2, PIG, f"{PIG[:-1]}2"]
    assert images.loc[0, ["width_px", "height_px"]].tolist() == size
    assert ("kept as empty: 1 image" in caplog.text) == (size == [0, 0])


def test_exif_rotation_counts_as_opencv_and_yolov5_show_it(tmp_path):
    archives = make.four_archives()
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    archives[COWS][f"{COW}.jpg"] = make.jpeg((48, 64), exif=exif)
    images = data_folder.read_archives(make.write(tmp_path, archives), strict=True).images
    assert images.loc[0, ["width_px", "height_px"]].tolist() == [64, 48]


def test_headers_behind_large_metadata_are_found(tmp_path):
    archives = make.four_archives()
    archives[COWS][f"{COW}.jpg"] = make.jpeg(icc_profile=bytes(200_000))
    data_folder.read_archives(make.write(tmp_path, archives), strict=True)


# ---- archives as people have them: the same tables ----


def decomposed(archives):
    return {unicodedata.normalize("NFD", name): members for name, members in archives.items()}


def in_subfolders(archives):
    return {
        name: {f"a/나/{m}": d for m, d in members.items()} for name, members in archives.items()
    }


def upper_case(archives):
    return {
        n: {m.replace(".jpg", ".JPG"): d for m, d in members.items()}
        for n, members in archives.items()
    }


def with_bom(archives):
    for name in (PIG_LABELS, COW_LABELS):
        archives[name] = {member: b"\xef\xbb\xbf" + data for member, data in archives[name].items()}
    return archives


def in_cp949(archives):
    archives[COW_LABELS] = {
        m: d.decode().replace('"livestock"', '"가축"').encode("cp949")
        for m, d in archives[COW_LABELS].items()
    }
    return archives


def in_two_archives(archives):
    first, second = archives.pop(COWS).items()
    return archives | {"[원천]소_bbox_1.zip": dict([first]), "[원천]소_bbox_2.zip": dict([second])}


def extracted(archives):
    return {name.removesuffix(".zip"): members for name, members in archives.items()}


def extracted_beside_zip(archives):
    return archives | {PIGS.removesuffix(".zip"): archives[PIGS]}


def extracted_in_aihub_folders(archives):
    images = rename(archives, pigs="원천데이터/돼지", cows="원천데이터/소")
    return rename(images, pig_labels="라벨링데이터/돼지", cow_labels="라벨링데이터/소")


def by_letters(pigs, cows, pig_labels, cow_labels):
    """AI Hub's newer names instead of 원천 and 라벨."""
    return lambda archives: rename(
        archives, pigs=pigs, cows=cows, pig_labels=pig_labels, cow_labels=cow_labels
    )


def as_downloaded(archives):
    named = by_letters(
        "01.원천데이터/TS_돼지.zip",
        "01.원천데이터/TS_소.zip",
        "02.라벨링데이터/TL_돼지.zip",
        "02.라벨링데이터/TL_소.zip",
    )(archives)
    return {
        f"AI Hub/가축 행동 영상/01-1.정식개방데이터/Training/{name}": members
        for name, members in named.items()
    }


def with_validation_by_letters(archives):
    named = by_letters("TS_돼지.zip", "TS_소.zip", "TL_돼지.zip", "TL_소.zip")(archives)
    return named | {"VS_소.zip": {"v.jpg": make.jpeg()}, "VL_소.zip": {"v.json": make.label([])}}


def with_validation(archives):
    extra = {
        "[원천]소_bbox.zip": {"v.jpg": make.jpeg()},
        "[라벨]소_bbox.zip": {"v.json": make.label([])},
    }
    return archives | {f"Validation/{name}": members for name, members in extra.items()}


def training_and_validation_folders(archives):
    return {f"1.Training/{n}": m for n, m in archives.items()} | {
        "2.Validation/[원천]소.zip": {"v.jpg": make.jpeg()}
    }


def with_litter(archives):
    archives[COWS] |= {"__MACOSX/._x.jpg": b"", "._y.jpg": b"", "sub/": b"", "Thumbs.db": b"x"}
    return archives


@pytest.mark.parametrize(
    "bend",
    [
        decomposed,
        in_subfolders,
        upper_case,
        with_bom,
        in_cp949,
        in_two_archives,
        extracted,
        extracted_beside_zip,
        extracted_in_aihub_folders,
        with_validation,
        training_and_validation_folders,
        with_litter,
        lambda archives: rename(archives, pigs="[원천]돼재_bbox.zip"),
        lambda archives: rename(archives, cows="장소A [원천] 소.ZIP".replace("ZIP", "zip")),
        by_letters("TS_돼지.zip", "TS_소.zip", "TL_돼지.zip", "TL_소.zip"),
        by_letters(
            "원천데이터/TS_돼지.zip",
            "원천데이터/TS_소.zip",
            "라벨링데이터/TL_돼지.zip",
            "라벨링데이터/TL.소.zip",
        ),
        by_letters("TS1_돼지.zip", "TS02.소.zip", "TL1-돼지.zip", "TL2 소.zip"),
        by_letters("[TS]돼지.zip", "(TS)소.zip", "[TL1]돼지.zip", "(TL)소.zip"),
        by_letters("돼지/TS.zip", "소/TS.zip", "돼지/TL.zip", "소/TL.zip"),
        by_letters("TS/돼지.zip", "TS/소.zip", "TL/돼지.zip", "TL/소.zip"),
        by_letters("TS/돼지", "TS/소", "TL_돼지", "TL_소"),
        by_letters("VS_돼지.zip", "VS_한우.zip", "VL_돼지.zip", "VL_한우.zip"),
        lambda archives: decomposed(
            by_letters("TS_돼지.zip", "TS_소.zip", "TL_돼지.zip", "TL_소.zip")(archives)
        ),
        with_validation_by_letters,
        as_downloaded,
        lambda archives: archives | {"notes about 소.zip": {"x": b"x"}},
        lambda archives: {f"AI Hub/{name}": members for name, members in archives.items()},
    ],
)
def test_the_same_tables_from(bend, tmp_path, caplog):
    columns = ["image_id", "species", "width_px", "height_px"]
    plain = data_folder.read_archives(make.write(tmp_path / "plain", make.four_archives()))
    bent = data_folder.read_archives(
        make.write(tmp_path / "bent", bend(make.four_archives())), strict=True
    )
    images = bent.images
    pd.testing.assert_frame_equal(images[columns], plain.images[columns])
    pd.testing.assert_frame_equal(bent.boxes, plain.boxes)
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert all("include_validation=True reads them" in line for line in told)
    with ImageReader(tmp_path / "bent") as reader:
        for row in images.itertuples():
            assert reader.bytes(row.archive, row.member).startswith(b"\xff\xd8")


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_member_names_without_the_utf8_flag(encoding, tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    word = "소".encode(encoding)
    mark = b"Q" * len(word)
    packed = make.zip_bytes(
        {f"{mark.decode()}/{name}": data for name, data in make.four_archives()[COWS].items()}
    )
    (folder / COWS).write_bytes(packed.replace(mark + b"/", word + b"/"))
    images = data_folder.read_archives(folder, strict=True).images
    assert images.loc[0, "member"] == f"소/{COW}.jpg"
    with ImageReader(folder) as reader:
        assert reader.bytes(COWS, f"소/{COW}.jpg") == make.four_archives()[COWS][f"{COW}.jpg"]


@pytest.mark.parametrize("ending", [".part{}", ".00{}"])
def test_a_zip_in_parts_is_read_as_if_joined(ending, tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    whole = (folder / COWS).read_bytes()
    (folder / COWS).unlink()
    for number in range(3):
        part = whole[number * len(whole) // 3 : (number + 1) * len(whole) // 3]
        (folder / (COWS + ending.format(number + 1))).write_bytes(part)
    images = data_folder.read_archives(folder, strict=True).images
    assert images.loc[0, "archive"] == COWS
    with ImageReader(folder) as reader:
        assert reader.bytes(COWS, f"{COW_2}.jpg") == make.four_archives()[COWS][f"{COW_2}.jpg"]


def test_validation_archives_are_read_on_request_or_when_alone(tmp_path):
    folder = make.write(tmp_path / "both", with_validation(make.four_archives()))
    images = data_folder.read_archives(folder, include_validation=True).images
    assert "v" in images["image_id"].tolist()
    alone = make.write(
        tmp_path / "alone", {f"Validation/{n}": m for n, m in make.four_archives().items()}
    )
    assert len(data_folder.read_archives(alone)) == 4


def test_list_archives(tmp_path):
    folder = make.write(tmp_path, with_validation(make.four_archives()))
    table = integrity.list_archives(folder).set_index("archive")
    columns = ["kind", "species", "form", "files", "is_read"]
    assert table.loc[COWS, columns].tolist() == ["images", "cow", "zip", 2, True]
    assert not table.loc[f"Validation/{COWS}", "is_read"]
    assert len(table) == 6


def test_validation_letters_beside_training_ones_are_left_out_and_told(tmp_path, caplog):
    folder = make.write(tmp_path, with_validation_by_letters(make.four_archives()))
    images = data_folder.read_archives(folder).images
    assert "v" not in images["image_id"].tolist()
    assert "left out VL_소.zip, VS_소.zip; include_validation=True reads them" in caplog.text
    assert integrity.list_archives(folder).query("not is_read")["archive"].tolist() == [
        "VL_소.zip",
        "VS_소.zip",
    ]
    report = check(folder)
    assert report.loc[report["kind"] == "validation_left_out", "archive"].tolist() == [
        "VL_소.zip",
        "VS_소.zip",
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("TS_소.zip", ("images", "cow", False)),
        ("TL_돼지.zip", ("labels", "pig", False)),
        ("원천데이터/VS_소.zip", ("images", "cow", True)),
        ("라벨링데이터/VL_3_돼지.zip", ("labels", "pig", True)),
        ("소/[VL2]축사.zip", ("labels", "cow", True)),
        ("VL/소.zip", ("labels", "cow", True)),
        ("2.Validation/TS_소.zip", ("images", "cow", True)),
        ("라벨링데이터/[원천]소.zip", ("images", "cow", False)),
        ("TS_원천_소.zip", ("images", "cow", False)),
        ("[원천]VS_소.zip", ("images", "cow", False)),
        ("원천데이터/goaTS_소.zip", ("images", "cow", False)),
        ("ts_소.zip", "does not tell images (원천, TS_, VS_) from labels (라벨, TL_, VL_)"),
        ("goaTS_소.zip", "does not tell images"),
        ("pig_VS_소.zip", "does not tell images"),
        ("TSX_소.zip", "does not tell images"),
        ("VS_2023/소.zip", "does not tell images"),
        ("TS_양.zip", "does not tell one species"),
        ("원천데이터/TL_소.zip", "says both 원천 (images) and TL (labels)"),
        ("원천데이터/TL_소", "says both 원천 (images) and TL (labels)"),
        ("TS_라벨_소.zip", "says both 라벨 (labels) and TS (images)"),
        ("VL/[원천]소.zip", "says both 원천 (images) and VL (labels)"),
        ("TS_소.tar", "it is not a zip"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_a_name_tells(path, expected, form, tmp_path):
    target = tmp_path / unicodedata.normalize(form, path)
    target.parent.mkdir(exist_ok=True)
    target.touch() if target.suffix else target.mkdir()
    found, others = archive_names.find_archives(tmp_path)
    if isinstance(expected, tuple):
        assert [(one.path, one.kind, one.species, one.is_validation) for one in found] == [
            (path, *expected)
        ]
        assert others == {}
    else:
        assert found == []
        assert list(others) == [path] and expected in others[path]


# ---- errors that stop ----


def without(archives, *names):
    return {name: members for name, members in archives.items() if name not in names}


def repeat_in_species(archives):
    archives[PIGS][f"{COW}.jpg"] = make.jpeg()
    return archives


def repeat_in_subfolder(archives):
    archives[COWS][f"again/{COW}.jpg"] = make.jpeg()
    return archives


def repeat_label(archives):
    return archives | {"[라벨]소_bbox (1).zip": archives[COW_LABELS]}


def add_member(name):
    def bend(archives):
        archives[COWS][name] = make.jpeg()
        return archives

    return bend


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (
            lambda archives: {},
            r"lacks the images of pig .*found no archives; download what is missing",
        ),
        (
            lambda archives: without(archives, COW_LABELS),
            r"lacks the labels of cow \(\[라벨\]소...zip or TL_소...zip\); found .*원천",
        ),
        (
            lambda archives: without(archives, PIGS, PIG_LABELS),
            r"the images of pig .*, the labels of pig",
        ),
        (
            lambda archives: archives | {COWS: {}},
            r"소_bbox.zip is an empty archive; download it again",
        ),
        (
            lambda archives: archives | {COWS: {"readme.txt": b"x"}},
            r"소_bbox.zip holds no images \(.jpg or .jpeg\)",
        ),
        (
            lambda archives: without(archives, COWS) | {"[원천]소": {"a.txt": b""}},
            r"\[원천\]소 holds no images",
        ),
        (
            repeat_in_species,
            rf"image id {COW} is both in .*원천.* and in .*원천.*; remove one of the two",
        ),
        (repeat_in_subfolder, rf"{COW}.* is both in .* and in .*again/"),
        (repeat_label, rf"{COW} is both in .*라벨"),
        (
            add_member("../../evil.jpg"),
            r"소_bbox.zip, member '../../evil.jpg': the name leads outside",
        ),
        (add_member("/etc/evil.jpg"), r"member '/etc/evil.jpg': the name leads outside"),
        (add_member("C:\\evil.jpg"), r"leads outside"),
        (add_member("a\\..\\..\\evil.jpg"), r"leads outside"),
        (add_member("a\nb.jpg"), r"control characters"),
        (add_member("...jpg"), r"leads outside"),
    ],
)
def test_errors(bend, message, tmp_path):
    folder = make.write(tmp_path / "data", bend(make.four_archives()))
    folder.mkdir(exist_ok=True)
    with pytest.raises(ArchiveError, match=message) as caught:
        data_folder.read_archives(folder)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"not a zip at all",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-30],
        lambda whole: whole.replace(b"PK\x01\x02", b"PK\x09\x09"),
    ],
    ids=["empty file", "no zip", "half", "cut end", "bad directory"],
)
def test_broken_archives_are_named(damage, tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    (folder / COWS).write_bytes(damage((folder / COWS).read_bytes()))
    with pytest.raises(
        ArchiveError, match=r"소_bbox.zip is not a whole zip \(.*\); download it again"
    ):
        data_folder.read_archives(folder)


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o600, stat.S_IFIFO | 0o600])
def test_links_and_devices_are_refused(mode, tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    with zipfile.ZipFile(folder / COWS, "a") as archive:
        info = zipfile.ZipInfo("x.jpg")
        info.external_attr = mode << 16
        archive.writestr(info, b"/etc/passwd")
    with pytest.raises(ArchiveError, match=r"소_bbox.zip, member 'x.jpg': a link or device"):
        data_folder.read_archives(folder)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    which=st.sampled_from([COWS, COW_LABELS]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255))),
)
def test_random_damage_is_told_or_counted(which, flips, tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    whole = bytearray((folder / which).read_bytes())
    for where, change in flips:
        whole[int(where * (len(whole) - 1))] ^= change
    (folder / which).write_bytes(whole)
    check(folder)
    with contextlib.suppress(ArchiveError):
        photos = data_folder.read_archives(folder)
        images, boxes = photos.images, photos.boxes
        assert set(boxes["image_id"]) <= set(images["image_id"])


def test_a_zip_bomb_is_refused(tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    with zipfile.ZipFile(folder / COW_LABELS, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.json", bytes(20 << 20))
    with pytest.raises(
        ArchiveError, match=r"'bomb.json': 20,\d+ bytes unpack to 20,971,520 \(zip bomb\?\)"
    ):
        data_folder.read_archives(folder)


def test_an_encrypted_archive_is_refused(tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    whole = bytearray((folder / COWS).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(mark) + offset] |= 1
    (folder / COWS).write_bytes(whole)
    with pytest.raises(ArchiveError, match=r"소_bbox.zip, member .*: encrypted; extract"):
        data_folder.read_archives(folder)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "archive folder not found: .*nowhere; give the folder that holds the zips"),
        ("root/data/data", "archive folder not found: .*data/data; give .*/root, the folder above"),
        ("root", "is a data root, .*; give .*root/data or"),
    ],
)
def test_wrong_folders(path, message, tmp_path):
    make.write(tmp_path / "root/data", make.four_archives())
    for read in (data_folder.read_archives, data_folder.read_test_archives):
        with pytest.raises(ArchiveError, match=message):
            read(tmp_path / path)


# ---- faults that are counted ----


def cow_label(data):
    def bend(archives):
        archives[COW_LABELS][f"{COW}.json"] = data
        return archives

    return bend


def cow_boxes(*boxes, size=make.SIZE):
    return cow_label(make.label(list(boxes), size=size))


def cow_image(data):
    def bend(archives):
        archives[COWS][f"{COW}.jpg"] = data
        return archives

    return bend


def drop(archive, member):
    def bend(archives):
        del archives[archive][member]
        return archives

    return bend


GOOD = [1, 1, 9, 9]
OUT = "left out"


@pytest.mark.parametrize(
    ("bend", "kind", "told", "cow_left"),
    [
        (cow_label(b"{not json"), "label_unreadable", "1 label unreadable", OUT),
        (cow_label(b""), "label_unreadable", "1 label unreadable", OUT),
        (cow_label(b"[" * 100_000), "label_unreadable", "1 label unreadable", OUT),
        (cow_label(b"\xff\xfe\x00"), "label_unreadable", "1 label unreadable", OUT),
        (cow_label(b"{}"), "label_incomplete", "1 label without label_info", OUT),
        (cow_label(b"[]"), "label_incomplete", "1 label without label_info", OUT),
        (cow_label(b"null"), "label_incomplete", "1 label without label_info", OUT),
        (cow_label(b'{"label_info": {}}'), "label_incomplete", "1 label without label_info", OUT),
        (
            cow_label(b'{"label_info": {"annotations": {"a": 1}}}'),
            "label_incomplete",
            "1 label without",
            OUT,
        ),
        (drop(COW_LABELS, f"{COW}.json"), "image_without_label", "1 image without label", OUT),
        (drop(COWS, f"{COW}.jpg"), "label_without_image", "1 label without image", OUT),
        (cow_image(b""), "image_unreadable", "1 image unreadable", OUT),
        (cow_image(b"GIF? no"), "image_unreadable", "1 image unreadable", OUT),
        (cow_image(make.jpeg()[:30]), "image_unreadable", "1 image unreadable", OUT),
        (
            cow_image(make.png_header(20_000, 5_001)),
            "image_too_large",
            "1 image above 100 megapixels",
            OUT,
        ),
        (
            cow_boxes([float("nan"), 1, 2, 3], GOOD),
            "box_not_numbers",
            "1 box that is not four numbers",
            [GOOD],
        ),
        (
            cow_boxes([1, float("inf"), 2, 3], GOOD),
            "box_not_numbers",
            "1 box that is not four numbers",
            [GOOD],
        ),
        (cow_boxes([1, 2, 3], GOOD), "box_not_numbers", "1 box that is not four numbers", [GOOD]),
        (
            cow_boxes([1, 2, 3, 4, 5], [1, 2, 3], GOOD),
            "box_not_numbers",
            "2 boxes that are not four",
            [GOOD],
        ),
        (
            cow_boxes(None, "abcd", [None] * 4, {}, GOOD),
            "box_not_numbers",
            "4 boxes that are not",
            [GOOD],
        ),
        (
            cow_boxes([9, 1, 1, 9], [1, 5, 9, 5], GOOD),
            "box_inverted",
            "2 boxes without area",
            [GOOD],
        ),
        (
            cow_boxes([64, 0, 70, 9], [-9, 0, 0, 9], GOOD),
            "box_outside",
            "2 boxes outside the frame",
            [GOOD],
        ),
        (
            cow_boxes([-2, -3, 70, 50]),
            "box_clipped",
            "1 box clipped to the frame",
            [[0, 0, 64, 48]],
        ),
        (
            cow_boxes(GOOD, size=(128, 96)),
            "size_differs",
            "1 size that differs from the JPEG",
            [GOOD],
        ),
        (
            cow_boxes([1, 1, 100, 90], size=(128, 96)),
            "size_differs",
            "1 box clipped",
            [[1, 1, 64, 48]],
        ),
        (
            cow_boxes(GOOD, size=(None, "x")),
            "size_differs",
            "1 size that differs from the JPEG",
            [GOOD],
        ),
    ],
)
def test_faults(bend, kind, told, cow_left, tmp_path, caplog):
    folder = make.write(tmp_path, bend(make.four_archives()))
    photos = data_folder.read_archives(folder)
    images, boxes = photos.images, photos.boxes
    if cow_left is OUT:
        assert COW not in images["image_id"].tolist() + boxes["image_id"].tolist()
    else:
        assert (
            boxes.loc[
                boxes["image_id"] == COW, ["x_min", "y_min", "x_max", "y_max"]
            ].values.tolist()
            == cow_left
        )
    assert len(images) == (3 if cow_left is OUT else 4)
    warnings = [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    ]
    assert len(warnings) == 1 and told in warnings[0] and "\n" not in warnings[0]
    report = integrity.check(folder)
    rows = report[report["kind"] == kind]
    assert rows["severity"].tolist() == ["warning"] and rows["image_id"].tolist() == [COW]
    assert COW in rows["message"].iloc[0] and "소_bbox.zip" in rows["message"].iloc[0]
    with pytest.raises(ArchiveError, match=told) as caught:
        data_folder.read_archives(folder, strict=True)
    assert "first: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_label_member_with_a_wrong_crc_is_left_out(tmp_path, caplog):
    folder = make.write(tmp_path, make.four_archives())
    whole = (folder / COW_LABELS).read_bytes()
    (folder / COW_LABELS).write_bytes(whole.replace(b'"bbox": [3.5', b'"bbox": [9.5', 1))
    images = data_folder.read_archives(folder).images
    assert COW not in images["image_id"].tolist()
    assert "1 label unreadable" in caplog.text


def test_label_in_the_other_species_archive_is_no_pair(tmp_path, caplog):
    archives = make.four_archives()
    archives[PIG_LABELS][f"{COW}.json"] = archives[COW_LABELS].pop(f"{COW}.json")
    images = data_folder.read_archives(make.write(tmp_path, archives)).images
    assert COW not in images["image_id"].tolist()
    assert "1 image without label, 1 label without image" in caplog.text


def test_sizes_of_the_json_on_request(tmp_path):
    folder = make.write(tmp_path, cow_boxes(GOOD, size=(128, 96))(make.four_archives()))
    images = data_folder.read_archives(folder, image_headers=False).images
    assert images.loc[0, ["width_px", "height_px"]].tolist() == [128, 96]


NUMBERS = st.one_of(
    st.floats(width=32), st.integers(-100, 200), st.none(), st.sampled_from(["7", "x", []])
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(boxes=st.lists(st.one_of(st.lists(NUMBERS, max_size=6), NUMBERS), max_size=8))
def test_whatever_the_boxes_hold_the_table_holds_boxes_inside_the_frame(boxes, tmp_path):
    folder = make.write(tmp_path, cow_boxes(*boxes)(make.four_archives()))
    table = data_folder.read_archives(folder).boxes
    cow = table.loc[table["image_id"] == COW, ["x_min", "y_min", "x_max", "y_max"]].to_numpy()
    assert (
        np.isfinite(cow).all()
        and (cow >= 0).all()
        and (cow[:, [0, 2]] <= 64).all()
        and (cow[:, [1, 3]] <= 48).all()
    )
    assert (cow[:, 2] > cow[:, 0]).all() and (cow[:, 3] > cow[:, 1]).all()
    report = integrity.check(folder)
    dropped = report.loc[
        report["kind"].isin(["box_not_numbers", "box_inverted", "box_outside"]), "value"
    ].sum()
    assert len(cow) + dropped == len(boxes)


# ---- ImageReader ----


def test_reader_serves_threads(tmp_path):
    archives = make.four_archives()
    archives[COWS] |= {f"c{i}.jpg": make.jpeg(shade=i) for i in range(40)}
    folder = make.write(tmp_path, archives)
    names = list(archives[COWS]) * 5
    with ImageReader(folder) as reader, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda name: reader.bytes(COWS, name), names)) == [
            archives[COWS][n] for n in names
        ]


@pytest.mark.parametrize(
    ("archive", "member", "message"),
    [
        ("other.zip", "a.jpg", "archive other.zip not found in"),
        ("../outside.zip", "a.jpg", "leaves the data folder"),
        ("/etc", "passwd", "leaves the data folder"),
        (COWS, "none.jpg", "소_bbox.zip has no member 'none.jpg'"),
        ("[원천]소_folder", "../[원천]소_bbox.zip", "has no member"),
    ],
)
def test_reader_errors(archive, member, message, tmp_path):
    folder = make.write(
        tmp_path, make.four_archives() | {"[원천]소_folder": {"a.jpg": make.jpeg()}}
    )
    with ImageReader(folder) as reader, pytest.raises(ArchiveError, match=message):
        reader.bytes(archive, member)


def test_reader_tells_a_wrong_crc(tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    make.damage_pixels(folder / COWS, f"{COW}.jpg")
    message = rf"소_bbox.zip, member {COW}.jpg: .*CRC"
    with ImageReader(folder) as reader, pytest.raises(ArchiveError, match=message):
        reader.bytes(COWS, f"{COW}.jpg")


# ---- photos that nobody here made ----

SHARED = os.environ.get("LIVESTOCK_SHARED")


@pytest.mark.skipif(not SHARED, reason="LIVESTOCK_SHARED is not set")
def test_real_photos():
    folder = Path(str(SHARED), "real")
    index = pd.read_csv(folder / "index.csv")
    photos = data_folder.read_archives(folder / "data", strict=True)
    images, boxes = photos.images, photos.boxes
    test_images = data_folder.read_test_archives(folder / "data_test", strict=True).images
    for part, table in (("data", images), ("data_test", test_images)):
        wanted = index[index["folder"] == part].sort_values("image_id", ignore_index=True)
        columns = ["image_id", "species", "width_px", "height_px"]
        pd.testing.assert_frame_equal(table[columns], wanted[columns], check_dtype=False)
    counts = boxes["image_id"].value_counts().to_dict()
    assert counts == dict(
        index[(index["folder"] == "data") & (index["boxes"] > 0)][["image_id", "boxes"]].values
    )
