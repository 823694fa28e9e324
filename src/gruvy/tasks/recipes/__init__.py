"""Recipes: every hyper-parameter of a training, by name (`--recipe NAME`), for each kind of input."""

from __future__ import annotations

import difflib
from typing import Any

from gruvy.errors import BadInput
from gruvy.tasks.recipes.base import Recipe
from gruvy.tasks.recipes.language import LanguageRecipe
from gruvy.tasks.recipes.music import MusicRecipe
from gruvy.tasks.recipes.sequence import SequenceRecipe
from gruvy.tasks.recipes.series import ForecastRecipe, SeriesRecipe
from gruvy.tasks.recipes.several import SeveralRecipe
from gruvy.tasks.recipes.sound import SoundRecipe
from gruvy.tasks.recipes.speech import SpeechRecipe
from gruvy.tasks.recipes.tags import TagRecipe
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
    "sequence": {
        "default": SequenceRecipe(),
        "small": SequenceRecipe(hidden_size=32, members=1),
        "recurrent": SequenceRecipe(kmers=False),
    },
    "sound": {
        "default": SoundRecipe(),
        "small": SoundRecipe(filters=(8, 16, 32), hidden_size=32, steps=600),
    },
    "several": {
        "default": SeveralRecipe(),
        "small": SeveralRecipe(text=TextRecipe(vocabulary_size=10_000, embedding_size=64, hidden_size=48), steps=1000),
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
    "steps": {
        "default": TagRecipe(),
        "small": TagRecipe(hidden_size=64, members=2, tokens=1_500_000),
    },
    "utterances": {
        "default": SpeechRecipe(),
        "small": SpeechRecipe(hidden_size=64, num_layers=1, clips=30_000),
    },
    "rolls": {
        "default": MusicRecipe(),
        "plain": MusicRecipe(window=192, recall_size=0),
        "small": MusicRecipe(embedding_size=128, hidden_size=128, min_epochs=20),
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
    return _read(RECIPES[kind]["default"], data)


def _read(like: Recipe, data: dict) -> Recipe:
    """A recipe of the same type; recipes within it are mappings in JSON, and tuples are lists."""
    values: Any = {}
    for name, value in data.items():
        inner = getattr(like, name, None)
        read = _read(inner, value) if isinstance(inner, Recipe) else value
        values[name] = tuple(read) if isinstance(read, list) else read
    return type(like)(**values)


__all__ = [
    "RECIPES", "ForecastRecipe", "LanguageRecipe", "MusicRecipe", "Recipe", "SequenceRecipe", "SeriesRecipe",
    "SoundRecipe", "SpeechRecipe", "TagRecipe", "TextRecipe", "TranslationRecipe", "recipe", "recipe_from_json",
]  # fmt: skip
