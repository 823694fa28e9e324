"""Estimators by scikit-learn's rules, for arrays and columns in memory."""

from gruvy.estimators.forecasting import Forecaster
from gruvy.estimators.music import MusicGenerator
from gruvy.estimators.sequences import SequenceClassifier, SequenceRegressor
from gruvy.estimators.speech import SpeechRecognizer
from gruvy.estimators.tags import Tagger
from gruvy.estimators.texts import TextGenerator, Translator

__all__ = [
    "Forecaster", "MusicGenerator", "SequenceClassifier", "SequenceRegressor", "SpeechRecognizer", "Tagger",
    "TextGenerator", "Translator",
]  # fmt: skip
