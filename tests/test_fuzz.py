"""Some bent files for every reader; `make fuzz` has many more."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
import fuzzer  # found by the line above
import targets

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", [target.name for target in targets.TARGETS])
def test_a_bent_file_is_read_or_refused_in_one_line(target):
    (outcome,) = fuzzer.run([target], inputs=200, seed=7)
    assert outcome.failures == [] and outcome.read + outcome.refused > 0


def test_a_reader_that_breaks_or_writes_elsewhere_is_found(tmp_path):
    def read(folder, out):
        text = (folder / "a.txt").read_text(encoding="ascii")
        if len(text) < 9:
            (folder / "b.txt").write_text("x")

    target = targets.Target("own", lambda folder: (folder / "a.txt").write_text("ten chars!"), read)
    found = " ".join(fuzzer.fuzz(target, tmp_path, range(60)).failures)
    assert "UnicodeDecodeError" in found and "wrote outside its folder" in found
