"""Copies on Drive: checked, retried, in the background; and the few things that Colab needs."""

import errno
import os
import sys
import types

import pytest

from livestock_utils import colab
from livestock_utils.core import locks, mirror
from livestock_utils.core.errors import LivestockError
from livestock_utils.detect.train import state


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(mirror, "FIRST_WAIT_S", 0)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run" / "resume").mkdir(parents=True)
    (tmp_path / "run" / "results.csv").write_text("epoch\n0\n")
    return tmp_path / "run"


def test_requests_arrive_and_old_files_go(run, tmp_path):
    drive = tmp_path / "drive"
    (drive / "resume").mkdir(parents=True)
    (drive / "resume" / "resume-e0001-old.pt").write_text("old")
    (run / "resume" / "resume-e0002-new.pt").write_text("new")
    copier = mirror.Mirror(run, drive)
    copier.request(
        [run / "results.csv", run / "resume" / "resume-e0002-new.pt"], remove=["resume/resume-*.pt"]
    )
    assert copier.wait() is None
    copier.close()
    assert sorted(path.relative_to(drive).as_posix() for path in drive.rglob("*.*")) == [
        "results.csv",
        "resume/resume-e0002-new.pt",
    ]


def test_a_copy_that_fails_once_is_made_again(run, tmp_path, monkeypatch):
    calls = []
    copy = mirror.copy_checked

    def flaky(source, target):
        calls.append(source)
        if len(calls) == 1:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        copy(source, target)

    monkeypatch.setattr(mirror, "copy_checked", flaky)
    copier = mirror.Mirror(run, tmp_path / "drive")
    copier.request([run / "results.csv"])
    assert copier.wait() is None and len(calls) == 2
    copier.close()
    assert (tmp_path / "drive" / "results.csv").is_file()


@pytest.mark.parametrize("code", [errno.ENOTCONN, errno.EDQUOT, errno.EROFS, errno.ENOSPC])
def test_a_mirror_that_stays_away_is_reported_in_one_line(run, tmp_path, monkeypatch, code):
    def broken(source, target):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(mirror, "copy_checked", broken)
    copier = mirror.Mirror(run, tmp_path / "drive")
    copier.request([run / "results.csv"])
    told = copier.wait()
    copier.close()
    assert (
        told.startswith(f"the mirror {tmp_path / 'drive'} failed 1 times (last: results.csv")
        and "\n" not in told
    )
    assert os.strerror(code) in told


def test_a_copy_that_differs_is_no_copy(run, tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "sha256", lambda path: str(path))
    with pytest.raises(OSError, match=r"the copy of results\.csv differs from it"):
        mirror.copy_checked(run / "results.csv", tmp_path / "drive" / "results.csv")
    assert list((tmp_path / "drive").iterdir()) == []


def test_only_what_is_missing_comes_back(run, tmp_path):
    (tmp_path / "drive" / "weights").mkdir(parents=True)
    (tmp_path / "drive" / "results.csv").write_text("other")
    (tmp_path / "drive" / "weights" / "best.pt").write_text("x")
    (tmp_path / "drive" / ".half.part").write_text("x")
    assert mirror.restore_missing(run, tmp_path / "drive") == ["weights/best.pt"]
    assert (run / "results.csv").read_text() == "epoch\n0\n"


def test_a_failure_that_was_made_good_is_not_told(run, tmp_path):
    (tmp_path / "drive").write_text("a file where a folder should be")
    copier = mirror.Mirror(run, tmp_path / "drive")
    copier.request([run / "results.csv"])
    assert copier.wait() is not None
    (tmp_path / "drive").unlink()
    copier.request([run / "results.csv"])
    assert copier.wait() is None
    copier.close()
    assert (tmp_path / "drive" / "results.csv").is_file()


def test_a_mirror_that_another_has_taken_over_is_left_alone(run, tmp_path):
    drive = tmp_path / "drive"
    theirs = drive / "resume" / "resume-e0009-theirs.pt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    note = locks.Note(drive)
    note.mine = {"host": "elsewhere", "pid": 7}
    note.renew()
    copier = mirror.Mirror(run, drive)
    copier.request([run / "results.csv"], remove=["resume/resume-*.pt"])
    assert "(last: it is in use by process 7 on elsewhere" in copier.wait()
    copier.close()
    assert theirs.is_file() and note.path.is_file() and not (drive / "results.csv").exists()


def test_what_killed_copies_left_is_swept(run):
    for name in (".results.csv.part", "resume/.resume-e0001-0.pt.part"):
        (run / name).write_bytes(b"half")
    (run / "seen.part").write_bytes(b"someone's")
    mirror.sweep(run)
    assert sorted(path.name for path in run.rglob("*.*")) == ["results.csv", "seen.part"]


def test_mount_does_nothing_elsewhere():
    assert colab.mount().resolve() == colab.Path.cwd()


class Refused(Exception):
    """As google.colab's own error for a consent that was not given."""


@pytest.mark.parametrize(
    ("answers", "mounts", "warnings"),
    [
        ([None], 1, []),
        (
            [OSError(errno.ENOTCONN, "Transport endpoint is not connected"), None],
            2,
            ["attempt 1 of 3"],
        ),
        (
            [ValueError("mount failed"), ValueError("mount failed"), None],
            3,
            ["attempt 1 of 3", "attempt 2 of 3"],
        ),
        ([Refused("not allowed")], 1, ["no access to Google Drive (not allowed)"]),
        (
            [ValueError("mount failed")] * 3,
            3,
            ["attempt 1 of 3", "attempt 2 of 3", "attempt 3 of 3"],
        ),
    ],
)
def test_mounting_drive(answers, mounts, warnings, tmp_path, monkeypatch, caplog):
    calls = []

    def mount(folder, force_remount):
        calls.append(force_remount)
        answer = answers[len(calls) - 1]
        if answer is not None:
            raise answer
        (tmp_path / "MyDrive").mkdir()

    monkeypatch.setitem(
        sys.modules,
        "google.colab",
        types.SimpleNamespace(
            drive=types.SimpleNamespace(mount=mount), errors=types.SimpleNamespace(Error=Refused)
        ),
    )
    if isinstance(answers[-1], ValueError):
        with pytest.raises(
            LivestockError, match=r"Google Drive cannot be mounted \(mount failed\); run the cell"
        ):
            colab.mount(tmp_path)
    else:
        assert colab.mount(tmp_path) == (tmp_path / "MyDrive" if answers[-1] is None else None)
    assert calls == [False, True, True][:mounts]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(warnings) and all(
        want in line for want, line in zip(warnings, told, strict=True)
    )


def test_an_archive_is_copied_once(tmp_path, monkeypatch):
    (tmp_path / "a.tar").write_bytes(b"data")
    copied = colab.copy_local(tmp_path / "a.tar", tmp_path / "local")
    assert copied.read_bytes() == b"data"
    monkeypatch.setattr(mirror, "copy_checked", lambda *_: pytest.fail("copied again"))
    assert colab.copy_local(tmp_path / "a.tar", tmp_path / "local") == copied


def test_a_dropped_mount_is_tried_again_and_then_told(tmp_path, monkeypatch):
    (tmp_path / "a.tar").write_bytes(b"data")
    calls = []

    def dropped(source, target):
        calls.append(source)
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(mirror, "copy_checked", dropped)
    with pytest.raises(
        LivestockError, match=r"a\.tar could not be copied .*Transport endpoint.*mount Drive again"
    ):
        colab.copy_local(tmp_path / "a.tar", tmp_path / "local", wait_s=0)
    assert len(calls) == 3
    with pytest.raises(LivestockError, match=r"absent\.tar is not there"):
        colab.copy_local(tmp_path / "absent.tar", tmp_path / "local")


@pytest.fixture
def drive(tmp_path, monkeypatch):
    monkeypatch.setattr(colab, "on_colab", lambda: True)
    monkeypatch.setattr(colab, "DRIVE", tmp_path / "drive")
    monkeypatch.setattr(colab, "LOCAL_DISK", tmp_path / "local")
    monkeypatch.setattr(colab, "SPARE_BYTES", 0)
    (tmp_path / "drive" / "data" / "inner").mkdir(parents=True)
    (tmp_path / "drive" / "data" / "a.zip").write_bytes(b"first")
    (tmp_path / "drive" / "data" / "inner" / "b.zip").write_bytes(b"second")
    return tmp_path / "drive" / "data"


def test_archives_on_drive_are_read_from_a_copy(drive, tmp_path):
    copy = colab.at_hand(drive)
    assert copy.is_relative_to(tmp_path / "local") and copy.name == "data"
    assert (copy / "a.zip").read_bytes() == b"first" and (
        copy / "inner" / "b.zip"
    ).read_bytes() == b"second"
    (drive / "a.zip").unlink()
    (drive / "inner" / "b.zip").write_bytes(b"another")
    assert colab.at_hand(drive) == copy
    assert [path.read_bytes() for path in copy.rglob("*.zip")] == [b"another"]


@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [
        (
            "MOST_ARCHIVES",
            1,
            "more than 1 files are read from Drive, which is slow; put AI Hub's zips there as they "
            "came",
        ),
        (
            "SPARE_BYTES",
            10**18,
            "0.0 GB have no room on the local disk and are read from Drive, which is slow",
        ),
    ],
)
def test_archives_that_are_no_use_to_copy_are_read_where_they_are(
    drive, monkeypatch, caplog, limit, value, told
):
    monkeypatch.setattr(colab, limit, value)
    assert colab.at_hand(drive) == drive and caplog.messages[0].endswith(told)


def test_only_folders_on_drive_are_copied(drive, tmp_path, monkeypatch):
    assert colab.at_hand(tmp_path) == tmp_path
    assert colab.at_hand(drive / "absent") == drive / "absent"
    monkeypatch.setattr(colab, "on_colab", lambda: False)
    assert colab.at_hand(drive) == drive


def test_the_run_to_resume_is_the_last_valid_one(tmp_path):
    import hashlib

    assert state.interrupted_run(tmp_path / "absent", tmp_path) is None
    for age, name in enumerate(("newer", "older")):
        content = name.encode()
        path = (
            tmp_path
            / name
            / "resume"
            / f"resume-e0001-{hashlib.sha256(content).hexdigest()[:16]}.pt"
        )
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        os.utime(path, (1000 - age, 1000 - age))
    broken = tmp_path / "broken" / "resume" / f"resume-e0009-{'0' * 16}.pt"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"x")
    assert state.interrupted_run(tmp_path) == tmp_path / "newer"
