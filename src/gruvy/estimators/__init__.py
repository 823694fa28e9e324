"""Estimators by scikit-learn's rules, for arrays and columns in memory."""

from gruvy.estimators.forecasting import Forecaster
from gruvy.estimators.sequences import SequenceClassifier, SequenceRegressor
from gruvy.estimators.texts import TextGenerator, Translator

__all__ = ["Forecaster", "SequenceClassifier", "SequenceRegressor", "TextGenerator", "Translator"]
