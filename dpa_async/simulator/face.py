"""What the simulator's faces have in common: a platform, faults, settings for it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, cast

from dpa_async.settings import Settings
from dpa_async.settings.sources import VARIABLES
from dpa_async.simulator.behaviour import Behaviour
from dpa_async.simulator.clock import LoopClock
from dpa_async.simulator.door import Door
from dpa_async.simulator.faults import FaultScript
from dpa_async.simulator.platform import Platform
from dpa_async.simulator.workflows import Duration, SimulatedWorkflow


class Face(ABC):
    """A simulated platform that a client can be pointed at.

    Attributes:
        platform: What happened, and how to make more happen.
        faults: What goes wrong; rules can be added at any time.
    """

    def __init__(
        self,
        workflows: Iterable[SimulatedWorkflow] | None,
        *,
        duration: Duration,
        seed: int,
        behaviour: Behaviour | None,
        faults: FaultScript | None,
        starts_at: float,
    ) -> None:
        self.platform = Platform(
            workflows, duration=duration, seed=seed, behaviour=behaviour
        )
        self.faults = FaultScript(seed=seed) if faults is None else faults
        self._clock = LoopClock(starts_at)
        self._door = Door(self.platform, self.faults, self._clock)

    @property
    @abstractmethod
    def url(self) -> str:
        """The platform's base URL, prefix included."""

    def now(self) -> float:
        """Tell the simulator's time, as `platform` wants it.

        Raises:
            RuntimeError: No event loop runs here.
        """
        return self._clock.now()

    def execute_url(self, workflow_id: str) -> str:
        """Give the execute URL of one workflow, as copied from its card."""
        path = self.platform.execute_path(workflow_id)
        return self.url.removesuffix(self.platform.behaviour.prefix) + path

    def settings(self, **overrides: object) -> Settings:
        """Make settings for a client of this simulator.

        Args:
            **overrides: Any field of `Settings`, in place of what would stand there.
        """
        application = self.platform.application
        fields: Mapping[str, object] = {
            "base_url": self.url,
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "execute_urls": f"{self.url}/api/dpa/process/execute/{{workflow_id}}",
            **overrides,
        }
        return Settings(**cast("dict[str, Any]", fields))

    def environment(self) -> dict[str, str]:
        """Give the `DPA_*` variables by which `Settings.from_env` finds this simulator.

        They are for the environment of another process, whose own `DPA_*` variables
        have to go: one that is not among these would still count.
        """
        settings = self.settings()
        values = {name: getattr(settings, field) for name, field in VARIABLES.items()}
        return {name: value for name, value in values.items() if value is not None}
