"""Estimators by scikit-learn's rules, for arrays and columns in memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.console import Console
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from gruvy.artefact import Trained
from gruvy.cells.lookup import find_cell
from gruvy.data.labelled.series import SeriesTable
from gruvy.data.pairs import cleaned
from gruvy.errors import BadInput
from gruvy.tasks import TASKS
from gruvy.training.folded import FoldedStudy
from gruvy.training.forecasting import ForecastStudy
from gruvy.training.language import LanguageStudy
from gruvy.training.request import Request, check_request
from gruvy.training.study import Study
from gruvy.training.train import fitted, settled
from gruvy.training.translating import TranslationStudy


class _Sequences(BaseEstimator):
    """What the estimators of series share.

    Args:
        cell: a name of `gruvy cells`, or `FILE.py:FUNCTION`.
        recipe: hyper-parameters by name.
        front: `"conv"` or `"none"`, what stands before the recurrent layer.
        engine: which engine runs the cell.
        seed: of the folds, the initial weights and the shuffles.
        max_minutes: end the training within this time.
        quiet: show no progress.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, cell: str = "gru", recipe: str = "default", front: str = "conv", engine: str = "auto", seed: int = 0,
        max_minutes: float | None = None, quiet: bool = True,
    ):  # fmt: skip
        self.cell, self.recipe, self.front, self.engine = cell, recipe, front, engine
        self.seed, self.max_minutes, self.quiet = seed, max_minutes, quiet

    def _fit(self, task: str, X: Any, targets: Any) -> None:
        series = _series(X)
        if len(series) != len(targets):
            raise BadInput(f"there are {len(series)} series and {len(targets)} targets; give one for each")
        rows = np.arange(len(series))
        channels = tuple(str(c + 1) for c in range(series[0].shape[1]))
        table = SeriesTable(series, targets, rows, rows + 1, [""] * len(series), channels, [])
        request = Request(
            task, Path(), find_cell(self.cell), settings={"front": self.front}, seed=self.seed, engine=self.engine,
            recipe=self.recipe, max_minutes=self.max_minutes,
        )  # fmt: skip
        self.trained_ = _trained(FoldedStudy(request, table), self.quiet)

    def _predictions(self, X: Any) -> list[dict[str, Any]]:
        check_is_fitted(self, "trained_")
        return self.trained_.predict(_series(X))


class SequenceClassifier(ClassifierMixin, _Sequences):
    """Which label a series has.

    Series are an array `(series, steps)` or `(series, steps, channels)`, or a list of arrays `(steps, channels)` of any
    lengths, with NaN where a value is missing.

    Attributes:
        classes_: the labels, sorted.
    """

    def fit(self, X: Any, y: Sequence[Any]) -> Self:
        """Learn from series and their labels."""
        self.classes_, number = np.unique(np.asarray(y), return_inverse=True)
        self._fit("classify", X, [str(n).zfill(9) for n in number])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities `(series, labels)`, in the order of `classes_`."""
        said = self._predictions(X)
        return np.array([list(one["probabilities"].values()) for one in said]).reshape(len(said), len(self.classes_))

    def predict(self, X: Any) -> np.ndarray:
        """Labels `(series,)`."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]


class SequenceRegressor(RegressorMixin, _Sequences):
    """Which number a series has; series as for `SequenceClassifier`."""

    def fit(self, X: Any, y: Sequence[float]) -> Self:
        """Learn from series and their numbers."""
        self._fit("regress", X, np.asarray(y, np.float64))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Numbers `(series,)`."""
        return np.array([said["value"] for said in self._predictions(X)])


class Forecaster(BaseEstimator):
    """What comes next in series, with intervals.

    Args:
        target: column to forecast, or several; horizon: steps.
        time, id, known, past, static: columns by role, as in `gruvy train forecast`.
        input, season, level, loss, head, scale, mode, split: its settings.
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, target: str | Sequence[str], horizon: int, time: str | None = None, id: str | None = None,
        known: Sequence[str] = (), past: Sequence[str] = (), static: Sequence[str] = (), input: int | None = None,
        season: int | None = None, level: Sequence[int] = (80, 95), loss: str = "quantile", head: str = "direct",
        scale: str = "instance", mode: str = "independent", split: Sequence[float] = (0.7, 0.1, 0.2), cell: str = "gru",
        recipe: str = "default", engine: str = "auto", seed: int = 0, max_minutes: float | None = None,
        quiet: bool = True,
    ):  # fmt: skip
        self.target, self.horizon, self.time, self.id = target, horizon, time, id
        self.known, self.past, self.static, self.input, self.season = known, past, static, input, season
        self.level, self.loss, self.head, self.scale, self.mode, self.split = level, loss, head, scale, mode, split
        self.cell, self.recipe, self.engine, self.seed = cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: Any, y: None = None) -> Self:
        """Learn from columns by name: a data frame, or a dict of sequences."""
        if hasattr(X, "columns") and hasattr(X, "to_dict"):
            X = {str(name): X[name].to_numpy() for name in X.columns}
        if not isinstance(X, Mapping):
            raise BadInput(f"a forecast was to be learned from {X!r:.60}; give a data frame, or columns by name")
        targets = (self.target,) if isinstance(self.target, str) else tuple(self.target)
        columns = {"target": targets, "time": self.time, "id": self.id}
        columns |= {role: tuple(getattr(self, role)) for role in ("known", "past", "static")}
        names = ("horizon", "input", "season", "loss", "head", "scale", "mode")
        settings = {name: getattr(self, name) for name in names}
        settings |= {"level": tuple(self.level), "split": tuple(self.split)}
        request = Request(
            "forecast", Path(), find_cell(self.cell), columns=columns, settings=settings, seed=self.seed,
            engine=self.engine, recipe=self.recipe, max_minutes=self.max_minutes,
        )  # fmt: skip
        self.trained_ = _trained(ForecastStudy(request, X), self.quiet)
        return self

    def predict(self, X: Any = None) -> list[dict[str, Any]]:
        """The next steps: a row a series, target and step, after the columns given, or after those of the training."""
        check_is_fitted(self, "trained_")
        return self.trained_.predict(X)


class TextGenerator(BaseEstimator):
    """A language model: what comes next in a text.

    Args:
        unit: `"word"`, `"bpe"` or `"char"`; vocabulary: tokens at most.
        cache, split: settings of `gruvy train language`.
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, unit: str = "bpe", vocabulary: int | None = None, cache: int = 0,
        split: Sequence[float] = (0.9, 0.05, 0.05), cell: str = "gru", recipe: str = "default", engine: str = "auto",
        seed: int = 0, max_minutes: float | None = None, quiet: bool = True,
    ):  # fmt: skip
        self.unit, self.vocabulary, self.cache, self.split = unit, vocabulary, cache, split
        self.cell, self.recipe, self.engine, self.seed = cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: str | Sequence[str], y: None = None) -> Self:
        """Learn from a text, or from several."""
        settings = {"unit": self.unit, "vocabulary": self.vocabulary, "cache": self.cache, "split": tuple(self.split)}
        self.trained_ = _trained(LanguageStudy(_request("language", self, settings), _texts(X)), self.quiet)
        return self

    def generate(self, prompt: str = "", length: int = 100, **sampling: Any) -> str:
        """What comes after a prompt, `length` tokens; `sampling` as for `gruvy.artefact.Trained.generate`."""
        check_is_fitted(self, "trained_")
        return "".join(self.trained_.generate(prompt, length, **sampling))

    def predict(self, X: Sequence[str]) -> list[dict[str, Any]]:
        """How probable each text is: tokens, perplexity, bits a character."""
        check_is_fitted(self, "trained_")
        found: list[dict[str, Any]] = self.trained_.predict(_texts(X))
        return found

    def score(self, X: str | Sequence[str], y: None = None) -> float:
        """Log-likelihood a token in nats, over all texts: higher is better."""
        said = self.predict(_texts(X))
        return float(-sum(one["nll"] * one["tokens"] for one in said) / sum(one["tokens"] for one in said))


class Translator(BaseEstimator):
    """What a text becomes: its translation, or the answer to it.

    Args:
        unit, vocabulary, vocabularies, encoder, attention, beam, length_penalty, context, split: settings of
            `gruvy train translate`.
        cell, recipe, engine, seed, max_minutes, quiet: as for `SequenceClassifier`.

    Attributes:
        trained_: the `gruvy.artefact.Trained` model.
    """

    def __init__(
        self, unit: str = "bpe", vocabulary: int | None = None, vocabularies: str = "shared",
        encoder: str | None = None, attention: str | None = None, beam: int = 5, length_penalty: float = 1.0,
        context: int = 0, split: Sequence[float] = (0.9, 0.05, 0.05), cell: str = "gru", recipe: str = "default",
        engine: str = "auto", seed: int = 0, max_minutes: float | None = None, quiet: bool = True,
    ):  # fmt: skip
        self.unit, self.vocabulary, self.vocabularies = unit, vocabulary, vocabularies
        self.encoder, self.attention, self.beam, self.length_penalty = encoder, attention, beam, length_penalty
        self.context, self.split = context, split
        self.cell, self.recipe, self.engine, self.seed = cell, recipe, engine, seed
        self.max_minutes, self.quiet = max_minutes, quiet

    def fit(self, X: Sequence[str], y: Sequence[str]) -> Self:
        """Learn from sources and their targets."""
        sources, targets = _sides(X, y)
        names = ("unit", "vocabulary", "vocabularies", "encoder", "attention", "beam", "length_penalty", "context")
        settings = {name: getattr(self, name) for name in names} | {"split": tuple(self.split)}
        pairs = cleaned(sources, targets)
        for number, pair in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
            if not all(map(str.strip, pair)):
                raise BadInput(f"pair {number + 1} has an empty side; give texts, or leave the pair out")
        self.trained_ = _trained(TranslationStudy(_request("translate", self, settings), pairs), self.quiet)
        return self

    def predict(self, X: Sequence[str]) -> list[str]:
        """Translations."""
        check_is_fitted(self, "trained_")
        return [said["translation"] for said in self.trained_.predict(_texts(X))]

    def score(self, X: Sequence[str], y: Sequence[str]) -> float:
        """BLEU, by sacrebleu."""
        check_is_fitted(self, "trained_")
        sources, targets = _sides(X, y)
        figures: dict[str, float] = self.trained_.task.metrics(self.predict(sources), targets)
        return figures["bleu"]


def _request(task: str, estimator: Any, settings: Mapping[str, Any]) -> Request:
    kinds = TASKS[task].settings
    for name, value in settings.items():
        if kinds[name].kind is int and not isinstance(value, (int, np.integer, type(None))):
            raise BadInput(f"{name} is {value!r}; expected a whole number")
    request = Request(
        task, Path(), find_cell(estimator.cell), settings=settings, seed=estimator.seed, engine=estimator.engine,
        recipe=estimator.recipe, max_minutes=estimator.max_minutes,
    )  # fmt: skip
    check_request(request)
    return request


def _sides(X: Any, y: Any) -> tuple[list[str], list[str]]:
    """Sources and targets, as many of both."""
    sources, targets = _texts(X), _texts(y)
    if len(sources) != len(targets):
        raise BadInput(f"there are {len(sources)} sources and {len(targets)} targets; give one for each")
    return sources, targets


def _texts(X: Any) -> list[str]:
    """A text, or several, as a list."""
    texts = [X] if isinstance(X, str) else list(X) if isinstance(X, Iterable) else []
    if not texts:
        raise BadInput(f"texts were given as {X!r:.60}; give a list of str")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"text {number + 1} is a {type(text).__name__}; expected a str")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadInput(f"text {number + 1} is not valid Unicode; give it as UTF-8") from None
    return texts


def _trained(study: Study, quiet: bool) -> Trained:
    check_request(study.request)
    console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder, settled(study.request.seed):
        return fitted(study, Path(folder), console, time.monotonic())[0]


def _series(X: Any) -> list[np.ndarray]:
    """Arrays `(steps, channels)`, float32."""
    if not isinstance(X, (np.ndarray, list, tuple)) or not len(X):
        raise BadInput(f"series were given as {X!r:.60}; give an array (series, steps, channels) or a list of arrays")
    wrong_kind = next((one for one in X if isinstance(one, str)), None)
    if wrong_kind is not None:
        raise BadInput(
            f"a series was given as the text {wrong_kind!r:.60}; give numbers (gruvy train classify reads texts)"
        )
    arrays = [np.asarray(one, np.float32) for one in X]
    arrays = [one[:, None] if one.ndim == 1 else one for one in arrays]
    wrong = next((one.shape for one in arrays if one.ndim != 2), None)
    if wrong is not None:
        raise BadInput(f"a series has the shape {wrong}; expected (steps, channels)")
    return arrays
