"""The library keeps its shape: see structure.py, which prints the same."""

import subprocess
import sys

import pytest
import structure

KNOWN = structure.sources()
GRAPH = {module: structure.imports(path, KNOWN) & set(KNOWN) for module, path in KNOWN.items()}


def test_a_wing_imports_only_wings_below_it():
    assert structure.broken_order(GRAPH) == []


def test_no_modules_import_each_other_not_even_inside_functions():
    assert structure.circles(GRAPH) == []


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({}, 0),
        ({"a": {"b"}, "b": set()}, 0),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, 1),
    ],
)
def test_circles_are_found(graph, found):
    assert len(structure.circles(graph)) == found


def test_an_import_upwards_is_found():
    graph = {"livestock_utils.core.boxes": {"livestock_utils.show.words.eda"}}
    assert structure.broken_order(graph) == [
        "livestock_utils.core.boxes imports livestock_utils.show.words.eda, which stands above it"
    ]


def test_every_name_of_the_door_is_there_and_none_is_a_wing():
    import livestock_utils as lu

    assert not set(structure.door()) & set(structure.WINGS)
    for name in structure.door():
        assert getattr(lu, name) is getattr(lu, name), name
    with pytest.raises(AttributeError, match="has no attribute 'pie'"):
        lu.pie  # noqa: B018


def test_the_door_loads_nothing_heavy():
    code = (
        "import sys, livestock_utils; "
        "heavy = {'numpy', 'pandas', 'torch', 'matplotlib', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy; assert dir(livestock_utils)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_displays_and_plots_are_where_their_tables_say():
    import livestock_utils as lu

    for module in (lu.displays, lu.plots):
        for name in module.__all__:
            assert callable(getattr(module, name)), name


def test_the_door_opens_at_once():
    code = "import sys; before = set(sys.modules); import livestock_utils; "
    code += "print(*(name for name in set(sys.modules) - before if '.' not in name))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(told.stdout.split())
    assert "livestock_utils" in loaded
    assert loaded - {"livestock_utils"} <= set(sys.stdlib_module_names)


def test_what_nobody_else_uses_is_private():
    assert structure.unused_names(KNOWN) == []


@pytest.mark.parametrize("what", structure.MOST)
def test_the_face_stays_thin(what):
    assert structure.counts()[what] <= structure.MOST[what]
