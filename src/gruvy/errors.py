"""The exceptions gruvy raises on purpose; each message says what came, what was expected and what to do."""


class GruvyError(Exception):
    """Root of every exception gruvy raises on purpose; the command line exits with `exit_code`."""

    exit_code = 1


class RunFailed(GruvyError):
    """The input was fine and the run still failed: a full disk, a loss that became NaN."""


class BadInput(GruvyError, ValueError):
    """What the user gave cannot be used as it is."""

    exit_code = 2


class CellError(BadInput):
    """A cell's equations are outside the cell language."""


class EngineError(BadInput):
    """A named engine cannot run the call; the message holds its reason."""


class Interrupted(GruvyError):
    """The user stopped a run; the message says what is kept of it."""
