import dataclasses
from typing import ClassVar

import pytest

from livestock_utils.core.errors import TrainingError
from livestock_utils.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Cooking(Settings):
    error: ClassVar[type[TrainingError]] = TrainingError

    minutes: int = setting(10, "how long", unit="min", low=1, high=90)
    heat: float = setting(0.5, "share of the full flame", low=0, high=1)
    limit: float | None = setting(None, "never hotter than this", low=0)
    pan: str = setting("iron", "which pan", choices=("iron", "steel"))
    covered: bool = setting(False, "with a lid")
    spices: tuple[str, ...] = setting((), "what goes in")


def test_without_parameters_all_fields_have_their_defaults():
    assert Cooking.of({}) == Cooking()


def test_other_names_of_a_mapping_are_left_alone():
    assert Cooking.of({"minutes": 3, "np": object(), "seed": 1}) == Cooking(minutes=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"minutes": 0}, "minutes must be a whole number from 1 to 90, got 0"),
        ({"minutes": 2.5}, "minutes must be a whole number from 1 to 90, got 2.5"),
        ({"minutes": True}, "minutes must be a whole number from 1 to 90, got True"),
        ({"minutes": None}, "minutes must be a whole number from 1 to 90, got None"),
        ({"heat": 1.5}, "heat must be a number from 0 to 1, got 1.5"),
        ({"heat": float("nan")}, "heat must be a number from 0 to 1, got nan"),
        ({"limit": -1.0}, "limit must be a number of at least 0, got -1.0"),
        ({"pan": "clay"}, "pan must be one of iron, steel, got 'clay'"),
        ({"covered": 1}, "covered must be True or False, got 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(given, message):
    with pytest.raises(TrainingError) as refused:
        Cooking(**given)
    assert str(refused.value) == message


def test_whole_numbers_are_numbers_and_none_is_taken_where_it_is_allowed():
    assert Cooking(heat=1, limit=None).heat == 1


def test_the_table_has_a_row_a_field():
    table = Cooking.table().set_index("name")
    assert table.index.tolist() == ["minutes", "heat", "limit", "pan", "covered", "spices"]
    assert table.loc["minutes"].tolist() == [10, "min", "from 1 to 90", "how long"]
    assert table.loc["pan", "range"] == "iron, steel"
