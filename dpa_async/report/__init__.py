"""A picture of a batch: one HTML file, with nothing from outside.

    await write_report(Path("nightly.journal"), Path("nightly.html"))

`render` makes the same of runs that are in no journal, such as the outcomes of
`run_many`. A page names keys, workflows, runs and what failed runs gave; parameters,
and outputs of runs that succeeded, are not in it.
"""

from dpa_async.report.lags import Lags
from dpa_async.report.page import render
from dpa_async.report.runs import ReportedRun, RunState
from dpa_async.report.writing import write_report

__all__ = ["Lags", "ReportedRun", "RunState", "render", "write_report"]
