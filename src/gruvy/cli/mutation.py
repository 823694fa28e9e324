"""`gruvy mutate`: what each substitution in a sequence changes in what a model says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gruvy import artefact
from gruvy.artefact import to_json
from gruvy.cli.options import dispatch, new_app
from gruvy.data.fasta import is_fasta, read_fasta
from gruvy.data.pairs import read_lines
from gruvy.data.prose import is_table
from gruvy.errors import BadInput
from gruvy.inspection.mutation import MutationMap, mutation_map, mutation_picture

_PICTURE = "mutation.png"
_Directory = Annotated[str, typer.Argument(metavar="DIR", help="what gruvy train wrote")]
_Sequence = Annotated[str | None, typer.Argument(metavar="[SEQUENCE]", help="or --data")]


def run_mutate(arguments: list[str]) -> None:
    """Run `gruvy mutate` with `arguments`."""

    def command(
        folder: _Directory,
        sequence: _Sequence = None,
        data: Annotated[str | None, typer.Option(help="file with one sequence, FASTA or as it is")] = None,
        label: Annotated[str | None, typer.Option(help="whose log-odds [the label the model gives]")] = None,
        top: Annotated[int, typer.Option(help="substitutions to print")] = 20,
        out: Annotated[str | None, typer.Option(help=f"PNG file to draw [DIR/{_PICTURE}]")] = None,
        quiet: Annotated[bool, typer.Option("--quiet", help="print results only")] = False,
        json: Annotated[bool, typer.Option("--json", help="print JSON, with all effects")] = False,
    ) -> None:
        mutate(folder, sequence, data, label, top, out, quiet, json)

    app = new_app("Put every letter at every position of a sequence, and show what that changes in the model's answer.")
    app.command()(command)
    dispatch(app, arguments, "mutate")


def mutate(
    folder: str, sequence: str | None, data: str | None, label: str | None, top: int, out: str | None, quiet: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Print the substitutions that change most, and draw all of them."""
    if top < 1:
        raise BadInput(f"--top is {top}; expected a whole number of at least 1")
    given = _given(sequence, data)
    found = mutation_map(artefact.load(folder), given, label)
    target = Path(out) if out is not None else Path(folder) / _PICTURE
    try:
        target.write_bytes(mutation_picture(found))
    except OSError as error:
        raise BadInput(f"--out {target} cannot be written ({error.strerror}); give another file") from None
    print(to_json(found.to_json()) if as_json else _table(found, top))
    Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True).print(f"\nthe map is in {target}")


def _given(sequence: str | None, data: str | None) -> str:
    if (sequence is None) == (data is None):
        raise BadInput('gruvy mutate reads one sequence; give it ("ACGT..."), or --data FILE')
    if data is None:
        assert sequence is not None
        return sequence
    if is_table(data):
        raise BadInput(f"{data} is a table; give the sequence itself, or a file with it alone")
    found = read_fasta(data)[1] if is_fasta(data) else ["".join(read_lines(Path(data)))]
    if len(found) > 1:
        raise BadInput(f"{data} holds {len(found)} sequences; gruvy mutate reads one: give a file with that alone")
    return found[0]


def _table(found: MutationMap, top: int) -> str:
    lines = [f"{found.what}: {found.score:.4g}", "", f"{'position':>8}  {'from':>4}  {'to':>4}  {'change':>10}"]
    lines += [
        f"{row['position']:>8}  {row['from']:>4}  {row['to']:>4}  {row['change']:>+10.4g}"
        for row in found.strongest(top)
    ]
    return "\n".join(lines)
