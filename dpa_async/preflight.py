"""Comparing parameters with those that a workflow takes, before it is executed."""

import asyncio
from collections.abc import Mapping

from attrs import frozen

from dpa_async.client import DPAClient
from dpa_async.errors import ConfigurationError, DPAError
from dpa_async.sharing import Owner, Shared

_ASK_AGAIN = 60.0
"""Seconds after which names that do not match are asked for once more."""


@frozen
class _Known:
    names: frozenset[str]
    asked_at: float


class Preflight:
    """Knows which parameters workflows take: asked once for all who want to know.

    Where names do not match, a list that is older than a minute is asked for again: the
    workflow may have been changed.

    Args:
        client: The platform.
        owner: Of the tasks that ask.
    """

    def __init__(self, client: DPAClient, owner: Owner) -> None:
        self._client = client
        self._owner = owner
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, Shared[_Known]] = {}

    async def check(
        self, workflow_id: str, params: Mapping[str, object] | None
    ) -> None:
        """See that the parameters have just the names that the workflow takes.

        Raises:
            ConfigurationError: Names are missing or not known; the message lists both.
            DPAError: The names could not be read; nothing was started.
        """
        given = frozenset(params or ())
        known = self._known.get(workflow_id)
        if known is not None and given != known.names:
            age = asyncio.get_running_loop().time() - known.asked_at
            known = None if age >= _ASK_AGAIN else known
        if known is None:
            known = await self._ask_once(workflow_id)
        problems = [
            f"{what}: {', '.join(sorted(map(str, names)))}"
            for what, names in (
                ("missing", known.names - given),
                ("unknown", given - known.names),
            )
            if names
        ]
        if problems:
            msg = f"params of workflow {workflow_id!r}: {'; '.join(problems)}"
            raise ConfigurationError(msg)

    async def _ask_once(self, workflow_id: str) -> _Known:
        async def ask() -> _Known:
            asked_at = asyncio.get_running_loop().time()
            try:
                variables = await self._client.list_variables(workflow_id)
            finally:
                self._asking.pop(workflow_id, None)
            names = frozenset(variable.name for variable in variables)
            known = self._known[workflow_id] = _Known(names, asked_at)
            return known

        asking = self._asking.get(workflow_id)
        if asking is None:
            asking = Shared(self._owner, ask, ended_by_owner=_closed)
            self._asking[workflow_id] = asking
        return await asking.join()


def _closed() -> DPAError:
    return ConfigurationError("the runner is closed: make a new one")
