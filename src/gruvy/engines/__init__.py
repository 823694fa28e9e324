"""The engines that run a cell over a sequence, and the choice between them."""

from gruvy.engines.call import Call, Engine, Options, Result, real_steps
from gruvy.engines.contract import ENGINES, check_name, choose, explain

__all__ = ["ENGINES", "Call", "Engine", "Options", "Result", "check_name", "choose", "explain", "real_steps"]
