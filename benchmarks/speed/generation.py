"""How quickly a language model writes one text, beside the same loop over `torch.nn.GRU`.

    python benchmarks/speed/generation.py DIR [TOKENS]

DIR is what `gruvy train language` wrote, with the cell `gru`. The loop has the model's own weights: embedding, GRU,
scores of the whole vocabulary, softmax, a draw. Both take turns in one process, on a quiet machine, with torch's own
number of threads and with one.
"""

import itertools
import statistics
import sys
import time

import torch
from torch.nn import functional as F

import gruvy
from gruvy.models.sampling import Sampling
from gruvy.tasks.modalities.prose import Writer

ROUNDS = 9


class Loop:
    """The loop one writes without gruvy."""

    def __init__(self, network):
        self.network = network
        self.layers = []
        for layer in network.layers:
            gru = torch.nn.GRU(layer.input_size, layer.hidden_size).eval()
            gru.load_state_dict(layer.state_dict())
            self.layers.append(gru)

    @torch.inference_mode()
    def write(self, length):
        """`length` tokens."""
        token = torch.zeros(1, 1, dtype=torch.long)
        states = [None] * len(self.layers)
        for _ in range(length):
            x = self.network.embedding(token)
            for place, layer in enumerate(self.layers):
                x, states[place] = layer(x, states[place])
            if self.network.projection is not None:
                x = self.network.projection(x)
            scores = F.linear(x[0, 0], self.network.embedding.weight, self.network.bias)
            token = torch.multinomial(F.softmax(scores, -1), 1)[None]


def main(folder, length=500):
    """Print microseconds a token and the ratio of the medians, for each number of threads."""
    trained = gruvy.load(folder)
    loop = Loop(trained.model.network)
    for threads in dict.fromkeys((torch.get_num_threads(), 1)):
        torch.set_num_threads(threads)
        took = {"torch.nn.GRU": [], "gruvy": []}
        for number in itertools.count():
            began = time.perf_counter()
            loop.write(length)
            between = time.perf_counter()
            for _ in Writer(trained, Sampling(), seed=number).write("", length):
                pass
            if number:  # the first round warms up
                took["torch.nn.GRU"].append((between - began) / length)
                took["gruvy"].append((time.perf_counter() - between) / length)
            if number == ROUNDS:
                break
        medians = {name: statistics.median(times) for name, times in took.items()}
        ratios = sorted(theirs / ours for theirs, ours in zip(took["torch.nn.GRU"], took["gruvy"], strict=True))
        shown = ", ".join(f"{name} {1e6 * median:.0f} us a token" for name, median in medians.items())
        spread = f"rounds {ratios[0]:.1f} to {ratios[-1]:.1f}"
        print(f"{threads} thread(s): {shown}; {statistics.median(ratios):.1f}x ({spread})")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
