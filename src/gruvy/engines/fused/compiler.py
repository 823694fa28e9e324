"""Generated C++ as a shared library: built by the user's compiler at first use and kept in a disk cache.

An entry of the cache is ``NAME-KEY.so`` with its source (``.cpp``), its SHA-256 (``.so.sha256``), a lock
(``.so.lock``) and, where the compiler failed, its output (``.log``). KEY hashes all that the library depends
on. Files are moved into place whole, so a process killed at any moment leaves at worst a stale temporary file.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gruvy.errors import EngineError

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]

__all__ = ["CompilerError", "available", "library"]

_HERE = Path(__file__).parent  # the headers that generated sources include are here
_COMPILERS = ("g++", "c++", "clang++")
_FLAGS = (
    "-std=c++17", "-shared", "-fPIC", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
    "-fvisibility=hidden",
)  # fmt: skip
# GCC keeps more values in registers than there are, and puts vectors on the stack within the loops.
_GCC_FLAGS = ("-fno-tree-pre", "-fno-gcse", "-fno-tree-loop-im", "-fno-move-loop-invariants")
_SECONDS = 120.0  # what a compilation may take


class CompilerError(EngineError):
    """No library could be built of a kernel's source: no compiler, or it failed."""


def available() -> str | None:
    """None if there is a C++ compiler that starts, otherwise why there is none and what to do."""
    try:
        _compiler()
    except CompilerError as error:
        return str(error)
    return None


def library(name: str, source: str, flags: Sequence[str]) -> Path:
    """The shared library of a C++ source, compiled unless the cache has it intact.

    The compiler is ``$CXX``, which may hold arguments, or the first of g++, c++ and clang++. The cache is
    ``$GRUVY_CACHE``, or else ``gruvy`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; where that cannot be written,
    or others could put a library into it, a temporary folder serves until the process ends, with a warning.

    Args:
        name: whose kernel it is, for messages and file names.
        source: the C++ source; may include the headers beside this file.
        flags: compiler flags beyond those every kernel is built with.

    Returns:
        The library's absolute path. It has been loaded once, so it can be loaded.

    Raises:
        CompilerError: there is no compiler, it failed or took too long, or its result cannot be kept or loaded.
    """
    command, version = _compiler()
    flags = [*_FLAGS, *(() if "clang" in version else _GCC_FLAGS), *flags]
    headers = {header.name: header.read_text(encoding="utf-8") for header in sorted(_HERE.glob("*.h"))}
    depends_on = [source, headers, command, version, flags, platform.machine()]
    key = hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:32]
    try:
        file = _folder() / f"{re.sub('[^A-Za-z0-9_]+', '_', name)[:40]}-{key}.so"
        if not _usable(file):
            with _locked(file.with_suffix(".so.lock")):
                if not _usable(file):  # another process may have built it meanwhile
                    _build(name, source, [*command, *flags], file)
    except OSError as error:
        raise CompilerError(
            f"the kernel of {name} cannot be kept on disk ({error}); free some space, or set GRUVY_CACHE to a "
            "folder that only you can write to"
        ) from None
    return file


def _build(name: str, source: str, command: list[str], file: Path) -> None:
    code, log = file.with_suffix(".cpp"), file.with_suffix(".log")
    with _replacing(code) as temporary:
        temporary.write_text(source, encoding="utf-8")
    with _replacing(file) as temporary:
        command = [*command, f"-I{_HERE}", str(code), "-o", str(temporary)]
        status, output = _run(command, f"the kernel of {name}")
        if status:
            log.write_text(f"{shlex.join(command)}\n{output}", encoding="utf-8")
            raise CompilerError(
                f"{Path(command[0]).name} failed on the kernel of {name}: {_first_error(status, output)} "
                f"(its whole output is in {log})"
            )
        digest = _sha256(temporary)
    with _replacing(_digest_file(file)) as temporary:
        temporary.write_bytes(digest)
    if problem := _load_problem(file):
        raise CompilerError(
            f"the kernel of {name} was compiled, but the library cannot be loaded: {problem}; set CXX to another "
            "compiler, or GRUVY_CACHE to a folder that allows executable files"
        )


def _usable(file: Path) -> bool:
    try:
        intact = _digest_file(file).read_bytes() == _sha256(file)
    except OSError:
        return False
    # An intact library may still be one for another system: of a container that shares the home folder, say.
    return intact and not _load_problem(file)


def _digest_file(file: Path) -> Path:
    return file.with_suffix(".so.sha256")


def _sha256(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).hexdigest().encode()


def _load_problem(file: Path) -> str:
    try:
        ctypes.CDLL(str(file))
    except OSError as error:
        return str(error)
    return ""


def _compiler() -> tuple[list[str], str]:
    """The command that starts the compiler, and its version."""
    if given := os.environ.get("CXX", "").strip():
        try:
            program, *arguments = shlex.split(given)
        except ValueError as error:
            raise CompilerError(f"CXX is {given!r}, which is no command ({error}); correct or unset it") from None
        if (path := shutil.which(program)) is None:
            raise CompilerError(f"CXX names {program!r}, and there is no such program; correct or unset it")
    else:
        path, arguments = next(filter(None, map(shutil.which, _COMPILERS)), None), []
        if path is None:
            raise CompilerError("no C++ compiler was found; install g++ or clang++, or set CXX to a compiler")
    command = [path, *arguments]
    works, version_or_why = _version(tuple(command))
    if not works:
        raise CompilerError(version_or_why)
    return command, version_or_why


@functools.cache
def _version(command: tuple[str, ...]) -> tuple[bool, str]:
    """Whether the compiler starts, and the first line of its version, or else why it does not."""
    try:
        status, output = _run([*command, "--version"], "its version")
    except CompilerError as error:
        return False, str(error)
    if status:
        why = _first_error(status, output)
        return False, f"{shlex.join(command)} does not work ({why}); mend it, or set CXX to another compiler"
    return True, output.partition("\n")[0]


def _run(command: list[str], what: str) -> tuple[int, str]:
    """Exit status and output of a compiler; `what` says in messages what it was asked for."""
    program = Path(command[0]).name
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
            errors="replace", start_new_session=True, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        raise CompilerError(f"{program} cannot be started ({error}); set CXX to another compiler") from None
    with process:
        try:
            output, _ = process.communicate(timeout=_SECONDS)
        except BaseException as error:
            _kill(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise CompilerError(f"{program} took more than {_SECONDS:g} s for {what} and was stopped") from None
            raise
    return process.returncode, output


def _kill(process: subprocess.Popen[str]) -> None:
    """Stop a compiler with the programs it started, which do the work and would outlive it."""
    with suppress(OSError):  # it may have ended
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _first_error(status: int, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), lines[0] if lines else f"exit status {status}")


def _folder() -> Path:
    """Where libraries are kept: the cache, or a temporary folder if the cache will not do."""
    if own := os.environ.get("GRUVY_CACHE"):
        cache = Path(own)
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "gruvy"
    try:
        cache = cache.expanduser().absolute()
        kernels = cache / "kernels"
        for folder in (cache, kernels):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _private(folder):
                return _temporary_folder(f"other users can write to {folder}, and what is in it gets executed")
        with tempfile.TemporaryFile(dir=kernels):
            pass
    except OSError as error:
        return _temporary_folder(f"{cache} cannot be written ({error.strerror})")
    except RuntimeError as error:  # no home directory
        return _temporary_folder(f"{cache} cannot be found ({error})")
    return kernels


def _private(folder: Path) -> bool:
    if os.name != "posix":
        return True
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


@functools.cache
def _temporary_folder(reason: str) -> Path:
    warnings.warn(
        f"{reason}, so every process compiles its kernels anew; set GRUVY_CACHE to a folder that only you can write to",
        stacklevel=4,  # the caller of library
    )
    folder = Path(tempfile.mkdtemp(prefix="gruvy-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # and not one forked from it
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process or thread is here; the empty file stays, as removing it would be a race."""
    with path.open("ab") as file:
        if fcntl is None:
            yield
            return
        with suppress(OSError):  # a file system without locks: then each compiles, and the last one's stays
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):  # closing is not enough: a process forked meanwhile would keep the lock
                fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end, or is removed on an error."""
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
