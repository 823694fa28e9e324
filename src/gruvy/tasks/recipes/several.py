"""Recipes of models of several inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

from gruvy.tasks.recipes.base import Recipe
from gruvy.tasks.recipes.sequence import SequenceRecipe
from gruvy.tasks.recipes.series import SeriesRecipe
from gruvy.tasks.recipes.sound import SoundRecipe
from gruvy.tasks.recipes.text import TextRecipe


@dataclass(frozen=True)
class SeveralRecipe(Recipe):
    """The hyper-parameters of a model of several inputs.

    Attributes:
        text, series, sequence, audio: of the encoder of such an input; how it is trained is said here alone.
        fused_size, hiding, dropout: see `gruvy.models.several.SeveralNetwork`.
    """

    text: TextRecipe = field(default_factory=TextRecipe)
    series: SeriesRecipe = field(default_factory=lambda: SeriesRecipe(members=1, convolutions=0))
    sequence: SequenceRecipe = field(default_factory=lambda: SequenceRecipe(members=1, kmers=False))
    audio: SoundRecipe = field(default_factory=SoundRecipe)
    fused_size: int = 128
    hiding: float = 0.2
    dropout: float = 0.3
