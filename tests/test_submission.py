"""Submission files: written sorted and whole, checked by line, scored from the command line."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from detections import answers_from_boxes, contest_sizes, scene

from livestock_utils import cli
from livestock_utils.core.errors import ScoringError
from livestock_utils.evaluate.scoring import contest, metrics, submission

HEADER = "ImageID,LabelName,Conf,XMin,XMax,YMin,YMax"
GOOD = "livestock_pig_bbox_000001.jpg,pig,0.9,10,20,30,40"
IMAGES = pd.DataFrame(
    {
        "image_id": ["livestock_pig_bbox_000001", "livestock_pig_bbox_000002"],
        "species": "pig",
        "width_px": 1920,
        "height_px": 1080,
    }
)


def inside(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions moved into the smallest frame."""
    return predictions.assign(
        **{
            name: predictions[name].clip(0, 960 if name[0] == "y" else 1280)
            for name in ("x_min", "y_min", "x_max", "y_max")
        }
    )


@pytest.fixture
def tables():
    images, boxes, predictions = scene(seed=13, n_images=10, n_answers=60, n_detections=250)
    return images, boxes, inside(predictions)


def written(path, *rows: str, header: str = HEADER):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_what_is_written_is_valid_sorted_and_scores_the_same(tmp_path, tables):
    images, boxes, predictions = tables
    path = submission.write_submission(
        tmp_path / "new" / "submission.csv", predictions.sample(frac=1), images
    )
    assert path.read_text(encoding="utf-8").splitlines()[0] == HEADER
    findings = submission.validate_submission(path, images)
    assert (findings["severity"] == "note").all()
    assert set(findings["image_id"]) == set(images["image_id"]) - set(predictions["image_id"])
    truth = answers_from_boxes(boxes, images)
    assert metrics.contest_score(truth, submission.read_table(path)) == metrics.contest_score(
        truth, predictions
    )


def test_the_same_file_byte_for_byte_in_any_order_of_rows(tmp_path, tables):
    images, _, predictions = tables
    first = submission.write_submission(tmp_path / "a.csv", predictions, images)
    second = submission.write_submission(
        tmp_path / "b.csv", predictions.iloc[::-1], images.iloc[::-1]
    )
    assert first.read_bytes() == second.read_bytes()


def test_shares_divide_by_the_contests_frames(tmp_path, tables):
    images, boxes, predictions = tables
    path = submission.write_submission(tmp_path / "s.csv", predictions, images, units="shares")
    table = submission.read_table(path)
    truth = answers_from_boxes(boxes, images)
    assert metrics.contest_score(truth, table, units="shares") == metrics.contest_score(
        truth, predictions
    )
    assert table["XMax"].max() <= 1920 / contest_sizes(images)["width"].min()
    assert (
        submission.validate_submission(path, images, units="shares")["severity"] == "note"
    ).all()


def test_boxes_beyond_the_frame_are_clipped(tmp_path):
    images, _, predictions = scene(seed=4, n_detections=200)
    predictions["x_min"] -= 500
    path = submission.write_submission(tmp_path / "s.csv", predictions, images)
    assert not (submission.validate_submission(path, images)["severity"] == "error").any()


def test_images_of_unknown_size_are_accounted_for(tmp_path, tables):
    images, boxes, predictions = tables
    unknown = predictions["image_id"].iloc[0]
    images.loc[images["image_id"] == unknown, ["width_px", "height_px"]] = 0
    rest = predictions[predictions["image_id"] != unknown]
    path = submission.write_submission(tmp_path / "s.csv", rest, images)
    findings = submission.validate_submission(path, images)
    assert (findings["severity"] == "note").all() and unknown in findings["image_id"].tolist()
    truth = answers_from_boxes(boxes, images)
    assert metrics.contest_score(truth, rest, normaliser="image", images=images)[0] > 0


def test_no_detection_writes_the_header_and_says_so(tmp_path, tables, caplog):
    path = submission.write_submission(tmp_path / "s.csv", tables[2].head(0), tables[0])
    assert path.read_text(encoding="utf-8") == HEADER + "\n"
    assert "an empty submission scores 0" in caplog.text
    assert submission.validate_submission(path)["problem"].tolist() == [
        "the submission is empty: it has no rows below the header"
    ]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda images, predictions: (images.iloc[:1], predictions),
            {},
            "which the images table lacks",
        ),
        (
            lambda images, predictions: (images, predictions.assign(confidence=np.nan)),
            {},
            "row 0 .*confidence|Conf is not",
        ),
        (
            lambda images, predictions: (images, predictions),
            {"units": "cm"},
            "units must be one of",
        ),
        (
            lambda images, predictions: (images.assign(width_px=0), predictions),
            {},
            "no size above 0 px",
        ),
    ],
)
def test_bad_predictions_leave_no_file(tmp_path, tables, change, options, message):
    images, predictions = change(tables[0], tables[2])
    with pytest.raises(ScoringError, match=message):
        submission.write_submission(tmp_path / "s.csv", predictions, images, **options)
    assert list(tmp_path.iterdir()) == []


BAD_LINES = {
    "good": (GOOD, None),
    "NaN confidence": (GOOD.replace("0.9", "nan"), "Conf is empty or not a finite number"),
    "empty confidence": (GOOD.replace("0.9", ""), "Conf is empty or not a finite number"),
    "text": (GOOD.replace("20", "wide"), "XMax is empty or not a finite number"),
    "confidence in percent": (GOOD.replace("0.9", "90"), "Conf is not between 0 and 1"),
    "infinite": (GOOD.replace("40", "inf"), "YMax is empty or not a finite number"),
    "inside out": (GOOD.replace("20", "5"), "XMin is greater than XMax"),
    "upside down": (GOOD.replace("40", "5"), "YMin is greater than YMax"),
    "unknown label": (
        GOOD.replace(",pig,", ",horse,"),
        "unknown LabelName: expected one of ['pig', 'cow']",
    ),
    "no label": (GOOD.replace(",pig,", ",,"), "unknown LabelName: expected one of ['pig', 'cow']"),
    "no id": (GOOD[GOOD.index(",") :], "ImageID is empty"),
    "unknown image": (GOOD.replace("000001", "000009"), "unknown image: not among the test images"),
    "beyond the frame": (GOOD.replace("20", "1921"), "a coordinate is right of or below the frame"),
    "before the frame": (GOOD.replace("10,", "-3,"), "a coordinate is left of or above the frame"),
    "a line cut off": (GOOD[: GOOD.index("30")], "YMin is empty or not a finite number"),
    "the line above again": (GOOD.replace("0.9", "0.91"), submission.REPEATED),
    "id without suffix": (GOOD.replace(".jpg", ""), submission.MISSPELT),
    "id with another suffix": (GOOD.replace(".jpg", ".JPG"), submission.MISSPELT),
    "id after a space": (" " + GOOD, submission.MISSPELT),
    "more confident than the line above": (
        GOOD.replace("0.9", "0.95"),
        "not sorted by ImageID and descending Conf",
    ),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_each_fault_is_named_by_its_line(tmp_path, case):
    line, problem = BAD_LINES[case]
    path = written(tmp_path / "s.csv", GOOD.replace("0.9", "0.91"), line)
    findings = submission.validate_submission(path, IMAGES)
    errors = findings[(findings["severity"] == "error") & (findings["line"] > 0)]
    if problem is None:
        assert errors.empty
    else:
        assert problem in errors["problem"].tolist()
        assert set(errors["line"]) == {3}


@pytest.mark.parametrize(
    ("case", "got"),
    [
        ("empty confidence", "Conf empty or NaN"),
        ("NaN confidence", "Conf empty or NaN"),
        ("text", "XMax 'wide'"),
        ("inside out", "XMin 10, XMax 5"),
        ("unknown label", "LabelName 'horse'"),
        ("unknown image", ""),
    ],
)
def test_the_value_at_fault_is_shown(tmp_path, case, got):
    findings = submission.validate_submission(
        written(tmp_path / "s.csv", BAD_LINES[case][0]), IMAGES
    )
    assert findings.loc[findings["problem"] == BAD_LINES[case][1], "got"].tolist() == [got]


@pytest.mark.parametrize(
    ("header", "row", "units", "problem"),
    [
        (HEADER.replace("XMax,YMin", "YMin,XMax"), GOOD, "px", "columns in another order"),
        (HEADER.replace(",YMax", ""), GOOD[:-3], "px", "missing YMax"),
        (
            HEADER,
            "livestock_pig_bbox_000001.jpg,pig,1,.1,.2,.3,.4",
            "px",
            "shares of the frame where pixels are expected",
        ),
        (HEADER, GOOD, "shares", "pixels where shares of the frame are expected"),
    ],
)
def test_faults_of_the_whole_file(tmp_path, header, row, units, problem):
    findings = submission.validate_submission(
        written(tmp_path / "s.csv", row, header=header), IMAGES, units=units
    )
    assert problem in findings["problem"].iloc[0]


def test_weights_above_the_contests_limit(tmp_path):
    heavy, light = tmp_path / "heavy.pt", tmp_path / "light.pt"
    for path, size in ((heavy, submission.WEIGHTS_BUDGET_BYTES + 1), (light, 100)):
        with open(path, "wb") as file:
            file.truncate(size)
    path = written(tmp_path / "s.csv", GOOD)
    problems = submission.validate_submission(path, weights=[heavy, light, tmp_path / "absent.pt"])[
        "problem"
    ].tolist()
    assert problems == [
        "3 weights have 100.0 MB together: the contest allows 100",
        "weights heavy.pt have 100.0 MB: the contest allows 100 MB",
        f"no such weights file: {tmp_path / 'absent.pt'}",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("", "cannot be read as CSV"),
        (f"{HEADER},XMin\n{GOOD},1\n", "2 columns are called XMin"),
        (f"{HEADER}\n{GOOD}\n{GOOD},7\n", "Expected 7 fields in line 3, saw 8"),
        (f"{HEADER}\n\n{GOOD},\n", "line 3: a value more than the header has names.*--sort-to"),
        (b"\xff\xfe\x00\x01", "cannot be read as CSV"),
    ],
)
def test_files_that_are_no_tables(tmp_path, content, message):
    path = tmp_path / "s.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ScoringError, match=message) as error:
        submission.read_table(path)
    assert "\n" not in str(error.value)


@pytest.fixture
def files(tmp_path, tables):
    images, boxes, predictions = tables
    answers = tmp_path / "answer.csv"
    answers_from_boxes(boxes, images).to_csv(answers, index=False)
    images.to_csv(tmp_path / "images.csv", index=False)
    submission.write_submission(tmp_path / "submission.csv", predictions, images)
    return tmp_path


def run(*arguments: object):
    return CliRunner().invoke(cli.cli, [str(value) for value in arguments])


def test_score_command(files, tables):
    images, boxes, predictions = tables
    want = metrics.contest_score(answers_from_boxes(boxes, images), predictions)[0]
    done = run("score", files / "answer.csv", files / "submission.csv")
    assert done.exit_code == 0 and f"score {want:.6f}: the contest's definition" in done.stdout
    done = run("score", files / "answer.csv", files / "submission.csv", "--bootstrap", 50, "--json")
    value = json.loads(done.stdout)
    assert value["score"] == pytest.approx(want)
    assert value["classes"]["all"]["low"] < want < value["classes"]["all"]["high"]
    done = run(
        "score",
        files / "answer.csv",
        files / "submission.csv",
        "--normaliser",
        "image",
        "--images",
        files / "images.csv",
    )
    assert done.exit_code == 0 and "normaliser image" in done.stdout


def test_score_also_counts_animals(files):
    sides = files / "answer.csv", files / "submission.csv"
    rows = json.loads(run("score", *sides, "--counts", 0.0, "--json").stdout)["counts"]
    assert sum(row["labelled"] for row in rows.values()) == len(pd.read_csv(sides[0]))
    known = set(pd.read_csv(sides[0])["ImageID"])
    found = pd.read_csv(sides[1])
    assert sum(row["counted"] for row in rows.values()) == found["ImageID"].isin(known).sum()
    none = run("score", *sides, "--counts", 1.1)
    assert "labelled" in none.stdout and "bias" in none.stdout


def test_score_against_another_submission(files, tables):
    images, boxes, _ = tables
    submission.write_submission(files / "perfect.csv", boxes.assign(confidence=0.9), images)
    done = run(
        "score", files / "answer.csv", files / "perfect.csv", "--against", files / "submission.csv"
    )
    assert done.exit_code == 0 and "), significant" in done.stdout


def test_score_tells_every_faulty_line_and_one_error(files):
    lines = (files / "submission.csv").read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3].replace("pig", "horse").replace("cow", "horse")
    lines[5] = ",".join([*lines[5].split(",")[:2], "", *lines[5].split(",")[3:]])
    (files / "bad.csv").write_text("\n".join(lines), encoding="utf-8")
    done = run("score", files / "answer.csv", files / "bad.csv")
    assert done.exit_code == 1 and done.stdout == ""
    *others, last = done.stderr.splitlines()
    assert any(line.startswith(f"error: {files / 'bad.csv'}, line 6 (livestock") for line in others)
    assert not any(", line 4 (" in line for line in others)
    assert (
        last.startswith(f"error: {files / 'bad.csv'}, line 4 (livestock_horse")
        and "got 'horse'" in last
    )


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        (lambda rows: [row.rsplit(",", 1)[0] for row in rows], " lack the column YMax: got "),
        (
            lambda rows: [
                rows[0],
                *(re.sub(r",(pig|cow),", ",sheep,", row) for row in rows[1:2]),
                *rows[2:],
            ],
            ", line 2 (",
        ),
        (
            lambda rows: [
                rows[0],
                *(",".join([*row.split(",")[:3], ".1", ".2", ".1", ".2"]) for row in rows[1:]),
            ],
            " look like shares of the frame",
        ),
    ],
)
def test_score_tells_a_fault_once(files, bend, told):
    lines = (files / "submission.csv").read_text(encoding="utf-8").splitlines()
    (files / "bad.csv").write_text("\n".join(bend(lines)), encoding="utf-8")
    done = run("score", files / "answer.csv", files / "bad.csv")
    assert done.exit_code == 1
    assert (
        done.stderr.startswith(f"error: {files / 'bad.csv'}{told}") and done.stderr.count("\n") == 1
    )


@pytest.mark.parametrize(
    "shuffle", [lambda rows: rows.iloc[::-1], lambda rows: rows.sample(frac=1, random_state=1)]
)
def test_score_of_rows_out_of_order_is_what_the_contests_scorer_gives(files, shuffle):
    from map_boxes import mean_average_precision_for_boxes

    truth, rows = (
        submission.read_table(files / "answer.csv"),
        submission.read_table(files / "submission.csv"),
    )
    in_order = run("score", files / "answer.csv", files / "submission.csv", "--json")
    wrong = shuffle(rows)
    wrong.to_csv(files / "wrong.csv", index=False)
    ids = rows["ImageID"].drop_duplicates()
    sizes = contest.frame_sizes(ids.map(contest.image_stem).to_numpy(dtype=str), "contest", None)
    frame = pd.DataFrame(sizes, index=ids).loc[wrong["ImageID"]].to_numpy()
    shares = wrong.assign(
        **{
            name: wrong[name].to_numpy() / frame[:, int(name[0] == "Y")]
            for name in ("XMin", "XMax", "YMin", "YMax")
        }
    )
    want, _ = mean_average_precision_for_boxes(truth, shares, 0.75, verbose=False)
    done = run("score", files / "answer.csv", files / "wrong.csv")
    assert (
        done.exit_code == 0
        and f"score {want:.6f} as it stands" in done.stdout
        and "--sort-to" in done.stdout
    )
    value = json.loads(run("score", files / "answer.csv", files / "wrong.csv", "--json").stdout)
    assert value["score"] == pytest.approx(want, abs=1e-9) and not value["sorted"]
    assert want < value["score_of_sorted_rows"] == json.loads(in_order.stdout)["score"]
    mended = run("validate", files / "wrong.csv", "--sort-to", files / "mended.csv")
    assert mended.exit_code == 0, mended.output
    again = json.loads(run("score", files / "answer.csv", files / "mended.csv", "--json").stdout)
    assert again["score"] == value["score_of_sorted_rows"] and again["sorted"]


def test_score_says_which_answered_images_have_no_row(files):
    lines = (files / "submission.csv").read_text(encoding="utf-8").splitlines()
    stem = lines[1].split(".")[0]
    (files / "one.csv").write_text(
        "\n".join(line for line in lines if line.startswith((stem, "ImageID"))), encoding="utf-8"
    )
    done = run("score", files / "answer.csv", files / "one.csv")
    assert done.exit_code == 0 and "9 of 10 answered images (first: livestock" in done.stderr


def test_score_says_which_images_have_no_answer_and_where_an_answer_is_wrong(files):
    lines = (files / "answer.csv").read_text(encoding="utf-8").splitlines()
    stem = lines[1].split(".")[0]
    (files / "fewer.csv").write_text(
        "\n".join(line for line in lines if not line.startswith(stem)), encoding="utf-8"
    )
    done = run("score", files / "fewer.csv", files / "submission.csv")
    assert done.exit_code == 0 and f"(first: {stem}) have no answer and cost nothing" in done.stderr
    (files / "pixels.csv").write_text(
        "\n".join([*lines, f"{stem}.jpg,pig,0.1,640,0.1,0.2"]), encoding="utf-8"
    )
    done = run("score", files / "pixels.csv", files / "submission.csv")
    assert (
        done.exit_code == 1
        and f"answers look like pixels: line {len(lines) + 1} ({stem})" in done.stderr
    )


def test_score_of_an_empty_submission_is_an_error(files):
    done = run("score", files / "answer.csv", written(files / "empty.csv"))
    assert done.exit_code == 1 and "empty.csv is empty" in done.stderr


def test_validate_command(files):
    done = run("validate", files / "submission.csv", "--images", files / "images.csv")
    assert done.exit_code == 0 and done.stdout.endswith("submission.csv: no errors\n")
    done = run("validate", files / "submission.csv")
    assert (
        done.exit_code == 0
        and "no errors; ids and frames were not checked: give --images" in done.stdout
    )
    bad = written(files / "bad.csv", GOOD.replace("0.9", "0.2"), GOOD)
    done = run("validate", bad)
    assert (
        done.exit_code == 1
        and f"{bad}, line 3 (livestock_pig_bbox_000001.jpg): not sorted" in done.stdout
    )
    assert json.loads(run("validate", bad, "--json").stdout)[0]["line"] == 3


def test_blank_lines_are_passed_over_and_lines_counted(tmp_path):
    path = written(tmp_path / "s.csv", "", GOOD.replace("0.9", "0.91"), "  ", "", f"{GOOD}x")
    assert submission.validate_submission(path)[["line", "got"]].values.tolist() == [
        [6, "YMax '40x'"]
    ]


def test_what_sort_to_mends_is_told_and_scores(files):
    rows = submission.read_table(files / "submission.csv")
    bad = pd.concat([rows.assign(ImageID=rows["ImageID"].str[:-4]), rows.iloc[:3]])
    text = bad.to_csv(index=False).replace("\n", ",\n").replace("YMax,", "YMax")
    (files / "bad.csv").write_text(text, encoding="utf-8")
    done = run("validate", files / "bad.csv", "--sort-to", files / "mended.csv")
    assert done.exit_code == 0, done.output
    assert f"mended: ids compare as text, and {len(rows)} rows" in done.stderr
    assert "mended: 3 rows stand above already" in done.stderr
    assert (files / "mended.csv").read_bytes() == (files / "submission.csv").read_bytes()
    (files / "bad.csv").write_text(text.replace(",\n", "\n"), encoding="utf-8")
    done = run("score", files / "answer.csv", files / "bad.csv")
    good = json.loads(run("score", files / "answer.csv", files / "submission.csv", "--json").stdout)
    assert done.exit_code == 0 and f"score {good['score']:.6f} once that is mended" in done.stdout
    assert re.search(r"score 0\.0\d+ as it stands: ids compare as text.*--sort-to", done.stdout)


def test_score_tells_repeated_answers_and_a_table_in_our_columns(files, tables):
    lines = (files / "answer.csv").read_text(encoding="utf-8").splitlines()
    (files / "twice.csv").write_text("\n".join([*lines, *lines[1:3]]), encoding="utf-8")
    done = run("score", files / "twice.csv", files / "submission.csv")
    assert done.exit_code == 0
    assert f"2 rows stand above already (first: line {len(lines) + 1})" in done.stderr
    tables[2].to_csv(files / "ours.csv", index=False)
    done = run("score", files / "answer.csv", files / "ours.csv")
    assert done.exit_code == 1 and "ours.csv lack the column ImageID, LabelName" in done.stderr


def test_rows_there_twice_are_written_once(tmp_path, tables, caplog):
    images, _, predictions = tables
    once = submission.write_submission(tmp_path / "a.csv", predictions, images)
    twice = pd.concat([predictions, predictions])
    again = submission.write_submission(tmp_path / "b.csv", twice, images)
    assert once.read_bytes() == again.read_bytes()
    assert f"{len(predictions)} rows stand above already and are left out" in caplog.text


def test_our_own_file_is_sorted_whatever_the_ids_are(tmp_path):
    ids = ["IMG (1)", "a-1", "a", "IMG", "a.b"]
    images = pd.DataFrame({"image_id": ids, "width_px": 100, "height_px": 100, "species": "pig"})
    found = pd.DataFrame(
        {
            "image_id": ids,
            "species": "pig",
            "confidence": 0.5,
            "x_min": 1.0,
            "y_min": 1.0,
            "x_max": 50.0,
            "y_max": 50.0,
        }
    )
    path = submission.write_submission(tmp_path / "s.csv", found, images)
    assert submission.validate_submission(path, images).empty
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *rows[::-1]]) + "\n")
    assert (
        submission.validate_submission(path, images)["problem"]
        == "not sorted by ImageID and descending Conf"
    ).sum() == 4
