"""Layers beside what they are compared with."""

import numpy as np
import torch

# How far a layer may be from torch's own: float32 as documented in the README, float64 to rounding.
VALUE = {torch.float32: 1e-6, torch.float64: 1e-12}
GRAD = {torch.float32: 1e-5, torch.float64: 1e-11}


def near(got, wanted, allowed):
    assert got.shape == wanted.shape, f"{tuple(got.shape)}, expected {tuple(wanted.shape)}"
    if wanted.numel():
        error = float((got - wanted).detach().abs().max() / max(1.0, float(wanted.detach().abs().max())))
        assert error <= allowed, f"off by {error:.2g}, allowed {allowed:.2g}"


def as_tuple(states):
    return states if isinstance(states, tuple) else (states,)


def random_weights(made, seed=0):
    """Give every parameter numbers that a mistake would show in (initial ones are small, or equal)."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.as_tensor(rng.uniform(-0.8, 0.8, tuple(p.shape)), dtype=p.dtype))
    return made


def inputs_for(made, steps, batch, seed=0, dtype=torch.float32):
    """Random inputs for a cell's layer, `(steps, batch, units)` each."""
    from gruvy.language.cell import units

    rng = np.random.default_rng(seed)
    sizes = {"I": made.input_size, "H": made.hidden_size}
    return [
        torch.as_tensor(rng.uniform(0.1, 0.9, (steps, batch, units(size, sizes))), dtype=dtype)
        for size in made.cell.inputs.values()
    ]
