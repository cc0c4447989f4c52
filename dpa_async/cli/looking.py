"""Commands that only look: `status`, `outputs`, `list` and `vars`."""

from typing import Annotated

from cyclopts import Parameter

from dpa_async.cli import records
from dpa_async.cli.deployment import settings_of
from dpa_async.cli.exits import Exit
from dpa_async.cli.options import NO_OPTIONS, Options
from dpa_async.cli.printing import Printer
from dpa_async.cli.words import Ref
from dpa_async.cli.working import work
from dpa_async.client import DPAClient
from dpa_async.models import RunRef


def status(ref: Ref, /, *, options: Options = NO_OPTIONS) -> int:
    """Ask how a run is.

    Exits with 0 whatever the answer is: the status is the data.

    $ dpa status dpa-run:1:mddaebe8b163:in1@https://dpa.example.com
    $ dpa status "$REF" -o json | jq -r .status

    Args:
        ref: The run's reference, as `dpa run` prints it.
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        run = RunRef.parse(ref)
        async with DPAClient(settings_of(options)) as client:
            seen = await client.get_run_status(run)
        printer.record({**records.of_run(run), "status": seen.name})
        return Exit.SUCCEEDED

    return work(options, task)


def outputs(
    ref: Ref,
    /,
    *,
    designated: Annotated[bool, Parameter(negative="")] = False,
    options: Options = NO_OPTIONS,
) -> int:
    """Print the outputs of a run's api and shell nodes.

    $ dpa outputs dpa-run:1:mddaebe8b163:in1@https://dpa.example.com
    $ dpa outputs "$REF" -o jsonl | jq -r 'select(.node == "sum").result'

    Args:
        ref: The run's reference, as `dpa run` prints it.
        designated: Whether only of the nodes that are designated for it.
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        run = RunRef.parse(ref)
        async with DPAClient(settings_of(options)) as client:
            nodes = await client.get_outputs(run, designated_nodes_only=designated)
        printer.rows(map(records.of_output, nodes), records.OUTPUT_COLUMNS)
        return Exit.SUCCEEDED

    return work(options, task)


def list_workflows(*, options: Options = NO_OPTIONS) -> int:
    """List the workflows of the user, with the status of each.

    $ dpa list
    $ dpa list -o jsonl | jq -r 'select(.status == "FAILED").id'

    Args:
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        async with DPAClient(settings_of(options)) as client:
            workflows = await client.list_workflows()
        printer.rows(map(records.of_workflow, workflows), records.WORKFLOW_COLUMNS)
        printer.talk(f"{len(workflows)} workflows")
        return Exit.SUCCEEDED

    return work(options, task)


def list_variables(workflow: str, /, *, options: Options = NO_OPTIONS) -> int:
    """List the parameters that a workflow takes.

    $ dpa vars mddaebe8b163

    Args:
        workflow: The workflow's id.
        options: Of every command.
    """

    async def task(printer: Printer) -> int:
        async with DPAClient(settings_of(options)) as client:
            variables = await client.list_variables(workflow)
        printer.rows(map(records.of_variable, variables), records.VARIABLE_COLUMNS)
        if not variables:
            printer.talk("it takes no parameters")
        return Exit.SUCCEEDED

    return work(options, task)
