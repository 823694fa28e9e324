"""gruvy: gated recurrent networks, written as equations, run as kernels."""

import importlib
from typing import Any

__version__ = "0.1.0"

# Imported when first used, so that the language and the command line start without torch.
_LAZY = {
    "Forecaster": "gruvy.estimators", "GRU": "gruvy.layers", "MusicGenerator": "gruvy.estimators",
    "Recurrent": "gruvy.layers", "SequenceClassifier": "gruvy.estimators", "SequenceRegressor": "gruvy.estimators",
    "SpeechRecognizer": "gruvy.estimators", "Tagger": "gruvy.estimators", "TextGenerator": "gruvy.estimators",
    "Translator": "gruvy.estimators", "load": "gruvy.artefact",
}  # fmt: skip
__all__ = [
    "GRU",
    "Forecaster",
    "MusicGenerator",
    "Recurrent",
    "SequenceClassifier",
    "SequenceRegressor",
    "SpeechRecognizer",
    "Tagger",
    "TextGenerator",
    "Translator",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'gruvy' has no attribute {name!r}")
