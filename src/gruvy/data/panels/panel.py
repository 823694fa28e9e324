"""Time-stamped series for forecasting, read from long or wide tables onto regular grids."""

import os
from collections import Counter
from dataclasses import dataclass

import numpy as np

from gruvy.data.panels.grid import check_frequency, common_frequency, is_irregular, positions
from gruvy.data.panels.rows import Columns, Roles, Rows, shown, sorted_rows, were
from gruvy.data.panels.stamps import Frequency
from gruvy.data.tables import naming, read_cells
from gruvy.errors import BadInput

__all__ = ["Panel", "Roles", "Series", "panel_from_columns", "read_panel"]

_LONGEST_UNQUESTIONED = 10_000
_MOST_STEPS_PER_ROW = 20


@dataclass(frozen=True, eq=False)
class Series:
    """One series on a regular grid, from the first step with any target on.

    name: its id, "" without an id column.
    stamps: datetime64[ns] (steps,), or int64 (steps,) of integer time.
    targets: float64 (steps, targets), NaN = missing.
    known, past: by column, float64 (steps,) with NaN = missing, or str objects (steps,) with "" = missing.
    static: by column, a float (NaN = missing) or a str ("" = missing).
    end: the number of steps up to and including the last with any target; the steps after it are the future
        that known covariates are given for.
    """

    name: str
    stamps: np.ndarray
    targets: np.ndarray
    known: dict[str, np.ndarray]
    past: dict[str, np.ndarray]
    static: dict[str, float | str]
    end: int


@dataclass(frozen=True, eq=False)
class Panel:
    """Series of one frequency.  notes: what was done to the data, one plain sentence each."""

    series: list[Series]
    frequency: Frequency
    roles: Roles
    notes: list[str]


def read_panel(path: str | os.PathLike[str], roles: Roles, *, frequency: Frequency | None = None) -> Panel:
    """The series in a .csv, .tsv, .jsonl/.ndjson or .parquet file (the first three also .gz).

    As `panel_from_columns`; the messages begin with the name of the file.
    """
    with naming(path):
        roles.check()
    cells = read_cells(path, roles.columns)
    with naming(path):
        return panel_from_columns(cells, roles, frequency=frequency)


def panel_from_columns(columns: Columns, roles: Roles, *, frequency: Frequency | None = None) -> Panel:
    """The series in columns of equal length, of texts, numbers or times, each on a regular grid.

    frequency: that of the training data, which the series must have; by default it is found.

    Rows are sorted by time.  Identical rows are merged and the values of a repeated stamp averaged; missing
    stamps are inserted with missing values; stamps beside the grid move to its nearest step, and those of an
    irregular series are averaged on a grid of the median step; leading steps without a target are cut, and
    series without one left out.  What was done is in the notes.

    Empty cells, "nan", "NA" and "null" are missing numbers.  Covariates are numbers if all of their cells are,
    otherwise texts.

    Raises BadInput, one sentence, for columns that cannot be read as asked, more than 5 % of repeated stamps,
    series of different frequencies or another frequency than given, and stamps absurdly far apart.
    """
    roles.check()
    whole_numbers = frequency is not None and isinstance(frequency.unit, int)
    rows = sorted_rows(columns, roles, whole_numbers=whole_numbers)
    parts = [slice(start, end) for start, end in zip(rows.starts[:-1], rows.starts[1:], strict=True)]
    stamps = [np.unique(rows.stamps[part]) for part in parts]
    if frequency is None:
        frequency = common_frequency(stamps, rows.names)
    else:
        check_frequency(stamps, rows.names, frequency)
    done: Counter[str] = Counter()
    series = []
    for number, part in enumerate(parts):
        if one := _series(rows, number, part, roles, frequency, done):
            series.append(one)
    if not series:
        raise BadInput("no series has a target value; fill in the target columns")
    return Panel(series, frequency, roles, rows.notes + _notes(done, frequency))


def _series(
    rows: Rows, number: int, part: slice, roles: Roles, frequency: Frequency, done: Counter[str]
) -> Series | None:
    """None for a series without a target; counts in `done` what was done to it."""
    name, given = rows.names[number], rows.stamps[part]
    places, first = positions(given, frequency)
    steps = int(places[-1]) + 1
    _check_gaps(given, steps, name)
    stamps = frequency.stamps(first, steps)
    values = {column: _placed(cells[part], places, steps) for column, cells in rows.values.items()}
    targets = np.stack([values[column] for column in roles.targets], axis=1)
    known_targets = np.flatnonzero(np.isfinite(targets).any(axis=1))
    if not len(known_targets):
        done["empty"] += 1
        return None
    used = len(np.unique(places))
    nearest = stamps[places]
    done["inserted"] += steps - used
    done["shared"] += len(np.unique(given)) - used
    if is_irregular(given, nearest, frequency):
        done["irregular"] += 1
    else:
        done["moved"] += int((nearest != given).sum())
    start = int(known_targets[0])
    done["cut"] += start
    return Series(
        name,
        stamps[start:],
        targets[start:],
        {column: values[column][start:] for column in roles.known},
        {column: values[column][start:] for column in roles.past},
        {column: each[number] for column, each in rows.statics.items()},
        int(known_targets[-1]) + 1 - start,
    )


def _check_gaps(stamps: np.ndarray, steps: int, name: str) -> None:
    if steps <= max(_LONGEST_UNQUESTIONED, _MOST_STEPS_PER_ROW * len(stamps)):
        return
    widest = int(np.argmax(np.diff(stamps.astype(np.int64))))
    outlying = stamps[widest + 1 if widest + 1 > len(stamps) / 2 else widest]
    raise BadInput(
        f"{f'the series {name!r}' if name else 'the file'} has {len(stamps)} rows but would have {steps} steps, as "
        f"{shown(outlying)} is far from the other stamps; correct it"
    )


def _placed(cells: np.ndarray, places: np.ndarray, steps: int) -> np.ndarray:
    """(steps,) the cells at their places, the mean of those that share one (of texts the first), missing elsewhere."""
    if cells.dtype.kind == "O":
        texts = np.full(steps, "", dtype=object)
        filled = cells != ""
        texts[places[filled][::-1]] = cells[filled][::-1]
        return texts
    filled = ~np.isnan(cells)
    places = places[filled]
    counts = np.bincount(places, minlength=steps)
    means = np.bincount(places, cells[filled] / counts[places], minlength=steps)
    return np.where(counts, means, np.nan)


def _notes(done: Counter[str], frequency: Frequency) -> list[str]:
    grid = frequency.words()
    notes = {
        "irregular": f"{were(done['irregular'], 'series')} sampled at irregular times and put on a grid: {grid}",
        "moved": f"{were(done['moved'], 'stamp')} moved onto the grid: {grid}",
        "shared": f"{were(done['shared'], 'row')} averaged with another that is nearest to the same step",
        "inserted": f"{were(done['inserted'], 'missing stamp')} inserted, with missing values",
        "cut": f"{were(done['cut'], 'leading step')} cut for want of a target value",
        "empty": f"{were(done['empty'], 'series')} left out for want of any target value",
    }
    return [note for key, note in notes.items() if done[key]]
