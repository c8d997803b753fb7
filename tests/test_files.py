"""Files are whole or absent; what a killed writer left goes with the next write, what a living one
holds stays."""

import signal
import subprocess
import sys

import pytest

from livestock_utils.core import files

KILLED = """
import os, signal, sys
from livestock_utils.core.files import whole_file
with whole_file(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_error_leaves_the_older_file_alone(tmp_path):
    files.write_text(tmp_path / "a.tar", "old")
    with pytest.raises(OSError, match="disk"), files.whole_file(tmp_path / "a.tar") as file:
        file.write(b"half")
        raise OSError("disk")
    assert names(tmp_path) == ["a.tar"] and (tmp_path / "a.tar").read_text() == "old"


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path):
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / "a[1].tar")], check=False
        )
        assert done.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1 and names(tmp_path)[0].endswith(".part")
    files.write_text(tmp_path / "a[1].tar", "whole")
    assert names(tmp_path) == ["a[1].tar"]


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    with files.whole_file(tmp_path / "a.tar") as first:
        first.write(b"first")
        first.flush()
        files.write_text(tmp_path / "a.tar", "second")
        assert (tmp_path / "a.tar").read_text() == "second"
    assert names(tmp_path) == ["a.tar"] and (tmp_path / "a.tar").read_text() == "first"


def test_leftovers_of_others_go_at_the_first_write_into_a_folder(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "gone.tar")], check=False)
    assert done.returncode == -signal.SIGKILL
    (tmp_path / ".my notes.part").write_text("mine")
    files.write_text(tmp_path / "a.txt", "whole")
    assert names(tmp_path) == [".my notes.part", "a.txt"]


@pytest.mark.parametrize(("mask", "mode"), [("077", "600"), ("022", "644")])
def test_files_get_the_mode_of_the_mask_which_no_thread_changes(tmp_path, mask, mode):
    code = """
import os, sys
os.umask(int(sys.argv[2], 8))
from livestock_utils.core import files
os.umask = lambda mask: sys.exit("the mask was set, which other threads' files would see")
print(f"{os.stat(files.write_text(sys.argv[1], 'x')).st_mode & 0o777:o}")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a"), mask],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == mode
