"""Was this made already, the same way?"""

import pytest

from livestock_utils.core import made

FROM = {"weights": "ab12", "image_size": 640, "passes": ["plain"]}


@pytest.fixture
def places(tmp_path):
    target, note = tmp_path / "made.csv", tmp_path / "made.json"
    target.write_text("a,b\n1,2\n")
    made.record(target, FROM, note)
    return target, note


def test_nothing_is_there_before_it_was_recorded(tmp_path):
    assert not made.is_there(tmp_path / "made.csv", {}, tmp_path / "made.json")
    (tmp_path / "made.csv").write_text("")
    assert not made.is_there(tmp_path / "made.csv", {}, tmp_path / "made.json")
    assert made.read(tmp_path / "made.json") == {}


def test_the_same_file_made_from_the_same_is_there(places):
    assert made.is_there(places[0], FROM, places[1])
    assert made.read(places[1])["image_size"] == 640


@pytest.mark.parametrize(
    "change",
    [
        lambda target, note: target.unlink(),
        lambda target, note: target.write_text("a,b\n1,3\n"),
        lambda target, note: note.unlink(),
        lambda target, note: note.write_text('{"weights": "ab12"'),
        lambda target, note: note.write_bytes(b"\xff\xfe"),
        lambda target, note: note.write_text("[]"),
    ],
)
def test_a_changed_file_or_note_is_made_again(places, change):
    change(*places)
    assert not made.is_there(places[0], FROM, places[1])


@pytest.mark.parametrize("other", [{}, FROM | {"image_size": 320}, FROM | {"more": 1}])
def test_what_was_made_from_other_values_is_made_again(places, other):
    assert not made.is_there(places[0], other, places[1])
