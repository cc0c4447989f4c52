"""A run that is looked at every 20 to 30 s does not connect anew for each look."""

import asyncio

from dpa_async import DPAClient, Runner, WaitPolicy
from dpa_async.simulator import SimulatedWorkflow, Simulator

BETWEEN_LOOKS = 21.0  # aiohttp itself drops what is idle for 15 s


class Relay:
    """Passes bytes on to a port, and counts the connections."""

    def __init__(self, port):
        self.port = port
        self.connections = 0
        self.tasks = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def serve(self, reader, writer):
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(self.copy(reader, back), self.copy(there, writer))

    async def copy(self, reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()


def test_a_lone_long_run_keeps_its_connection():
    async def main():
        workflow = SimulatedWorkflow("wf", duration=BETWEEN_LOOKS - 4)
        async with Simulator([workflow]) as platform:
            port = int(platform.url.rpartition(":")[2])
            async with Relay(port) as relay:
                url = f"http://127.0.0.1:{relay.server.sockets[0].getsockname()[1]}"
                policy = WaitPolicy(first_look=0.1, maximum=60.0, multiplier=210.0)
                async with (
                    DPAClient(
                        platform.settings(
                            base_url=url,
                            execute_urls="/api/dpa/process/execute/{workflow_id}",
                        )
                    ) as client,
                    Runner(client, wait=policy) as runner,
                ):
                    run = await runner.start("wf")
                    assert not (await run.status()).ended
                    before = relay.connections
                    result = await run
                    assert relay.connections == before
                assert result.looks >= 3

    asyncio.run(main())
