"""2 to 7 but the callback: the DPA interfaces, as the document has them."""

import asyncio
import json
import math
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from dpa_async.simulator import Behaviour, SimulatedWorkflow


def test_list_var_names_the_variables(face):
    workflows = [
        SimulatedWorkflow("wf", variables=["DPA_MODEL_WORKDIR", "n"]),
        SimulatedWorkflow("none"),
    ]

    async def main():
        async with face.open(workflows=workflows) as dpa:
            await dpa.sign_in()
            assert (await dpa.list_var("wf")).data == [
                {"name": "DPA_MODEL_WORKDIR", "type": "running"},
                {"name": "n", "type": "running"},
            ]
            assert (await dpa.list_var("none")).json == {
                "code": 200,
                "message": "success",
                "data": None,
            }
            assert (await dpa.list_var("unknown")).code == 400
            path = "/api/dpa/process/variable/listVar"
            assert (await dpa.post(path, {"processModelId": "wf"})).code == 400

    face.run(main())


def test_an_execute_starts_a_run_that_ends(face):
    async def main():
        async with face.open(duration=0.05) as dpa:
            await dpa.sign_in()
            started = await dpa.execute("md1", mapParam={"a": "甲", "n": 1})
            assert started.code == 200
            ids = started.data
            assert ids["modelId"] == "md1"
            assert (await dpa.status(ids)).data["status"] in {"DEFAULT", "RUNNING"}
            assert await dpa.ended(ids) == "FINISH"
            assert (await dpa.status(ids)).data == {**ids, "status": "FINISH"}
            [node] = (await dpa.outputs(ids)).data
            assert node["nodeName"] == "echo"
            assert json.loads(node["result"]) == {"a": "甲", "n": 1}

    face.run(main())


def test_each_runs_outputs_are_its_own(memory):
    async def main():
        async with memory.open() as dpa:
            await dpa.sign_in()
            runs = [
                (await dpa.execute(f"wf{n}", mapParam={"n": n})).data for n in range(20)
            ]
            await asyncio.sleep(1)
            for n, ids in enumerate(runs):
                [node] = (await dpa.outputs(ids)).data
                assert json.loads(node["result"]) == {"n": n}

    memory.run(main())


@pytest.mark.parametrize("true", ["true", True], ids=repr)
@pytest.mark.parametrize("second", ["3", 3, 2.5], ids=repr)
def test_flags_are_strings_or_json(memory, true, second):
    workflows = [
        SimulatedWorkflow(
            "wf", duration=1, outputs=[("a", "1"), ("b", "2")], designated={"b"}
        )
    ]

    async def main():
        async with memory.open(workflows=workflows) as dpa:
            await dpa.sign_in()
            answer = await dpa.execute(sync=true, second=second, paramFlag=true)
            assert answer.data["status"] == "FINISH"
            assert answer.data["outputs"] == [{"nodeName": "b", "result": "2"}]

    memory.run(main())


@pytest.mark.parametrize("false", ["false", False, None], ids=repr)
def test_an_execute_is_not_held_by_default(memory, false):
    async def main():
        async with memory.open(duration=60) as dpa:
            await dpa.sign_in()
            before = dpa.simulator.now()
            answer = await dpa.execute(sync=false, second="30")
            assert set(answer.data) == {"instanceId", "modelId"}
            assert dpa.simulator.now() - before < 1

    memory.run(main())


@pytest.mark.parametrize(
    "fields",
    [
        {"sync": "maybe"},
        {"sync": 1},
        {"paramFlag": "yes"},
        {"second": "soon"},
        {"second": -1},
        {"second": True},
        {"second": "1e999"},
        {"mapParam": ["a"]},
        {"mapParam": "a"},
        {"callbackUrl": 5},
    ],
)
def test_an_execute_that_makes_no_sense_starts_nothing(face, fields):
    async def main():
        async with face.open() as dpa:
            await dpa.sign_in()
            assert (await dpa.execute(**fields)).code == 400
            assert dpa.platform.executions("wf") == ()
            assert dpa.platform.executes["wf"] == 1

    face.run(main())


def test_a_busy_workflow_is_refused(face):
    async def main():
        async with face.open(duration=0.05) as dpa:
            await dpa.sign_in()
            first = (await dpa.execute()).data
            refused = await dpa.execute()
            assert (refused.status, refused.code, refused.data) == (200, 999, None)
            assert (await dpa.execute("another")).code == 200
            await dpa.ended(first)
            second = (await dpa.execute()).data
            assert second["instanceId"] != first["instanceId"]
            run_ids = [run.run_id for run in dpa.platform.executions("wf")]
            assert run_ids == [first["instanceId"], second["instanceId"]]
            assert dpa.platform.executes == {"wf": 3, "another": 1}

    face.run(main())


def test_a_suspended_workflow_is_busy_too(memory):
    workflows = [SimulatedWorkflow("wf", duration=10, suspended=[(2, 8)])]

    async def main():
        async with memory.open(workflows=workflows) as dpa:
            await dpa.sign_in()
            await dpa.execute()
            await asyncio.sleep(5)
            assert (await dpa.list_all()).data[0]["status"] == "pending"
            assert (await dpa.execute()).code == 999

    memory.run(main())


def test_a_runs_statuses_in_order(memory):
    workflow = SimulatedWorkflow(
        "wf", duration=10, default_for=1, suspended=[(3, 5), (6, 7)], fails=True
    )
    words = ["DEFAULT", "RUNNING", "RUNNING", "PENDING", "PENDING", "RUNNING"]
    words += ["PENDING", "RUNNING", "RUNNING", "RUNNING", "FAIL", "FAIL"]

    async def main():
        async with memory.open(workflows=[workflow], latency=0) as dpa:
            await dpa.sign_in()
            ids = (await dpa.execute()).data
            await asyncio.sleep(0.5)
            for word in words:
                assert (await dpa.status(ids)).data["status"] == word
                await asyncio.sleep(1)

    memory.run(main())


def test_a_run_can_last_for_ever(memory):
    async def main():
        async with memory.open(duration=math.inf) as dpa:
            await dpa.sign_in()
            ids = (await dpa.execute()).data
            await asyncio.sleep(7_000)
            assert (await dpa.status(ids)).data["status"] == "RUNNING"

    memory.run(main())


@pytest.mark.parametrize(
    ("execute_data", "read"),
    [
        ("object", lambda data: (data["instanceId"], data["modelId"])),
        ("text", lambda data: (data, "wf")),
        (
            "nested",
            lambda data: (
                data["processRun"]["instanceId"],
                data["processRun"]["modelId"],
            ),
        ),
    ],
)
def test_the_shapes_of_an_executes_answer(face, execute_data, read):
    async def main():
        behaviour = Behaviour(execute_data=execute_data)
        async with face.open(behaviour=behaviour) as dpa:
            await dpa.sign_in()
            run_id, workflow_id = read((await dpa.execute()).data)
            [run] = dpa.platform.executions("wf")
            assert (run_id, workflow_id) == (run.run_id, "wf")

    face.run(main())


def test_a_sync_answer_is_held_until_the_run_ends(face):
    async def main():
        async with face.open(duration=0.05) as dpa:
            await dpa.sign_in()
            answer = await dpa.execute(sync="true", second="30", mapParam={"a": 1})
            [run] = dpa.platform.executions("wf")
            assert dpa.simulator.now() >= run.ends_at
            assert answer.data["status"] == "FINISH"
            assert answer.data["outputs"][0]["result"] == '{"a": 1}'

    face.run(main())


def test_a_sync_answer_is_let_go_when_its_seconds_are_over(memory):
    async def main():
        async with memory.open(duration=100, latency=0) as dpa:
            await dpa.sign_in()
            before = dpa.simulator.now()
            answer = await dpa.execute(sync="true", second="3")
            assert dpa.simulator.now() - before == pytest.approx(3)
            assert answer.data["status"] == "RUNNING"
            assert "outputs" not in answer.data

    memory.run(main())


def test_a_sync_answer_without_seconds_has_the_platforms(memory):
    async def main():
        behaviour = Behaviour(sync_seconds=7)
        async with memory.open(duration=100, latency=0, behaviour=behaviour) as dpa:
            await dpa.sign_in()
            before = dpa.simulator.now()
            await dpa.execute(sync="true")
            assert dpa.simulator.now() - before == pytest.approx(7)

    memory.run(main())


def test_a_sync_answer_may_carry_nothing(memory):
    async def main():
        behaviour = Behaviour(sync_carries_outcome=False)
        async with memory.open(behaviour=behaviour) as dpa:
            await dpa.sign_in()
            answer = await dpa.execute(sync="true", second="9")
            assert set(answer.data) == {"instanceId", "modelId"}

    memory.run(main())


def test_others_are_served_while_an_answer_is_held(memory):
    async def main():
        async with memory.open(duration=100) as dpa:
            await dpa.sign_in()
            held = asyncio.create_task(dpa.execute(sync="true", second="50"))
            await asyncio.sleep(10)
            assert (await dpa.list_all()).data[0]["status"] == "running"
            assert not held.done()
            assert (await held).code == 200

    memory.run(main())


def test_the_status_of_what_does_not_exist(face):
    async def main():
        async with face.open() as dpa:
            await dpa.sign_in()
            ids = (await dpa.execute()).data
            assert (await dpa.status({**ids, "instanceId": "in0"})).code == 400
            assert (await dpa.status({**ids, "modelId": "other"})).code == 400
            path = "/api/dpa/process/processrun/getProcessRunStatus"
            assert (await dpa.get(path, modelId="wf")).code == 400

    face.run(main())


def test_list_all_tells_the_status_of_every_workflow(memory):
    workflows = [
        SimulatedWorkflow("idle"),
        SimulatedWorkflow("running", duration=90),
        SimulatedWorkflow("pending", duration=90, suspended=[(0, 60)]),
        SimulatedWorkflow("success", duration=1),
        SimulatedWorkflow("fail", duration=1, fails=True),
    ]

    async def main():
        async with memory.open(workflows=workflows) as dpa:
            await dpa.sign_in()
            for workflow in workflows[1:]:
                await dpa.execute(workflow.id)
            await asyncio.sleep(10)
            rows = (await dpa.list_all()).data
            assert [(row["processModelId"], row["status"]) for row in rows] == [
                ("idle", "default"),
                ("running", "running"),
                ("pending", "pending"),
                ("success", "success"),
                ("fail", "fail"),
            ]
            assert rows[0]["modelName"] == " idle"
            assert isinstance(rows[0]["stepNums"], int)
            assert {"createUser", "createTime", "updateTime"} <= set(rows[0])

    memory.run(main())


def test_list_all_follows_a_workflow_through_its_runs(memory):
    workflows = [SimulatedWorkflow("wf", duration=10, suspended=[(4, 6)])]

    async def main():
        async with memory.open(workflows=workflows, latency=0) as dpa:
            await dpa.sign_in()
            seen = []
            for second in range(30):
                if second in {2, 15}:
                    await dpa.execute()
                seen.append((await dpa.list_all()).data[0]["status"])
                await asyncio.sleep(1)
            run = ["running"] * 4 + ["pending"] * 2 + ["running"] * 4
            assert seen == [
                *["default"] * 2,
                *run,
                *["success"] * 3,
                *run,
                *["success"] * 5,
            ]

    memory.run(main())


def test_a_workflow_is_listed_as_running_from_the_first_moment(memory):
    workflows = [SimulatedWorkflow("wf", duration=10, default_for=5)]

    async def main():
        async with memory.open(workflows=workflows) as dpa:
            await dpa.sign_in()
            ids = (await dpa.execute()).data
            assert (await dpa.status(ids)).data["status"] == "DEFAULT"
            assert (await dpa.list_all()).data[0]["status"] == "running"

    memory.run(main())


def test_list_all_can_lag(memory):
    async def main():
        async with memory.open(
            duration=20, latency=0, behaviour=Behaviour(list_all_lag=5)
        ) as dpa:
            await dpa.sign_in()
            await dpa.execute()
            seen = []
            for _ in range(5):
                await asyncio.sleep(4)
                seen.append((await dpa.list_all()).data[0]["status"])
            # 4, 8, 12, 16, 20 seconds after the execute, five seconds ago each
            assert seen == ["default", "running", "running", "running", "running"]
            await asyncio.sleep(6)
            assert (await dpa.list_all()).data[0]["status"] == "success"

    memory.run(main())


@pytest.mark.parametrize(
    ("times", "kind"), [("epoch_ms", int), ("iso", str), ("null", type(None))]
)
def test_list_all_writes_times_in_several_ways(memory, times, kind):
    async def main():
        async with memory.open(behaviour=Behaviour(list_all_times=times)) as dpa:
            await dpa.sign_in()
            await dpa.execute()
            [row] = (await dpa.list_all()).data
            assert isinstance(row["createTime"], kind)
            assert isinstance(row["updateTime"], kind)

    memory.run(main())


def test_list_all_may_leave_times_out_and_shout(memory):
    behaviour = Behaviour(list_all_times="absent", list_all_upper_case=True)

    async def main():
        async with memory.open(behaviour=behaviour) as dpa:
            await dpa.sign_in()
            await dpa.execute()
            [row] = (await dpa.list_all()).data
            assert row["status"] == "RUNNING"
            assert not {"createTime", "updateTime"} & set(row)

    memory.run(main())


def test_an_update_is_when_the_last_run_began_or_ended(memory):
    async def main():
        async with memory.open(duration=10, behaviour=Behaviour(clock_skew=60)) as dpa:
            await dpa.sign_in()
            await dpa.execute()
            [run] = dpa.platform.executions("wf")
            [row] = (await dpa.list_all()).data
            assert row["updateTime"] == int((run.submitted_at + 60) * 1000)
            await asyncio.sleep(10)
            [row] = (await dpa.list_all()).data
            assert row["updateTime"] == int((run.ends_at + 60) * 1000)

    memory.run(main())


def test_outputs_come_with_the_end(memory):
    nodes = [("a", "1"), ("a", "2"), ("b", None)]
    workflows = [
        SimulatedWorkflow("wf", duration=5, outputs=nodes, designated={"b"}),
        SimulatedWorkflow("failing", duration=5, outputs=nodes, fails=True),
        SimulatedWorkflow("silent", duration=5, outputs=()),
    ]

    async def main():
        async with memory.open(workflows=workflows) as dpa:
            await dpa.sign_in()
            ids = {w.id: (await dpa.execute(w.id)).data for w in workflows}
            assert (await dpa.outputs(ids["wf"])).json["data"] is None
            await asyncio.sleep(5)
            rows = [{"nodeName": name, "result": result} for name, result in nodes]
            assert (await dpa.outputs(ids["wf"])).data == rows
            assert (await dpa.outputs(ids["wf"], paramFlag="false")).data == rows
            assert (await dpa.outputs(ids["wf"], paramFlag="true")).data == rows[2:]
            assert (await dpa.outputs(ids["failing"])).data == rows
            assert (await dpa.outputs(ids["silent"])).json["data"] is None
            assert (await dpa.outputs({**ids["wf"], "modelId": "x"})).code == 400

    memory.run(main())


def test_a_run_fails_as_its_parameters_have_it(memory):
    workflow = SimulatedWorkflow("wf", fails=lambda params: params["n"] > 1)

    async def main():
        async with memory.open(workflows=[workflow]) as dpa:
            await dpa.sign_in()
            ends = []
            for n in range(4):
                ids = (await dpa.execute(mapParam={"n": n})).data
                ends.append(await dpa.ended(ids))
            assert ends == ["FINISH", "FINISH", "FAIL", "FAIL"]

    memory.run(main())


@pytest.mark.parametrize("seed", [1, 2])
def test_chance_is_the_same_for_the_same_seed(memory, seed):
    workflows = [SimulatedWorkflow("wf", duration=(1, 9), fails=0.5)]

    async def history(seed):
        async with memory.open(workflows=workflows, seed=seed) as dpa:
            await dpa.sign_in()
            for _ in range(30):
                await dpa.execute()
                await asyncio.sleep(10)
            runs = dpa.platform.executions("wf")
            return [
                (run.end_status, round(run.ends_at - run.submitted_at, 3))
                for run in runs
            ]

    once = memory.run(history(seed))
    assert once == memory.run(history(seed))
    assert once != memory.run(history(seed + 10))
    assert {status for status, _ in once} == {"FINISH", "FAIL"}
    assert all(1 <= duration <= 9 for _, duration in once)


def test_somebody_else_can_execute_a_workflow(face):
    async def main():
        async with face.open(workflows=[SimulatedWorkflow("wf")]) as dpa:
            await dpa.sign_in()
            now = dpa.simulator.now()
            run = dpa.platform.execute_as_other_user("wf", now, 60)
            assert run.foreign
            assert (await dpa.execute()).code == 999
            assert (await dpa.list_all()).data[0]["status"] == "running"
            assert dpa.platform.executions("wf") == (run,)
            with pytest.raises(ValueError, match="wf"):
                dpa.platform.execute_as_other_user("wf", now, 60)

    face.run(main())


def test_a_closed_platform_has_only_its_workflows(face):
    async def main():
        async with face.open(workflows=[SimulatedWorkflow("wf")]) as dpa:
            await dpa.sign_in()
            answer = await dpa.execute("another")
            assert (answer.status, answer.code) == (404, 404)
            dpa.platform.add_workflow(SimulatedWorkflow("another"))
            assert (await dpa.execute("another")).code == 200

    face.run(main())


@pytest.mark.parametrize("workflow_id", ["a b", "a/b", "../x?y=1#z", "流程", "a%2Fb"])
def test_an_id_is_one_percent_encoded_segment(face, workflow_id):
    async def main():
        async with face.open() as dpa:
            await dpa.sign_in()
            ids = (await dpa.execute(workflow_id)).data
            assert ids["modelId"] == workflow_id
            assert len(dpa.platform.executions(workflow_id)) == 1
            if "/" in workflow_id:
                path = f"/api/dpa/process/execute/{workflow_id.partition('?')[0]}"
                assert (await dpa.post(path, {})).status == 404

    face.run(main())


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("/card/0a1b", "/card/0a1b"),
        ("/card/流 1", "/card/%E6%B5%81%201"),
        ("/card/%e6%b5%81", "/card/%E6%B5%81"),
    ],
)
def test_an_execute_url_need_not_hold_the_id(face, path, encoded):
    workflows = [SimulatedWorkflow("wf", execute_path=path)]

    async def main():
        async with face.open(workflows=workflows) as dpa:
            await dpa.sign_in()
            assert dpa.simulator.execute_url("wf").endswith(encoded)
            assert (await dpa.execute()).data["modelId"] == "wf"
            usual = "/api/dpa/process/execute/wf"
            assert (await dpa.post(usual, {})).status == 404

    face.run(main())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api/dpa/process/processModel/listAll"),
        ("POST", "/api/dpa/process/processrun/getProcessRunStatus"),
        ("GET", "/api/dpa/process/execute/wf"),
        ("POST", "/api/dpa/process/execute/"),
        ("POST", "/api/dpa/process/execute/wf/more"),
    ],
)
def test_a_path_that_is_not_there(face, method, path):
    async def main():
        async with face.open() as dpa:
            answer = await dpa.request(
                method, path, b"{}" if method == "POST" else None
            )
            assert (answer.status, answer.code) == (404, 404)
            assert dpa.platform.requests == {"unknown": 1}

    face.run(main())


def test_all_of_it_can_live_under_a_prefix(face):
    async def main():
        async with face.open(behaviour=Behaviour(prefix="/dpa/v1")) as dpa:
            assert dpa.simulator.url.endswith("/dpa/v1")
            await dpa.sign_in()
            ids = (await dpa.execute()).data
            assert (await dpa.status(ids)).code == 200
            bare = dpa.simulator.url.removesuffix("/dpa/v1")
            path = "/api/dpa/process/processModel/listAll"
            assert (await dpa.post(bare + path, {})).status == 404

    face.run(main())


def test_the_ledger_counts_what_came(face):
    async def main():
        async with face.open() as dpa:
            await dpa.sign_in()
            ids = (await dpa.execute()).data
            for _ in range(3):
                await dpa.status(ids)
            await dpa.list_all()
            await dpa.outputs(ids)
            await dpa.list_var("wf")
            counted = {
                "authorize": 1,
                "token": 1,
                "execute": 1,
                "getProcessRunStatus": 3,
                "listAll": 1,
                "getOutParamByModelId": 1,
                "listVar": 1,
            }
            assert dpa.platform.requests == counted
            assert dpa.faults.calls == counted
            assert list(dpa.platform.runs) == [ids["instanceId"]]

    face.run(main())


def test_the_date_goes_on(memory):
    async def main():
        async with memory.open() as dpa:
            dates = []
            for _ in range(3):
                dates.append((await dpa.authorize()).headers["date"])
                await asyncio.sleep(60)
            first, second, third = map(parsedate_to_datetime, dates)
            assert second - first == third - second == timedelta(seconds=60)

    memory.run(main())


def test_answers_are_json_with_a_date(face):
    async def main():
        async with face.open() as dpa:
            answer = await dpa.authorize()
            assert answer.headers["content-type"] == "application/json;charset=UTF-8"
            assert answer.headers["date"].endswith(" GMT")

    face.run(main())
