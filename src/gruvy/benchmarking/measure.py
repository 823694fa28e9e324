"""Measuring: parity first, then rounds in which every peer of a problem takes its turn."""

from __future__ import annotations

import math
import os
import time
import timeit
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import torch

from gruvy.benchmarking.contract import Arrays, Case, Peer
from gruvy.benchmarking.peers import Gruvy, Torch
from gruvy.benchmarking.problem import Mode, Problem, Shape
from gruvy.cells import Cell

_SAMPLE = 0.01  # seconds a sample lasts at least: short calls are repeated within it
_PATIENCE = 0.5  # seconds that a peer's idle threads are given to stop looking for work
_SQUARE = 2048  # of the matrix product that stands for the machine's best rate


@dataclass(frozen=True)
class Figure:
    """One peer in one mode at one shape.

    Attributes:
        seconds: the median of the rounds; None where there is no figure, and `why` says why.
        ratio: to the base peer, the median of the ratios within a round.
        error: the largest relative error of outputs and gradients; None when the peer gave no numbers.
        flops: of the products that cannot be avoided.
        others: the cores that other programs used meanwhile, where the system says so.
    """

    mode: str
    shape: Shape
    peer: str
    flops: float
    others: float = 0.0
    seconds: float | None = None
    ratio: float | None = None
    error: float | None = None
    why: str = ""


@dataclass
class Bench:
    """A comparison under way.

    Attributes:
        base: the name of the peer the others are compared with.
        figures: what has been measured so far.
        rate: the best rate of a large matrix product seen so far, in FLOP/s.
    """

    cell: Cell
    peers: Sequence[Peer]
    threads: int
    repeats: int
    figures: list[Figure] = field(default_factory=list)
    rate: float = 0.0

    @property
    def base(self) -> str:
        """torch where it takes part, then the loop of torch calls."""
        names = [peer.name for peer in self.peers]
        return next((name for name in ("torch", "gruvy eager") if name in names), names[0])

    def parts(self, mode: Mode) -> int:
        """How often `measure` calls `advance`."""
        return len(self._peers(mode)) * (1 + self.repeats)

    def measure(self, mode: Mode, shape: Shape, advance: Callable[[str], None]) -> None:
        """Add the figures of a mode at a shape; an interrupt leaves those before as they are.

        Args:
            advance: called with the name of a peer whenever it has had a turn.
        """
        with torch.random.fork_rng(devices=[]), _threads(self.threads):
            self.rate = max(self.rate, _product_rate())
            self.figures += self._compare(Problem.make(self.cell, mode, shape, self.threads), advance)

    def share(self, figure: Figure) -> float | None:
        """Of the time the products alone take at the best rate; None at batch 1, where reading weights is the limit."""
        if figure.seconds is None or figure.shape[1] == 1:
            return None
        return figure.flops / self.rate / figure.seconds

    def _peers(self, mode: Mode) -> list[Peer]:
        return [peer for peer in self.peers if mode.name in peer.modes]

    def _compare(self, problem: Problem, advance: Callable[[str], None]) -> list[Figure]:
        expected, cases, checked = _expected(problem), {}, {}
        for peer in self._peers(problem.mode):
            _settle()
            case, error, why = _set_up(peer, problem, expected)
            checked[peer.name] = error, why
            if case is not None and not why:
                cases[peer.name] = case
            advance(peer.name)
        steps = problem.shape[0] if problem.mode.streams else 1
        began, used = time.monotonic(), _used_by_others()
        times = _rounds(cases, self.repeats, advance)
        others = max(0.0, (_used_by_others() - used) / (time.monotonic() - began))
        ratios = {name: np.divide(t, times[self.base]) for name, t in times.items()} if self.base in times else {}
        return [
            Figure(
                problem.mode.name, problem.shape, name, problem.flops, others,
                median(times[name]) / steps if name in times else None,
                float(np.median(ratios[name])) if name in ratios else None, error, why,
            )
            for name, (error, why) in checked.items()
        ]  # fmt: skip


def _expected(problem: Problem) -> Arrays:
    """Outputs and gradients in float64, by torch where it has the cell."""
    peer = Torch() if Torch().runs(problem.cell) else Gruvy("eager")
    case = peer.build(problem.double())
    return case.results(case.call())


def _set_up(peer: Peer, problem: Problem, expected: Arrays) -> tuple[Case | None, float | None, str]:
    """The case, its largest relative error, and why it takes no part in the rounds."""
    try:
        case = peer.build(problem)
        found = case.results(case.call())
        errors = {name: _relative_error(found[name], wanted) for name, wanted in expected.items()}
    except Exception as failure:  # another library may raise anything; the others are measured all the same
        said = str(failure).strip().splitlines() or [type(failure).__name__]
        return None, None, f"failed: {said[0]}"
    outputs, gradients = peer.tolerance
    wrong = any(not e <= (outputs if name == "output" else gradients) for name, e in errors.items())  # NaN is wrong
    largest = max(errors.values(), key=lambda e: math.inf if math.isnan(e) else e)
    return case, largest, f"disagrees (error {largest:.0e})" if wrong else ""


def _relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, in units of the largest number."""
    difference = np.abs(found.reshape(wanted.shape) - wanted).max(initial=0)
    return float(difference / max(np.abs(wanted).max(initial=0), np.finfo(np.float64).tiny))


def _rounds(cases: Mapping[str, Case], repeats: int, advance: Callable[[str], None]) -> dict[str, list[float]]:
    """Seconds of a call, one figure a round: A B C, A B C, ..., so that noise meets all."""
    calls = {name: _calls(case) for name, case in cases.items()}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            _settle()
            if calls[name] > 1:
                case.call()  # brings its data and threads back
            times[name].append(timeit.timeit(case.call, number=calls[name]) / calls[name])
            advance(name)
    return times


def _calls(case: Case) -> int:
    """How many make a sample."""
    _settle()
    case.call()
    return max(1, math.ceil(_SAMPLE / timeit.timeit(case.call, number=1)))


def _settle() -> None:
    """Wait until the threads of the peer before have stopped spinning, which would slow the next one many times."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        before = time.process_time()
        time.sleep(_SAMPLE)
        if time.process_time() - before < _SAMPLE / 10:
            return


def _used_by_others() -> float:
    """CPU seconds of everything but this process, since the machine started; on Linux only."""
    try:
        used = Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, *rest = map(int, used)
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK") - time.process_time()


def _product_rate() -> float:
    """FLOP/s of a product of two large square matrices."""
    a = torch.rand(_SQUARE, _SQUARE)
    out = torch.empty_like(a)
    return 2 * _SQUARE**3 / min(timeit.repeat(lambda: torch.mm(a, a, out=out), number=1, repeat=3))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
