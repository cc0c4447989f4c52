"""Comparing parameters with those that a workflow takes, before it is executed."""

from collections.abc import Mapping

from dpa_async.client import DPAClient
from dpa_async.errors import ConfigurationError


async def check_params(
    client: DPAClient, workflow_id: str, params: Mapping[str, object] | None
) -> None:
    """See that the parameters have just the names that the workflow takes.

    Raises:
        ConfigurationError: Names are missing or not known; the message lists both.
        DPAError: The names could not be read; nothing was started.
    """
    taken = {variable.name for variable in await client.list_variables(workflow_id)}
    given = set(params or {})
    problems = [
        f"{what}: {', '.join(sorted(map(str, names)))}"
        for what, names in (("missing", taken - given), ("unknown", given - taken))
        if names
    ]
    if problems:
        msg = f"params of workflow {workflow_id!r}: {'; '.join(problems)}"
        raise ConfigurationError(msg)
