"""The tasks by name. A task is one short file; everything else works through the contract."""

from gruvy.tasks.classify import Classify
from gruvy.tasks.contract import Task
from gruvy.tasks.regress import Regress

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classify, Regress)}

__all__ = ["TASKS", "Task"]
