"""Bars show where a person looks, and nowhere else."""

import sys
import types

import pytest

from livestock_utils.core.progress import progress, watched
from livestock_utils.core.threads import swapped


def kernel_shell(**attributes):
    return types.SimpleNamespace(
        get_ipython=lambda: types.SimpleNamespace(kernel=types.SimpleNamespace(**attributes))
    )


def test_passes_everything_through_without_a_terminal(capsys):
    assert list(progress([])) == []
    assert list(progress([3, 1, 2], desc="numbers")) == [3, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize(("allow_stdin", "expected"), [(True, True), (False, False)])
def test_in_a_kernel_headless_clients_count_as_unwatched(monkeypatch, allow_stdin, expected):
    monkeypatch.setitem(sys.modules, "IPython", kernel_shell(_allow_stdin=allow_stdin))
    assert watched() is expected


def test_in_a_terminal_the_bar_shows(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert watched()
    assert list(progress(range(2), desc="numbers")) == [0, 1]
    assert "numbers" in capsys.readouterr().err


def test_the_callers_disable_wins(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    list(progress(range(2), disable=True))
    assert capsys.readouterr().err == ""


def test_entries_are_swapped_for_a_while_and_nothing_else_is_ever_gone():
    class Watched(dict):
        def clear(self):
            raise AssertionError("another thread would find nothing")

    table = Watched(a=1, b=2)
    with pytest.raises(ZeroDivisionError), swapped(table, {"b": 3, "c": 4}):
        assert table == {"a": 1, "b": 3, "c": 4}
        1 / 0  # noqa: B018
    assert table == {"a": 1, "b": 2}
