"""What the tests of the forecasting commands share."""

import re
from pathlib import Path
from typing import Any

from tests.cli.run import gruvy
from tests.fixtures.series import HORIZON, NAME, WINDOW, Row
from tests.fixtures.small import strict_json, write_csv

TIME = ("--time", "time", "--target", "y")
COVARIATES = ("--known", "promo", "price", "--past", "seen", "--static", "kind")


def train(data: Path, out: Path, *more: str, horizon: int = HORIZON, window: int | None = WINDOW) -> tuple[Any, ...]:
    """The arguments of a training with the small recipe."""
    read = ("--input", window) if window else ()
    return ("train", "forecast", "--data", data, "--out", out, "--recipe", NAME, "--horizon", horizon, *read, *more)


def save(folder: Path, rows: list[Row], name: str = "d.csv") -> Path:
    """`rows` as a CSV file."""
    return write_csv(folder / name, rows)


def forecast(folder: Path, tmp_path: Path, *more: Any) -> list[dict[str, Any]]:
    """The rows that `gruvy forecast --json` prints."""
    done = gruvy("forecast", folder, "--json", "--out", tmp_path / "forecast.csv", *more)
    assert done.code == 0, done.err
    return [strict_json(line) for line in done.out.splitlines()]


def points(rows: list[dict[str, Any]], who: str | None = None) -> list[float]:
    """The point forecasts, of one series if one is named."""
    return [row["forecast"] for row in rows if who is None or row["who"] == who]


def assert_intervals(rows: list[dict[str, Any]], levels: tuple[int, ...] = (80, 95)) -> None:
    """Each interval holds the point forecast and the intervals of lower levels."""
    for row in rows:
        lowers, uppers = ([row[f"{side}_{level}"] for level in levels] for side in ("lower", "upper"))
        ends = [*lowers[::-1], row["forecast"], *uppers]
        assert ends == sorted(ends), row


def assert_matches(pattern: str, text: str) -> None:
    """`text` holds what the pattern says; shown whole if not."""
    assert re.search(pattern, text), text
