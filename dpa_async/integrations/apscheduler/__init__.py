"""APScheduler 3.11: workflows by the clock, each fire run once.

    service = Service()
    scheduler = AsyncIOScheduler()
    async with service.scheduling(scheduler) as firing, draining(firing) as told:
        firing.add_job("md-report", id="nightly", trigger="cron", hour=3)
        await told.wait()

Where there is a runner already it is `scheduling(scheduler, runner)`.

The extra is `dpa-async[apscheduler]`.
"""

from dpa_async.integrations.apscheduler.fires import Params, run_workflow
from dpa_async.integrations.apscheduler.firing import Firing, Overlap, scheduling
from dpa_async.integrations.apscheduler.service import Service

__all__ = ["Firing", "Overlap", "Params", "Service", "run_workflow", "scheduling"]
