"""Layers: any cell over sequences, and the drop-in for `torch.nn.GRU`."""

from gruvy.layers.gru import GRU
from gruvy.layers.lengths import lengths_from_mask, right_padded
from gruvy.layers.recurrent import Recurrent

__all__ = ["GRU", "Recurrent", "lengths_from_mask", "right_padded"]
