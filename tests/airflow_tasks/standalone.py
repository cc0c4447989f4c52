"""Airflow itself, with all its processes, against the simulator: `nox -s airflow`.

Not a test by its name: it takes minutes, and needs the extra `airflow`. With `--short`
there are fewer and shorter runs, and the scenes in which something dies.
"""

import argparse
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import psutil
from counting_proxy import CountingProxy

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "integrations" / "airflow.md"
PATIENCE = 420.0


def say(words):
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def program(name):
    return str(Path(sys.executable).with_name(name))


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Airflow:
    """One Airflow in a directory of its own, with SQLite and the local executor."""

    def __init__(self, home, platform_url, tasks):
        self.home = home
        self.tasks = tasks
        self.refs = home / "first_refs"
        self.refs.mkdir()
        dags = home / "dags"
        dags.mkdir()
        for file in (HERE / "dags").glob("*.py"):
            (dags / file.name).write_text(file.read_text())
        for title, code in re.findall(
            r'```python title="(\w+\.py)"\n(.*?)```', PAGE.read_text(), re.DOTALL
        ):
            assert "range(60)" in code
            (dags / title).write_text(code.replace("range(60)", f"range({tasks})"))
        connection = {
            "conn_type": "dpa",
            "host": platform_url,
            "login": "sim+App/0001==",
            "password": "made/Up+Secret/of+Nobody==",
            "extra": {"execute_urls": "/api/dpa/process/execute/{workflow_id}"},
        }
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_DPA_DEFAULT": json.dumps(connection),
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": (
                f"http://127.0.0.1:{port}/execution/"
            ),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "SCENE_FIRST_REFS": str(self.refs),
        }
        self.log = (home / "standalone.log").open("w")
        self.started = []

    def begin(self, *words):
        self.started.append(
            subprocess.Popen(
                [program("airflow"), *words],
                env=self.env,
                stdout=self.log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
        return self.started[-1]

    def command(self, *words):
        subprocess.run(
            [program("airflow"), *words],
            env=self.env,
            check=True,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def asked(self, query, *values):
        path = f"file:{self.home / 'airflow.db'}?mode=ro"
        with closing(sqlite3.connect(path, uri=True, timeout=30)) as database:
            return database.execute(query, values).fetchall()

    def states(self, dag_run):
        query = "select state, count(*) from task_instance where run_id = ? group by 1"
        return Counter(dict(self.asked(query, dag_run)))

    def refs_of(self, dag_run):
        query = "select task_id, value from xcom where run_id = ? and key = 'dpa_run'"
        return {task: json.loads(ref) for task, ref in self.asked(query, dag_run)}

    def wait(self, what, seen):
        until = time.monotonic() + PATIENCE
        while not seen():
            if time.monotonic() > until:
                raise AssertionError(f"{what} did not come; see {self.log.name}")
            time.sleep(0.5)  # noqa: TID251 - no event loop here

    def is_over(self, dag_run, count):
        seen = self.states(dag_run)
        assert not seen["failed"], f"{seen}; see {self.log.name}"
        return seen["success"] == count

    def stop(self):
        for process in self.started:
            theirs = [process.pid]
            try:
                theirs += [
                    p.pid for p in psutil.Process(process.pid).children(recursive=True)
                ]
            except psutil.NoSuchProcess:
                continue
            for pid in theirs:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


@contextmanager
def simulator(shortest, longest):
    words = ["-m", "dpa_async", "simulate", "--port", "0", "--exit-with-stdin"]
    with subprocess.Popen(
        [sys.executable, *words, "--shortest", shortest, "--longest", longest],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process.stdout.readline().split()[-1]
        process.stdin.close()


def requests(proxy, before):
    seen = proxy.seen - before
    shown = ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))
    return seen, f"{seen.total()} requests ({shown})"


def reports(airflow, proxy, name, in_the_middle=None):
    """The page's DAG: all succeed, each with one execute."""
    before = proxy.seen.copy()
    began = time.monotonic()
    airflow.command("dags", "trigger", "reports", "--run-id", name)
    if in_the_middle is not None:
        in_the_middle()
    airflow.wait("the end", lambda: airflow.is_over(name, airflow.tasks))
    seen, shown = requests(proxy, before)
    assert seen["execute"] == airflow.tasks, seen
    assert len({*airflow.refs_of(name)}) == 1
    say(
        f"{name}: {airflow.tasks} successes, {seen['execute']} executes, {shown}, "
        f"{time.monotonic() - began:.0f} s"
    )


def kill_the_triggerer(airflow, name):
    """SIGKILL it and its child in the midst of the runs; begin another one."""

    def midway():
        states = airflow.states(name)
        return min(states["success"], states["deferred"]) >= airflow.tasks // 6

    airflow.wait("the middle", midway)
    ours = psutil.Process(airflow.started[0].pid).children(recursive=True)
    triggerers = [p for p in ours if is_triggerer(p)]
    assert triggerers
    for process in triggerers:
        for child in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    say(f"{name}: the triggerer was killed with {dict(airflow.states(name))}")
    airflow.begin("triggerer")


def is_triggerer(process):
    with suppress(psutil.NoSuchProcess):  # workers come and go
        return "triggerer" in " ".join(process.cmdline())
    return False


def retried(airflow, proxy):
    """Each finds its run again; what comes after gets a mapping, and the outlets."""
    before = proxy.seen.copy()
    airflow.command("dags", "trigger", "retried", "--run-id", "retried")
    airflow.wait("the end", lambda: is_handed_on(airflow))
    seen, shown = requests(proxy, before)
    assert seen["execute"] == 2, seen
    for task, ref in airflow.refs_of("retried").items():
        first = (airflow.refs / task).read_text()
        assert first == ref
        run_id = ref.split(":")[3].partition("@")[0]
        say(f"retried: {task} failed after its run was started; its retry has {run_id}")
    tries = airflow.asked(
        "select try_number from task_instance where run_id = ? and task_id like ?",
        *("retried", "does_%"),
    )
    assert tries == [(2,), (2,)]
    events = "select name from asset_event join asset on asset.id = asset_id order by 1"
    assert airflow.asked(events) == [("after-crash",), ("after-raise",)]
    links = "select count(*) from xcom where key = ? and value like ?"
    assert airflow.asked(links, "_link_DPARunLink", '"http://%') >= [(2,)]
    say(f"retried: 2 successes, {seen['execute']} executes, {shown}")


def is_handed_on(airflow):
    seen = airflow.states("retried")
    assert not seen["failed"] + seen["upstream_failed"], seen
    query = "select value from xcom where run_id = ? and key = ? and task_id like ?"
    kinds = airflow.asked(query, "retried", "return_value", "kind_%")
    nodes = airflow.asked(query, "retried", "return_value", "one_node")
    assert {*kinds} <= {('"dict"',)}, kinds
    return len(kinds) == 2 and nodes and seen.total() == seen["success"]


def one_lane(airflow, proxy):
    before = proxy.seen.copy()
    airflow.command("dags", "trigger", "one_lane", "--run-id", "one_lane")
    airflow.wait("the end", lambda: airflow.is_over("one_lane", 4))
    _seen, shown = requests(proxy, before)
    query = "select count(distinct value) from xcom where key = ? and run_id = ?"
    assert airflow.asked(query, "dpa_run", "one_lane") == [(3,)]
    say(f"one_lane: 3 successes of one workflow, each in its turn; {shown}")


def killed(airflow, proxy):
    def in_the_middle():
        kill_the_triggerer(airflow, "killed")

    reports(airflow, proxy, "killed", in_the_middle)


def sixty(airflow, proxy):
    reports(airflow, proxy, "sixty")


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--short", action="store_true")
    if words.parse_args().short:
        play(killed, retried, tasks=20, lasting=("5", "15"))
    else:
        play(sixty, killed, retried, one_lane, tasks=60, lasting=("20", "60"))


def play(*scenes, tasks, lasting):
    with tempfile.TemporaryDirectory() as home, simulator(*lasting) as url:
        proxy = CountingProxy(url)
        airflow = Airflow(Path(home), proxy.url, tasks)
        try:
            airflow.begin("standalone")
            airflow.wait("Airflow", lambda: is_ready(airflow))
            for scene in scenes:
                scene(airflow, proxy)
        except BaseException:
            airflow.log.flush()
            kept = Path(tempfile.gettempdir(), "airflow-standalone.log")
            kept.write_text(Path(airflow.log.name).read_text())
            say(f"Airflow's own log: {kept}")
            raise
        finally:
            airflow.stop()


def is_ready(airflow):
    """Whether its DAGs are known, and its workers have a server to talk to."""
    try:
        address = f"{airflow.url}/api/v2/monitor/health"
        with urlopen(address, timeout=10) as answer:  # noqa: S310 - our own
            health = json.load(answer)
        dags = airflow.asked("select dag_id from dag")
    except (OSError, sqlite3.OperationalError):
        return False
    parts = ("scheduler", "triggerer", "dag_processor")
    return len(dags) == 3 and all(health[p]["status"] == "healthy" for p in parts)


if __name__ == "__main__":
    main()
