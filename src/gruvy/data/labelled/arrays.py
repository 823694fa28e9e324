"""Series from the arrays of an .npz file.

The messages lack the name of the file, which `read_series` adds.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from gruvy.data.labelled.formats import Examples, plain, trimmed, whole
from gruvy.errors import BadInput

_BROKEN = (ValueError, TypeError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def read_npz(path: Path) -> Examples:
    """X (series, steps[, channels]) and, where given, y (series,) or (series, steps) and lengths (series,)."""
    X, y, lengths = _chosen(_arrays(path))
    if X.ndim not in (2, 3) or X.dtype.kind not in "biuf":
        raise BadInput(
            f"the inputs are {X.dtype} of shape {X.shape}; expected numbers of shape (series, steps) or "
            "(series, steps, channels), which X.transpose(0, 2, 1) makes of channels first"
        )
    if y is not None and y.shape not in (X.shape[:1], (len(X), 1), X.shape[:2]):
        raise BadInput(
            f"the targets are of shape {y.shape}; expected one a series, {X.shape[:1]}, or one a step, {X.shape[:2]}"
        )
    X = X[:, :, None] if X.ndim == 2 else X
    series, steps, channels = X.shape
    if (beyond := np.abs(X.astype(np.float64)) > np.finfo(np.float32).max).any():
        place = tuple(int(n) for n in np.argwhere(beyond)[0])
        raise BadInput(f"the inputs hold {X[place]} at {place}; expected finite numbers, or NaN where one is missing")
    inputs: list[np.ndarray] = list(X.astype(np.float32))
    notes: list[str] = []
    if lengths is None:
        inputs, notes = trimmed(inputs)
    elif (
        lengths.shape != (series,) or lengths.dtype.kind not in "iu" or not np.isin(lengths, range(1, steps + 1)).all()
    ):
        raise BadInput(f"the lengths do not fit the inputs; expected {series} whole numbers from 1 to {steps}")
    else:
        inputs = [values[:length] for values, length in zip(inputs, lengths, strict=True)]
    if channels > steps:
        notes.append(f"read inputs of shape {X.shape} as {steps} steps of {channels} channels")
    targets = None
    if y is not None:
        y = y[:, None] if y.ndim == 1 else y
        targets = [_texts(row)[: len(values)] for row, values in zip(y, inputs, strict=True)]
    return whole(inputs, targets, tuple(f"channel {c}" for c in range(1, channels + 1)), notes)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _BROKEN as error:
        if "Object arrays" in str(error):
            raise BadInput(
                "an array holds Python objects, which are not read; save numbers, shorter series filled up with NaN, "
                "and labels as texts with .astype(str)"
            ) from None
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInput(f"not a sound .npz file ({said}); write it with numpy.savez, or copy it again") from None
    return {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}


def _chosen(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Inputs, targets and lengths, by their names or else by their shapes."""
    found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
    lengths = arrays.pop("lengths", None)
    X = [arrays[name] for name in ("X", "x", "data", "inputs") if name in arrays][:1]
    y = [arrays[name] for name in ("y", "Y", "labels", "targets") if name in arrays][:1]
    if not X:
        X = [array for array in arrays.values() if array.ndim > 1]
        y = y or [array for array in arrays.values() if array.ndim == 1]
    if len(X) != 1 or len(y) > 1:
        raise BadInput(f"expected arrays named X, y and perhaps lengths, and found {found}; save them with these names")
    return X[0], y[0] if y else None, lengths


def _texts(targets: np.ndarray) -> np.ndarray:
    """Targets (n,) as they would stand in a text file."""
    kind = targets.dtype.kind
    if kind == "S":
        try:
            return np.char.decode(targets, "utf-8")
        except UnicodeDecodeError:
            raise BadInput("the targets are bytes that are not UTF-8; save texts with .astype(str)") from None
    if kind not in "Ubiuf":
        raise BadInput(f"the targets are {targets.dtype}; expected numbers or texts")
    if kind == "b":
        return np.where(targets, "true", "false")
    return targets if kind == "U" else np.array([plain(value) for value in targets])
