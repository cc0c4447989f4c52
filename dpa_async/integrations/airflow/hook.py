"""`DPAHook`: a connection of the type `dpa`."""

# Airflow's extra fields are a dict of it does not say what.
# pyright: reportUnknownMemberType=false

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException
from attrs import frozen

from dpa_async.client import DPAClient
from dpa_async.errors import DPAError
from dpa_async.integrations.airflow.connection import (
    check_extra,
    run_url,
    settings_of,
)
from dpa_async.models import RunRef
from dpa_async.settings import Settings

DEFAULT_CONNECTION = "dpa_default"


@frozen
class Platform:
    """What a connection says.

    Attributes:
        settings: Which platform, and who we are.
        extra: The connection's extra fields.
    """

    settings: Settings
    extra: Mapping[str, object]

    def run_url(self, ref: RunRef) -> str:
        """Give the page where people see a run."""
        return run_url(ref, self.extra)


class DPAHook(BaseHook):
    """The platform behind an Airflow connection of the type `dpa`.

    Host is the base URL, login the application's id, password its secret; the extra
    fields are those of `Settings`, and `run_url`.

    Args:
        dpa_conn_id: The connection's id.
    """

    conn_name_attr = "dpa_conn_id"
    default_conn_name = DEFAULT_CONNECTION
    conn_type = "dpa"
    hook_name = "DPA"

    def __init__(self, dpa_conn_id: str = DEFAULT_CONNECTION) -> None:
        super().__init__()
        self.dpa_conn_id = dpa_conn_id

    async def platform(self) -> Platform:
        """Read the connection.

        Raises:
            ConfigurationError: A field is missing, or cannot be right.
            AirflowNotFoundException: There is no such connection.
        """
        connection = await self.aget_connection(self.dpa_conn_id)
        check_extra(connection.extra)
        extra = cast("dict[str, object]", await connection.aextra_dejson())
        return Platform(settings_of(connection, extra), extra)

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[DPAClient]:
        """Open a client of the platform, for a task of one's own.

        Raises:
            ConfigurationError: A field is missing, or cannot be right.
            AirflowNotFoundException: There is no such connection.
        """
        platform = await self.platform()
        async with DPAClient(platform.settings) as client:
            yield client

    def test_connection(self) -> tuple[bool, str]:
        """Log in and list the workflows; tells whether that works, and what came."""
        try:
            count = asyncio.run(self._count())
        except (DPAError, AirflowException) as error:
            return False, str(error)
        return True, f"the platform lists {count} workflows"

    async def _count(self) -> int:
        connection = self.get_connection(self.dpa_conn_id)
        check_extra(connection.extra)
        extra = cast("dict[str, object]", connection.extra_dejson)
        async with DPAClient(settings_of(connection, extra)) as client:
            return len(await client.list_workflows())
