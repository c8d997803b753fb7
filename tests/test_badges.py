"""Badges of the README's table: one a notebook, replaced and not repeated."""

import pytest

from livestock_utils.core.errors import NotebookError
from livestock_utils.show.pipeline import badges

TABLE = (
    "| notebook | time |\n|---|---|\n| [01_eda](notebooks/01_eda.ipynb) | 15 s |\n\n"
    "See [01_eda](notebooks/01_eda.ipynb).\n"
)
FIRST = "https://colab.research.google.com/github/owner/name/blob/main/notebooks/01_eda.ipynb"


def test_a_text_without_notebooks_stays():
    assert badges.with_badges("# Nothing\n", "https://github.com/owner/name") == "# Nothing\n"


def test_only_the_tables_notebooks_get_one():
    text = badges.with_badges(TABLE, "https://github.com/owner/name")
    assert text.count(FIRST) == 1
    assert (
        f"[01_eda](notebooks/01_eda.ipynb) [![Colab]({badges.PICTURE})]({FIRST}) | 15 s |" in text
    )


@pytest.mark.parametrize(
    "again", ["https://github.com/owner/name", "https://github.com/owner/name.git"]
)
def test_another_address_takes_the_place_of_the_first(again):
    first = badges.with_badges(TABLE, "https://github.com/other/place")
    assert badges.with_badges(first, again) == badges.with_badges(
        TABLE, "https://github.com/owner/name"
    )


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("clone", "git clone https://github.com/mine/here && cd here"),
        ("install", "pip install git+https://github.com/mine/here"),
    ],
)
def test_lines_with_the_address_appear_at_their_places_once(place, line):
    text = f"Before\n\n<!-- {place} --><!-- end -->\n\nafter\n"
    for _ in range(2):
        text = badges.with_badges(text, "https://github.com/mine/here.git")
        assert text.count(line) == text.count("```bash") == 1
        assert text.startswith("Before\n\n<!--") and text.endswith("<!-- end -->\n\nafter\n")


def test_an_address_that_colab_cannot_open_is_refused():
    with pytest.raises(
        NotebookError, match=r"badges need a repository on GitHub, owner/name, got 'https://git\.ex"
    ):
        badges.with_badges(TABLE, "https://git.example.org/a/b")


def test_both_readmes_are_written_where_they_are(tmp_path):
    (tmp_path / "README.md").write_text(TABLE, encoding="utf-8")
    assert badges.write_badges(tmp_path, "https://github.com/owner/name") == [
        tmp_path / "README.md"
    ]
    assert FIRST in (tmp_path / "README.md").read_text(encoding="utf-8")
