"""A service that is killed and begun again: `engine_process.py ENGINE PORT JOURNAL`.

It tells on stdout what it was left, and by APScheduler what a fire came to.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import uvicorn
from aiohttp import web
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from fastapi import Depends, FastAPI

from dpa_async import Runner, run_and_wait
from dpa_async.draining import draining
from dpa_async.integrations import aiohttp_web, apscheduler, asgi
from dpa_async.journal import SQLiteJournal

DUE = datetime(2026, 1, 1, 3, tzinfo=UTC)  # missed, so it is fired at once


def tell(**words):
    sys.stdout.write(f"{json.dumps(words)}\n")
    sys.stdout.flush()


def resumed(outcome):
    run = None if outcome.result is None else outcome.result.ref.run_id
    tell(key=outcome.request.key, run=run, error=type(outcome.error).__name__)


def fired(event):
    tell(fired=None if event.retval is None else event.retval.ref.run_id)


def service(engine, journal):
    return engine.Service(journal=lambda: SQLiteJournal(journal), on_resumed=resumed)


async def in_fastapi(port, journal):
    ours = service(asgi, journal)
    app = FastAPI(lifespan=ours.lifespan)

    @app.post("/reports/{key}")
    async def report(runner: Annotated[Runner, Depends(ours)], key: str):
        return (await run_and_wait(runner, "wf", key=key)).ref.run_id

    # Who asks is cut off soon, for runs take longer.
    config = uvicorn.Config(
        app, port=port, log_config=None, timeout_graceful_shutdown=1
    )
    await uvicorn.Server(config).serve()


async def in_aiohttp_web(port, journal):
    ours = service(aiohttp_web, journal)

    async def report(request):
        key = request.match_info["key"]
        result = await run_and_wait(ours.runner, "wf", key=key)
        return web.json_response(result.ref.run_id)

    app = web.Application()
    ours.add_to(app)
    app.router.add_post("/reports/{key}", report)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with draining(ours.runner) as told:
        await told.wait()
    await runner.cleanup()


async def by_apscheduler(_, journal):
    ours = service(apscheduler, journal)
    jobs = SQLAlchemyJobStore(f"sqlite:///{journal}.jobs")
    scheduler = AsyncIOScheduler(jobstores={"default": jobs})
    scheduler.add_listener(fired, EVENT_JOB_EXECUTED)
    async with ours.scheduling(scheduler) as firing, draining(firing) as told:
        firing.add_job("wf", id="nightly", trigger="date", run_date=DUE)
        await told.wait()


ENGINES = {
    "FastAPI": in_fastapi,
    "aiohttp.web": in_aiohttp_web,
    "APScheduler": by_apscheduler,
}

if __name__ == "__main__":
    engine, port, journal = sys.argv[1:]
    asyncio.run(ENGINES[engine](int(port), Path(journal)))
