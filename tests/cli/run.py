"""Runs commands as a user types them, within this process."""

from __future__ import annotations

import io
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.fixtures.small import strict_json

from gruvy.cli import main


@dataclass(frozen=True)
class Done:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is JSON and nothing else."""
        return strict_json(self.out)


def gruvy(*arguments: object, stdin: bytes | None = None) -> Done:
    """Run `gruvy ARGUMENTS`; `stdin` None is a terminal."""
    given = [str(a) for a in arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    source = io.TextIOWrapper(io.BytesIO(stdin or b""), "utf-8")
    source.isatty = lambda: stdin is None  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("default")  # what Python does with a user's warnings
        for name, stream in (("stdin", source), ("stdout", out), ("stderr", err)):
            patch.setattr(sys, name, stream)
        patch.setattr(sys, "argv", ["gruvy", *given])
        with pytest.raises(SystemExit) as ended:
            main(given)
    torch.set_flush_denormal(False)
    said = []
    for stream in (out, err):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())
    code = ended.value.code
    return Done(0 if code is None else int(code), *said)


def refused(*arguments: object, code: int = 2, **options: Any) -> str:
    """The one sentence on standard error of a command that must fail and print nothing else."""
    done = gruvy(*arguments, **options)
    assert (done.code, done.out) == (code, ""), done
    assert "Traceback" not in done.err
    lines = done.err.rstrip("\n").split("\n")
    assert lines[-1].startswith("gruvy: "), done.err
    assert len([line for line in lines if line.startswith("gruvy: ")]) == 1, done.err
    assert not lines[-1].startswith("gruvy: unexpected "), lines[-1]
    return lines[-1].removeprefix("gruvy: ")
