import json

import archive_makers as make
import pytest
from archive_makers import COW, PIG
from click.testing import CliRunner

from livestock_utils.cli import cli
from livestock_utils.core.errors import ArchiveError
from livestock_utils.data.aihub.folder import read_archives
from livestock_utils.data.aihub.integrity import check, survey
from livestock_utils.data.findings import COLUMNS

PIGS, COWS = "[원천]돼지_bbox.zip", "[원천]소_bbox.zip"
PIG_LABELS, COW_LABELS = "[라벨]돼지_bbox.zip", "[라벨]소_bbox.zip"
COW_2 = f"{COW[:-1]}2"


def test_nothing_to_report(tmp_path):
    report = check(make.write(tmp_path, make.four_archives()))
    assert len(report) == 0 and report.columns.tolist() == COLUMNS


def test_an_absent_folder_is_raised(tmp_path):
    with pytest.raises(ArchiveError, match="archive folder not found"):
        check(tmp_path / "nowhere")


def flip_a_pixel(folder):
    archives = make.four_archives()
    archives[COWS][f"{COW}.jpg"] = make.noisy_jpeg()
    archives[COW_LABELS][f"{COW}.json"] = make.label([], size=(256, 256))
    make.write(folder, {name: archives[name] for name in (COWS, COW_LABELS)})
    make.damage_pixels(folder / COWS, f"{COW}.jpg")


def bent(archive, member, data):
    def bend(folder):
        archives = make.four_archives()
        archives[archive][member] = data
        make.write(folder, {archive: archives[archive]})

    return bend


@pytest.mark.parametrize(
    ("bend", "kind", "severity", "message"),
    [
        (
            flip_a_pixel,
            "wrong_crc",
            "error",
            rf"소_bbox.zip, member {COW}.jpg: cannot be read \(Bad CRC",
        ),
        (lambda f: (f / COWS).unlink(), "archive_missing", "error", "lacks the images of cow"),
        (
            lambda f: (f / COWS).write_bytes(b"x"),
            "archive_broken",
            "error",
            "소_bbox.zip is not a whole zip",
        ),
        (
            lambda f: make.write(f, {COWS: {"a.txt": b"x"}}),
            "archive_empty",
            "error",
            "소_bbox.zip holds no images",
        ),
        (
            bent(PIGS, f"{COW}.jpg", make.jpeg()),
            "repeated_id",
            "error",
            f"image id {COW} is both in",
        ),
        (
            bent(COWS, f"{COW}.jpg", make.jpeg()[:-9]),
            "image_truncated",
            "warning",
            f"{COW}.jpg: the JPEG stops",
        ),
        (
            bent(COWS, f"{COW}.jpg", make.jpeg(shade=10)),
            "image_duplicated",
            "warning",
            f"the same bytes as .*{COW}",
        ),
        (
            bent(COWS, "about.txt", b"x"),
            "other_files",
            "note",
            "holds 1 members that are not images, as about.txt",
        ),
        (
            bent(COW_LABELS, f"{COW}.json", make.label([[1, 1, 9, 9]] * 3)),
            "box_duplicated",
            "note",
            "2 boxes, first",
        ),
        (
            bent(COW_LABELS, f"{COW}.json", make.label([], file_name="b.jpg")),
            "name_differs",
            "note",
            "is 'b.jpg'",
        ),
        (
            lambda f: (f / "소.tar").write_bytes(b""),
            "unknown_archive",
            "note",
            "소.tar: its name does not tell",
        ),
        (
            lambda f: make.write(f, {f"Validation/{COWS}": {"v.jpg": make.jpeg()}}),
            "validation_left_out",
            "note",
            "Validation/.*left out",
        ),
    ],
)
def test_findings(bend, kind, severity, message, tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    bend(folder)
    report = check(folder)
    rows = report[report["kind"] == kind]
    assert rows["severity"].tolist() == [severity]
    assert rows["message"].str.contains(message).all() and (rows["advice"] != "").all()
    assert report["kind"].tolist() == [kind]


def test_copies_are_told_whatever_they_are_packed_in(tmp_path):
    archives = make.four_archives()
    photo = archives[COWS][f"{COW}.jpg"]
    archives["[원천]소_more"] = {f"{COW[:-1]}3.jpg": photo}
    archives[COW_LABELS][f"{COW[:-1]}3.json"] = make.label([])
    report = check(make.write(tmp_path, archives))
    assert report[["kind", "image_id"]].values.tolist() == [["image_duplicated", f"{COW[:-1]}3"]]


def test_near_duplicates_on_request(tmp_path):
    archives = make.four_archives()
    photos = {
        f"{COW[:-1]}{i}.jpg": make.noisy_jpeg(quality=quality)
        for i, quality in ((5, 90), (6, 80), (7, 80))
    }
    archives[COWS] |= photos
    archives[COW_LABELS] |= {
        name.replace("jpg", "json"): make.label([], size=(256, 256)) for name in photos
    }
    folder = make.write(tmp_path, archives)
    assert "image_near_duplicate" not in check(folder)["kind"].tolist()
    rows = check(folder, near_duplicates=True)
    told = rows[rows["kind"] == "image_near_duplicate"].set_index("image_id")["message"]
    assert told[f"{COW[:-1]}6"].endswith(f"looks like {COWS}/{COW[:-1]}5.jpg")
    assert f"{COW[:-1]}7" not in told.index  # a copy of 6, told as such
    assert f"{COW[:-1]}5" not in told.index


def test_trailing_bytes_behind_the_image_are_no_truncation(tmp_path):
    archives = make.four_archives()
    archives[COWS][f"{COW}.jpg"] += bytes(100)
    assert len(check(make.write(tmp_path, archives))) == 0


def test_quick_reads_no_pixels(tmp_path):
    folder = make.write(tmp_path, make.four_archives())
    flip_a_pixel(folder)
    assert len(check(folder, read_all=False)) == 0


def data_root(folder):
    archives = make.four_archives()
    make.write(folder / "data", archives)
    tests = {PIGS: {"p9.jpg": archives[PIGS][f"{PIG}.jpg"]}, COWS: {"c9.jpg": make.jpeg(shade=210)}}
    make.write(folder / "data_test", tests)
    return folder


def test_a_data_root_is_searched_across_training_and_test(tmp_path):
    result = survey(data_root(tmp_path))
    assert (len(result.images), len(result.boxes), len(result.test_images)) == (4, 4, 2)
    assert result.archives["archive"].str.startswith(("data/", "data_test/")).all()
    row = result.findings.iloc[0]
    assert row["kind"] == "image_duplicated" and row["archive"] == f"data_test/{PIGS}"
    assert f"the same bytes as data/{PIGS}, member {PIG}.jpg" in row["message"]


def test_a_folder_of_test_archives_needs_no_labels(tmp_path):
    result = survey(data_root(tmp_path) / "data_test")
    assert len(result.images) == 0 and len(result.test_images) == 2 and len(result.findings) == 0


@pytest.mark.parametrize(
    ("bend", "options", "code"),
    [
        (lambda f: None, [], 0),
        (lambda f: None, ["--strict"], 1),
        (lambda f: (f / "data" / COWS).write_bytes(b"x"), [], 1),
        (lambda f: flip_a_pixel(f / "data"), [], 1),
        (lambda f: flip_a_pixel(f / "data"), ["--quick"], 0),
    ],
)
def test_exit_codes_of_check(bend, options, code, tmp_path):
    bend(data_root(tmp_path))
    assert CliRunner().invoke(cli, ["check", str(tmp_path), *options]).exit_code == code


def test_check_of_an_empty_folder_says_that_there_is_nothing(tmp_path):
    done = CliRunner().invoke(cli, ["check", str(tmp_path)])
    lines = done.stdout.splitlines()
    assert done.exit_code == 1
    assert lines[:5] == ["archives: none", "", "usable: nothing", "", "findings"]
    assert (
        lines[5]
        == "  error: 4 archives missing; download what is missing, put it beside the others"
    )


def test_check_of_the_folder_above_a_data_root_names_the_root(tmp_path):
    data_root(tmp_path / "data")
    done = CliRunner().invoke(cli, ["check", str(tmp_path)])
    told = f"error: {tmp_path} is the folder above a data root; give {tmp_path / 'data'}\n"
    assert (done.exit_code, done.stderr) == (1, told)


@pytest.mark.parametrize("above", ["", "more"])
def test_a_folder_too_high_names_the_data_root(above, tmp_path):
    root = tmp_path / above / "barn"
    data_root(root)
    told = f"error: {tmp_path} lies above the data root {root}; give {root} to check or run, "
    done = CliRunner().invoke(cli, ["check", str(tmp_path)])
    assert (done.exit_code, done.stderr) == (1, told + f"{root / 'data'} to read\n")
    with pytest.raises(ArchiveError, match="lies above the data root"):
        read_archives(tmp_path)


def test_check_prints_what_was_found(tmp_path):
    text = CliRunner().invoke(cli, ["check", str(data_root(tmp_path))]).output
    assert f"data/{COW_LABELS}" in text and "training: 4 images (2 cow, 2 pig), 4 boxes" in text
    assert "warning: 1 copy of another image; keep the two in one fold" in text
    value = json.loads(CliRunner().invoke(cli, ["check", str(tmp_path), "--json"]).output)
    assert value["images"] == 4 and value["findings"][0]["kind"] == "image_duplicated"
