"""The folder a training writes to: what may be there before, what is there while it runs, what a failure leaves."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from gruvy import artefact
from gruvy.errors import BadInput, GruvyError, Interrupted, RunFailed

try:
    import fcntl
except ImportError:  # Windows, where two trainings of one folder are not kept apart
    fcntl = None  # type: ignore[assignment]

_REQUEST, _LOCK = "request.json", "lock"


def check_free(out: Path, overwrite: bool) -> None:
    """Refuse an `out` that holds anything but an unfinished training, or a model that may be replaced."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out} is a file; give a directory that does not exist yet")
    if not out.is_dir():
        return
    if artefact.is_artefact(out):
        if overwrite:
            return
        raise BadInput(f"--out {out} already holds a model; give another directory, or --overwrite")
    unfinished = (out / artefact.UNFINISHED / _REQUEST).is_file()
    expected = {artefact.UNFINISHED} | (set(artefact.FILES) - {artefact.CONFIG} if unfinished else set())
    strangers = sorted(p.name for p in out.iterdir() if p.name not in expected)
    if strangers:
        raise BadInput(f"--out {out} holds other files ({strangers[0]}); give a directory of its own")


@contextlib.contextmanager
def training_folder(out: Path, request: Mapping[str, Any], overwrite: bool) -> Iterator[Path]:
    """The folder for checkpoints within `out`.

    A stop by the user or the machine leaves the checkpoint of the last whole epoch, which the same request takes up;
    a failure that would only come again leaves nothing.

    Args:
        request: what makes the training the same, as JSON.

    Raises:
        BadInput: `out` cannot be written, or holds an unfinished training of another request.
        Interrupted: the user stopped the training.
        RunFailed: the disk is full.
    """
    folder, existed = out / artefact.UNFINISHED, out.is_dir()
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(out, folder))
            _keep_same_request(out, folder, request, overwrite)
            (folder / _REQUEST).write_text(json.dumps(request))
        except OSError as error:
            why = error.strerror or error
            raise BadInput(f"--out {out} cannot be written ({why}); give another directory") from None
        with _cleaned_up(out, folder, existed):
            yield folder


@contextlib.contextmanager
def _cleaned_up(out: Path, folder: Path, existed: bool) -> Iterator[None]:
    """What `training_folder` says of failures."""
    try:
        yield
    except GruvyError:
        _clear(out, folder, existed, keep=False)
        raise
    except KeyboardInterrupt:
        kept = _clear(out, folder, existed, keep=True)
        then = "the same command goes on from the last whole epoch" if kept else "no epoch was over, so nothing is kept"
        raise Interrupted(f"interrupted; {then}") from None
    except OSError as error:
        _clear(out, folder, existed, keep=True)
        why = error.strerror or error
        raise RunFailed(f"{out} could not be written ({why}); free some space and run the same command again") from None
    except BaseException:
        _clear(out, folder, existed, keep=True)
        raise


def place(aside: Path, out: Path) -> None:
    """Move a whole artefact from `aside` into `out`, `config.json` last: until then `out` holds no model."""
    (out / artefact.CONFIG).unlink(missing_ok=True)
    for name in artefact.FILES:
        (out / name).unlink(missing_ok=True)
    for file in sorted(aside.iterdir(), key=lambda p: p.name == artefact.CONFIG):
        file.rename(out / file.name)


def _locked(out: Path, folder: Path) -> IO:
    """An open file that no other training of this folder can have open; the system frees it whatever happens."""
    file = (folder / _LOCK).open("w")
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise BadInput(f"another training writes to --out {out}; wait for it, or give another directory") from None
    return file


def _keep_same_request(out: Path, folder: Path, request: Mapping[str, Any], overwrite: bool) -> None:
    """Keep the checkpoint of the same request; remove that of another when asked to."""
    if {p.name for p in folder.iterdir()} <= {_LOCK}:
        return
    if not (folder / _REQUEST).is_file():
        raise BadInput(f"{folder} was not made by gruvy; give another --out")
    try:
        before = json.loads((folder / _REQUEST).read_text())
    except ValueError:
        before = None
    if before == json.loads(json.dumps(request)):
        return
    if before is not None and not overwrite:
        raise BadInput(
            f"--out {out} holds an unfinished training with other settings; give another directory, or --overwrite to "
            "begin anew"
        )
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


def _clear(out: Path, folder: Path, existed: bool, keep: bool) -> bool:
    """Remove what a failed training wrote, but for a checkpoint where it is to be kept; whether it was."""
    shutil.rmtree(folder / "artefact", ignore_errors=True)
    if keep and any(folder.rglob("last.ckpt")):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    if not existed:
        with contextlib.suppress(OSError):
            out.rmdir()
    return False
