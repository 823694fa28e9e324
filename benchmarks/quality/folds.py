"""Cross-validation: `gruvy train` once a fold, and the mean of what each says of the part it has not seen.

    python benchmarks/quality/folds.py 10 OUT classify --data splice.csv --sequence sequence --label class

OUT holds a model a fold; a fold that is there already is not trained again. With `--group speaker` and as many folds as
there are speakers, each is left out once.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

GRUVY = Path(sys.executable).with_name("gruvy")


def main(count: int, out: Path, command: list[str]) -> None:
    """Train and print, a line a fold."""
    found = []
    for number in range(1, count + 1):
        folder = out / str(number)
        if not (folder / "metrics.json").is_file():
            given = [str(GRUVY), "train", *command, "--fold", f"{number}/{count}", "--out", str(folder), "--quiet"]
            subprocess.run(given, check=True, stdout=subprocess.DEVNULL)
        found.append(json.loads((folder / "metrics.json").read_text()))
        compared = {"model": found[-1]["metrics"], found[-1]["best_baseline"]: found[-1]["baseline"]}
        print(f"fold {number}: {found[-1]['n']} rows, {found[-1]['seconds']['in all']:.0f} s", flush=True)
        for name, figures in compared.items():
            print(f"  {name}: " + "  ".join(f"{k} {v:.4f}" for k, v in figures.items() if isinstance(v, float)))
    print(f"mean of {count} folds")
    for who, pick in {"model": "metrics", "best baseline of each fold": "baseline"}.items():
        means = {k: statistics.fmean(one[pick][k] for one in found) for k in found[0][pick]
                 if isinstance(found[0][pick][k], float)}  # fmt: skip
        print(f"  {who}: " + "  ".join(f"{k} {v:.4f}" for k, v in means.items()))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
