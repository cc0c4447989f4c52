"""Airflow 3.3 or later: runs as deferrable tasks, started once whatever breaks.

A worker starts the run and lets go; a trigger waits for its end, together with all
others of its triggerer. What was started is written into the task's state store before
and after the execute, so that a retry, a crash of the worker or a triggerer that was
killed finds it again.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dpa_async.integrations.airflow.hook import DPAHook
    from dpa_async.integrations.airflow.operators import (
        DPARunLink,
        DPARunSensor,
        DPARunWorkflowOperator,
    )
    from dpa_async.integrations.airflow.triggers import (
        DPARunTrigger,
        DPAWorkflowFreeTrigger,
    )
else:

    def __getattr__(name: str) -> object:
        """Load what a name needs at its first use: the metadata needs no Airflow.

        Raises:
            AttributeError: There is no such name.
        """
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


_PLACES = {
    "DPAHook": "hook",
    "DPARunLink": "operators",
    "DPARunSensor": "operators",
    "DPARunTrigger": "triggers",
    "DPARunWorkflowOperator": "operators",
    "DPAWorkflowFreeTrigger": "triggers",
}

__all__ = [
    "DPAHook",
    "DPARunLink",
    "DPARunSensor",
    "DPARunTrigger",
    "DPARunWorkflowOperator",
    "DPAWorkflowFreeTrigger",
]
