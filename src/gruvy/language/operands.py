"""What `W`, `U`, `b`, ... are when a cell's function is called: with arrays here, with symbols in `trace`.

The classes have no public attribute, because every public name is free for a gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gruvy.errors import BadInput


class _Group:
    __slots__ = ("_letter", "_members")

    def __init__(self, letter: str, members: Mapping[str, Any]):
        self._letter, self._members = letter, members

    def __getattr__(self, name: str) -> Any:
        try:
            return self._members[name]
        except KeyError:
            have = ", ".join(self._members) or "nothing"
            raise BadInput(f"{self._letter}.{name} was used, but {self._letter} holds {have}") from None


class Vectors(_Group):
    """Vectors or scalars by name: `b.r` is an array of shape `(size,)`."""


class Matrices(_Group):
    """Matrices by name: `W.r(v)` is `v` of shape `(..., n)` times the transpose of an array `(H, n)`: `(..., H)`."""

    def __getattr__(self, name: str) -> Callable:
        matrix = super().__getattr__(name)
        return lambda v: v @ matrix.T


class Normalised(_Group):
    """What a layer's normalisers have made of a step, by name: `N.z(v)` is that array, `v` having gone in before."""

    def __getattr__(self, name: str) -> Callable:
        array = super().__getattr__(name)
        return lambda v: array


def group(letter: str, members: Mapping[str, Any]) -> _Group:
    """The operand for an argument called `letter`, holding `members`."""
    if letter == "N":
        return Normalised(letter, members)
    return (Matrices if letter.isupper() else Vectors)(letter, members)
