"""Addresses of databases: from the environment, and never shown with their password."""

import sys
import types

import pytest

from livestock_utils.core import addresses
from livestock_utils.core.errors import TrainingError


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("", ""),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p/q@r@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=p&x=1", "postgresql://h/d?user=u&password=***&x=1"),
    ],
)
def test_passwords_are_hidden(text, hidden):
    assert addresses.hide_password(text) == hidden


def test_a_notebooks_text_keeps_all_but_the_password():
    cell = '{"source": ["storage = \\"postgresql://u:pw@h/d\\"\\n", "a = \\"x@y\\""]}'
    assert addresses.hide_password(cell) == cell.replace(":pw@", ":***@")


def test_a_name_stands_for_what_the_environment_holds(monkeypatch):
    monkeypatch.setenv("MY_STUDIES", "sqlite:///a.db")
    assert addresses.resolved("") == "" and addresses.resolved("sqlite:///b.db") == "sqlite:///b.db"
    assert addresses.resolved("$MY_STUDIES") == "sqlite:///a.db"
    monkeypatch.delenv("MY_STUDIES")
    with pytest.raises(
        TrainingError, match="the environment has no MY_STUDIES; set it to the address, on Colab"
    ):
        addresses.resolved("$MY_STUDIES")


def test_a_name_stands_for_a_colab_secret(monkeypatch):
    def get(name):
        if name != "MY_STUDIES":
            raise KeyError(name)
        return "sqlite:///c.db"

    colab = types.ModuleType("google.colab")
    colab.userdata = types.SimpleNamespace(get=get)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert addresses.resolved("$MY_STUDIES") == "sqlite:///c.db"
    with pytest.raises(
        TrainingError, match=r"Colab gives no secret 'OTHER' \(KeyError\); add it at the key symbol"
    ):
        addresses.resolved("$OTHER")
