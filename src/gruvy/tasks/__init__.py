"""The tasks by name. A task is one short file; everything else works through the contract."""

from gruvy.tasks.classify import Classify
from gruvy.tasks.contract import Modality, Task
from gruvy.tasks.forecast import Forecast
from gruvy.tasks.language import Language
from gruvy.tasks.music import Music
from gruvy.tasks.regress import Regress
from gruvy.tasks.speech import Speech
from gruvy.tasks.tag import Tag
from gruvy.tasks.translate import Translate

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Classify, Regress, Forecast, Language, Translate, Tag, Speech, Music)
}
MODALITIES: dict[str, Modality] = {m.KIND: m for task in TASKS.values() for m in task.modalities}

__all__ = ["MODALITIES", "TASKS", "Task"]
