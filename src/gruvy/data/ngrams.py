"""Hashed token n-grams: the bag-of-n-grams features of many documents, as rows of a sparse matrix.

Every n-gram of 1 to ``max_n`` consecutive token ids is hashed to 64 bits and reduced modulo
``num_buckets``; a document's features are the sorted, distinct bucket numbers of its n-grams (presence,
not counts).

The hash of the n-gram (id_1, ..., id_n) is h_n of the recurrence, in arithmetic modulo 2^64,

    h_0 = 0
    h_k = mix(h_{k-1} + k * 0x9E3779B97F4A7C15 + id_k)

where ``mix`` is the finaliser of splitmix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014) and the constant its golden gamma. A trained model depends on these numbers:
changing them is a change of file format.

The compiled module ``gruvy.data._ngrams`` does the work where it was built, NumPy elsewhere, with
identical results.
"""

import functools
import importlib
from numbers import Integral
from types import ModuleType

import numpy as np

from gruvy.errors import BadInput

__all__ = ["MAX_N", "compiled", "ngram_features"]

MAX_N = 5
_MAX_BUCKETS = 2**31  # bucket numbers are int32
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


def ngram_features(
    ids: np.ndarray, offsets: np.ndarray, *, max_n: int = 3, num_buckets: int = 2**20
) -> tuple[np.ndarray, np.ndarray]:
    """Bucket numbers of the hashed n-grams of each document, in CSR form.

    Args:
        ids: int32, shape (tokens,), C-contiguous: the documents' token ids, none negative, end to end.
        offsets: int64, shape (documents + 1,), C-contiguous: document d is
            ``ids[offsets[d]:offsets[d + 1]]``. A document may be empty.
        max_n: length of the longest n-grams, 1 to 5.
        num_buckets: number of buckets, 1 to 2^31; any number, not only a power of two.

    Returns:
        ``(indices, indptr)``: the features of document d are ``indices[indptr[d]:indptr[d + 1]]``, sorted
        and distinct. indices is int32, shape (features,); indptr is int64, shape (documents + 1,).

    Raises:
        BadInput: an argument is not as described above.
    """
    _check_array("ids", ids, np.int32)
    _check_array("offsets", offsets, np.int64)
    _check_integer("max_n", max_n, MAX_N)
    _check_integer("num_buckets", num_buckets, _MAX_BUCKETS)
    if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(ids):
        raise BadInput(f"offsets must start at 0 and end at the number of ids, {len(ids)}")
    if (offsets[1:] < offsets[:-1]).any():
        raise BadInput("offsets must not decrease")
    if (ids < 0).any():
        raise BadInput("ids must not be negative")

    extension, _ = _extension()
    if extension is None:
        return _features_numpy(ids, offsets, max_n, num_buckets)
    return _features_compiled(extension, ids, offsets, max_n, num_buckets)


def compiled() -> tuple[bool, str]:
    """Whether the compiled module is in use, and the file it is in, or else why it is not."""
    extension, where_or_why = _extension()
    return extension is not None, where_or_why


@functools.cache
def _extension() -> tuple[ModuleType | None, str]:
    try:
        extension = importlib.import_module("gruvy.data._ngrams")
    except ImportError as error:
        return None, str(error)
    return extension, str(extension.__file__)


def _features_compiled(
    extension: ModuleType, ids: np.ndarray, offsets: np.ndarray, max_n: int, num_buckets: int
) -> tuple[np.ndarray, np.ndarray]:
    n_docs = len(offsets) - 1
    lengths = np.diff(offsets)
    capacity = sum(int(np.maximum(lengths - n, 0).sum()) for n in range(max_n))
    indices = np.empty(capacity, np.int32)
    indptr = np.empty(n_docs + 1, np.int64)
    extension.ngram_features(
        ids=ids.ctypes.data,
        offsets=offsets.ctypes.data,
        n_docs=n_docs,
        max_n=int(max_n),
        num_buckets=int(num_buckets),
        indices=indices.ctypes.data,
        indptr=indptr.ctypes.data,
    )
    return indices[: indptr[-1]].copy(), indptr


def _features_numpy(
    ids: np.ndarray, offsets: np.ndarray, max_n: int, num_buckets: int
) -> tuple[np.ndarray, np.ndarray]:
    n_docs = len(offsets) - 1
    doc = np.repeat(np.arange(n_docs), np.diff(offsets))
    room = offsets[doc + 1] - np.arange(len(ids))  # tokens from a position to the end of its document
    hashes = np.zeros(len(ids), np.uint64)
    keys = []  # one number for (document, bucket), in the order of the rows and of the buckets in them
    for n in range(1, max_n + 1):
        starts = np.flatnonzero(room >= n)
        step = n * _GOLDEN_GAMMA % 2**64
        hashes[starts] = _mix(hashes[starts] + np.uint64(step) + ids[starts + n - 1].astype(np.uint64))
        keys.append(doc[starts] * num_buckets + (hashes[starts] % np.uint64(num_buckets)).astype(np.int64))
    ordered = np.sort(np.concatenate(keys))  # np.unique, which hashes integers, takes far longer here
    distinct = ordered[np.diff(ordered, prepend=-1) > 0]
    indptr = np.searchsorted(distinct, np.arange(n_docs + 1) * num_buckets)
    return (distinct % num_buckets).astype(np.int32), indptr.astype(np.int64)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _check_array(name: str, array: np.ndarray, dtype: type[np.integer]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
        raise BadInput(f"{name} must be a one-dimensional NumPy array of {np.dtype(dtype).name}")
    if not array.flags.c_contiguous:
        raise BadInput(f"{name} must be contiguous")


def _check_integer(name: str, value: int, largest: int) -> None:
    if not isinstance(value, Integral) or not 1 <= value <= largest:
        raise BadInput(f"{name} must be a whole number from 1 to {largest}, not {value!r}")
