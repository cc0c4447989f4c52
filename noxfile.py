"""Everything that judges the project, one session each.

``nox`` runs what CI runs. ``nox -s tests -- -k lanes`` hands words on to pytest (and
leaves out the coverage gate and the parallel processes); ``nox -s tests -P 3.13`` takes
another interpreter than the running one.
"""

import json
import os
import secrets
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "venv"  # Python and pip are all that is needed
nox.options.error_on_external_run = True
nox.options.reuse_venv = "yes"  # every session installs what it needs, each time

# Many tests wait for real time to go by: on two cores, four at once lose nothing. A
# worker that dies is a failure, not a reason for another.
IN_PARALLEL = (
    f"--numprocesses={max(4, os.cpu_count() or 1)}",
    *("--dist=worksteal", "--max-worker-restart=0"),
)

PROJECT = nox.project.load_toml("pyproject.toml")

# What each extra is for; `speed` has nothing of its own to import.
OF_EXTRAS = {
    "airflow": "dpa_async.integrations.airflow.provider",
    "apscheduler": "dpa_async.integrations.apscheduler",
    "cli": "dpa_async.cli.app",
    "otel": "dpa_async.integrations.otel",
    "speed": "dpa_async.public",
    "taskiq": "dpa_async.integrations.taskiq",
}

nox.options.sessions = [
    *("lint", "types", "layers", "tests", "docs", "site"),
    *(f"extras(extra='{extra}')" for extra in OF_EXTRAS if extra != "airflow"),
]


def install(session: nox.Session, group: str, *package: str) -> None:
    """Install one dependency group, and the package the way the session wants it."""
    session.install(*package, *nox.project.dependency_groups(PROJECT, group))


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: every rule but those that pyproject.toml gives a reason against."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Two strict type checkers: each sees what the other does not."""
    install(session, "types", "-e", ".[speed,apscheduler,cli,otel,taskiq]")
    session.run("mypy")
    # What is checked is decided by the pinned version, not by what is newest today.
    session.run("pyright", env={"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"})


@nox.session
def layers(session: nox.Session) -> None:
    """Imports only go down the house; every module has a place in it."""
    install(session, "layers")
    session.run("lint-imports", "--no-cache")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests with branch coverage and its gate; with words of yours, without."""
    install(session, "tests", "-e", ".[speed,apscheduler,cli,otel]")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("coverage", "erase")
    # Not pytest-cov: what is imported before pytest starts counts as well.
    command = ("coverage", "run", "-m", "pytest", "--ignore=tests/docs")
    session.run(*command, *IN_PARALLEL)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def docs(session: nox.Session) -> None:
    """The README's and docs' blocks, against the package as a user installs it."""
    install(session, "docs", ".[apscheduler,cli,otel,taskiq]")
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session(reuse_venv=False)
@nox.parametrize("extra", sorted(PROJECT["project"]["optional-dependencies"]))
def extras(session: nox.Session, extra: str) -> None:
    """Each extra by itself, in a clean environment: it is complete."""
    session.install(f".[{extra}]")
    session.run("python", "-m", "pip", "check")
    session.run("python", "-W", "error", "tests/house/alone.py", OF_EXTRAS[extra])


@nox.session
def browser(session: nox.Session) -> None:
    """The report as a person sees it, in headless Chromium: Debian's `chromium`."""
    install(session, "tests", "-e", ".")
    # By its name, which is no test's: where there is no Chromium, nothing is skipped.
    session.run("pytest", "tests/browser/report_in_chromium.py", *session.posargs)


@nox.session
def taskiq(session: nox.Session) -> None:
    """Runs over Taskiq's workers, one of which is killed: Debian's `redis-server`."""
    install(session, "tests", "-e", ".[speed,taskiq]")
    # By its name, which is no test's: where there is no Redis, nothing is skipped.
    here = "tests/taskiq_workers"
    names = ("keys_in_redis", "queues_in_redis", "spread_over_workers")
    scenes = [f"{here}/{name}.py" for name in names]
    session.run("pytest", "-s", *scenes, *session.posargs, env={"PYTHONPATH": here})


@nox.session
def airflow(session: nox.Session) -> None:
    """Airflow itself against the simulator; ten minutes, with `-- --short` four."""
    install(session, "types", "-e", ".[airflow,cli]")
    here, place = Path.cwd(), Path(session.create_tmp()).resolve()
    ours = Path("dpa_async", "integrations", "airflow")
    # pyproject.toml leaves them out. Files that are named, mypy judges all the same,
    # and pyright, but without its configuration.
    session.run("mypy", *sorted(map(str, ours.glob("*.py"))))
    strictly = {
        "extends": str(here / "pyproject.toml"),
        "include": [os.path.relpath(here / ours, place)],
        "exclude": [],
    }
    (place / "pyrightconfig.json").write_text(json.dumps(strictly), encoding="utf-8")
    session.run(
        *("pyright", "--project", str(place)),
        env={"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )
    home = {"AIRFLOW_HOME": str(place / "home")}
    session.run(
        *("pytest", "-W", "default", "tests/airflow_tasks/inside_airflow.py"), env=home
    )
    session.run("python", "tests/airflow_tasks/standalone.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks, or the one that is named, with its words."""
    session.install(".[speed,cli]")
    if session.posargs:
        session.run("python", *session.posargs)
        return
    for script in sorted(Path("benchmarks").glob("[!_]*.py")):
        session.run("python", str(script))


@nox.session(python=False)
def dev(session: nox.Session) -> None:
    """Make the environment that nox itself runs in ready for work on the project."""
    session.run(
        *(sys.executable, "-m", "pip", "install", "--quiet"),
        *("-e", ".[speed,apscheduler,cli,otel,taskiq]"),
        *nox.project.dependency_groups(PROJECT, "dev"),
        external=True,
    )


@nox.session
def site(session: nox.Session) -> None:
    """The documentation's site, in build/site: no link and no name may lead nowhere."""
    install(session, "site")
    session.run(
        # Never with --quiet, which hides its warnings from --strict too.
        *("mkdocs", "build", "--strict", "--config-file", ".mkdocs.yml"),
        *session.posargs,
        env={"NO_MKDOCS_2_WARNING": "1"},
    )


@nox.session
def soak(session: nox.Session) -> None:
    """10,000 random faults, cancels and time-outs; `nox -s soak -- 500 seed` others."""
    install(session, "tests", "-e", ".[speed,cli]")
    drawn = ["10000", secrets.token_hex(4)]
    cases, seed = [*session.posargs, *drawn[len(session.posargs) :]]
    session.run(
        *("python", "-X", "dev", "-W", "error", "-m", "pytest"),
        *("tests/transport/test_soak.py", "tests/test_storms.py"),
        "tests/test_cancelling.py",
        *(
            "tests/test_callback_orders.py",
            "tests/test_tokens.py",
            "tests/test_limits.py",
        ),
        "tests/kills",
        *(
            "tests/cli_batch/test_batch_kills.py",
            "tests/cli_batch/test_large_batches.py",
        ),
        env={
            "SOAK_CASES": cases,
            "SOAK_SEED": seed,
            "DPA_STORMS": "150",
            "DPA_CALLERS": "10000",
            "DPA_ORDERS_APART": "1",
            "DPA_TICKS": "300",
            "DPA_KILL_SEEDS": "3",
            "DPA_KILL_ROUNDS": "10",
            "DPA_BATCH_KILLS": "25",
            "DPA_BATCH_LINES": "1000000",
        },
    )
