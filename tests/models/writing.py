"""Small translation models for tests."""

import torch

from gruvy.cells import CATALOGUE
from gruvy.data.batches import pad
from gruvy.data.vocabulary import END
from gruvy.models.translation import translation_model

SOURCES = [[3, 4, 5, 6, 2], [2], [7, 3, 2], [5, 5, 5, 5, 5, 5, 2]]
TARGETS = [[4, 2], [5, 6, 7, 8, 2], [2], [8, 3, 3, 2]]  # with their ends
OPTIONS = {
    "shared": True, "encoder": "gru", "attention": "additive", "embedding_size": 5, "hidden_size": 6,
    "num_layers": 1, "word_dropout": 0.2, "locked_dropout": 0.3, "dropout": 0.3, "smoothing": 0.1, "engine": "auto",
}  # fmt: skip
SPREAD, ENDING = 2.0, -1.0


def new_model(cell=CATALOGUE["gru"], vocabulary=9, seed=0, **changes):
    torch.manual_seed(seed)
    source, target = vocabulary if isinstance(vocabulary, tuple) else (vocabulary, vocabulary)
    return translation_model(source, target, cell, **{**OPTIONS, **changes})


def small_model(cell=CATALOGUE["gru"], vocabulary=9, seed=0, **changes):
    """In evaluation mode, with weights large enough that what it writes depends on the source."""
    model = new_model(cell, vocabulary, seed, **changes).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.uniform_(-SPREAD, SPREAD)
        model.bias[END] = ENDING
    return model


def padded(sequences, extra=0):
    ids, lengths = pad(sequences)
    return torch.nn.functional.pad(torch.from_numpy(ids), (0, extra)), torch.from_numpy(lengths)


def batch(sources=SOURCES, targets=TARGETS, extra=0):
    source, source_lengths = padded(sources, extra)
    target, target_lengths = padded([[END, *ids[:-1]] for ids in targets], extra)
    return {
        "source": source, "source_lengths": source_lengths, "target": target, "target_lengths": target_lengths,
        "targets": torch.tensor([i for ids in targets for i in ids]),
    }  # fmt: skip
