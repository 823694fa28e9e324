"""The number of threads, for a while."""

from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int):
    """`count` threads within the block, as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
