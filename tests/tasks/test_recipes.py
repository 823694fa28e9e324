"""Recipes by name, and the numbers that follow from the number of rows."""

import numpy as np
import pytest

from gruvy.errors import BadInput
from gruvy.tasks import TASKS
from gruvy.tasks.recipes import RECIPES, TextRecipe, recipe


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in RECIPES for name in RECIPES[kind]])
def test_recipes_are_found_by_name(kind, name):
    assert recipe(kind, name) is RECIPES[kind][name]


@pytest.mark.parametrize(
    ("name", "said"),
    [("smal", "did you mean 'small'"), ("", "expected one of default"), ("zzz", "recurrent")],
)
def test_an_unknown_recipe_is_refused_with_what_there_is(name, said):
    with pytest.raises(BadInput, match=said):
        recipe("text", name)


@pytest.mark.parametrize("rows", [1, 8, 100, 1_000, 25_000, 1_000_000])
def test_epochs_and_batches_stay_within_their_bounds(rows):
    made = TextRecipe()
    assert made.min_epochs <= made.epochs(np.full(rows, 200)) <= made.max_epochs
    assert 8 <= made.batch_for(rows) <= made.batch_size


def test_long_texts_and_many_texts_are_read_fewer_times():
    made = TextRecipe()
    assert made.epochs(np.full(1000, 20)) > made.epochs(np.full(20_000, 20)) > made.epochs(np.full(20_000, 200))


def test_every_task_tells_the_command_line_what_it_needs():
    for name, task in TASKS.items():
        assert task.name == name
        if task.study == "examples":
            assert task.target in task.columns
            assert next(iter(task.columns)) != task.target
        assert task.summary.endswith(".")
