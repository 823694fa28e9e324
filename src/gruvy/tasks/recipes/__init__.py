"""Recipes: every hyper-parameter of a training, by name (`--recipe NAME`), for each kind of input."""

from __future__ import annotations

import difflib
from typing import Any

from gruvy.errors import BadInput
from gruvy.tasks.recipes.base import Recipe
from gruvy.tasks.recipes.language import LanguageRecipe
from gruvy.tasks.recipes.series import ForecastRecipe, SeriesRecipe
from gruvy.tasks.recipes.text import TextRecipe
from gruvy.tasks.recipes.translation import TranslationRecipe

RECIPES: dict[str, dict[str, Recipe]] = {
    "text": {
        "default": TextRecipe(),
        "small": TextRecipe(vocabulary_size=10_000, max_tokens=200, embedding_size=64, hidden_size=48),
        "recurrent": TextRecipe(ngram_max_n=0),
    },
    "series": {
        "default": SeriesRecipe(),
        "small": SeriesRecipe(hidden_size=32, members=3, convolutions=2_000),
        "recurrent": SeriesRecipe(convolutions=0),
    },
    "prose": {
        "default": LanguageRecipe(),
        "small": LanguageRecipe(embedding_size=128, hidden_size=128, num_layers=1, tokens=3_000_000, max_epochs=12),
    },
    "pairs": {
        "default": TranslationRecipe(),
        "small": TranslationRecipe(
            embedding_size=96, hidden_size=128, vocabulary_size=4000, dropout=0.2, locked_dropout=0.1, pairs=300_000
        ),
    },
    "panel": {
        "default": ForecastRecipe(),
        "small": ForecastRecipe(hidden_size=64, steps=500, members=1),
    },
}


def recipe(kind: str, name: str) -> Recipe:
    """The recipe called `name` for one kind of input.

    Raises:
        BadInput: there is none.
    """
    named = RECIPES[kind]
    if name not in named:
        close = difflib.get_close_matches(name, named, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(named)}"
        raise BadInput(f"there is no recipe {name!r}; {hint}")
    return named[name]


def recipe_from_json(kind: str, data: dict) -> Recipe:
    """The recipe an artefact was trained with; TypeError for fields there are not."""
    values: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return type(RECIPES[kind]["default"])(**values)


__all__ = [
    "RECIPES", "ForecastRecipe", "LanguageRecipe", "Recipe", "SeriesRecipe", "TextRecipe", "TranslationRecipe",
    "recipe", "recipe_from_json",
]  # fmt: skip
