"""Each fault is the same trouble over a socket and in memory."""

import asyncio
import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from dpa_async.simulator import Behaviour, Fault, FaultScript, SimulatedWorkflow


async def signed_in(dpa, *faults, place="execute"):
    await dpa.sign_in()
    dpa.faults.add(place, *faults, calls={1})
    return dpa


@pytest.mark.parametrize(
    ("fault", "ran"),
    [
        (Fault.reset(), 0),
        (Fault.closed(), 0),
        (Fault.answer_lost(), 1),
        (Fault.answer_cut(), 1),
        (Fault.answer_cut(10), 1),
    ],
    ids=repr,
)
def test_an_answer_that_does_not_come(face, lost, fault, ran):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, fault)
            with pytest.raises(lost) as caught:
                await dpa.execute()
            assert caught.value.sent
            assert len(dpa.platform.executions("wf")) == ran
            assert dpa.platform.executes["wf"] == ran
            assert dpa.faults.calls["execute"] == 1
            assert dpa.faults.struck == [("execute", fault)]
            assert (await dpa.execute("other")).code == 200

    face.run(main())


def test_in_memory_a_connection_can_be_refused(memory, lost):
    async def main():
        async with memory.open() as dpa:
            await signed_in(dpa, Fault.refused())
            with pytest.raises(lost) as caught:
                await dpa.execute()
            assert not caught.value.sent
            assert dpa.platform.executions("wf") == ()

    memory.run(main())


def test_on_a_socket_a_refused_connection_is_a_reset_one(http, lost):
    async def main():
        async with http.open() as dpa:
            await signed_in(dpa, Fault.refused())
            with pytest.raises(lost):
                await dpa.execute()
            assert dpa.platform.executions("wf") == ()

    http.run(main())


def test_nobody_answers_at_another_address(memory, lost):
    async def main():
        async with memory.open() as dpa:
            with pytest.raises(lost) as caught:
                await dpa.request("GET", "http://127.0.0.1:12/api")
            assert not caught.value.sent
            assert not dpa.faults.calls

    memory.run(main())


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize(
    ("make", "status", "body"),
    [
        (Fault.empty, 200, b""),
        (lambda **kw: Fault.garbage(b"{'", **kw), 200, b"{'"),
        (
            lambda **kw: Fault.html(502, **kw),
            502,
            b"<!DOCTYPE html><html><body><h1>502</h1></body></html>",
        ),
        (lambda **kw: Fault.http_status(503, **kw), 503, b""),
        (lambda **kw: Fault.http_status(429, **kw), 429, b""),
        (lambda **kw: Fault.redirect("/login", **kw), 302, b""),
        (lambda **kw: Fault.redirect("/login", 307, **kw), 307, b""),
    ],
    ids=["empty", "garbage", "html", "503", "429", "302", "307"],
)
def test_another_answer_than_the_platforms(face, make, status, body, carried_out):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, make(carried_out=carried_out))
            answer = await dpa.execute()
            assert (answer.status, answer.body) == (status, body)
            assert len(dpa.platform.executions("wf")) == carried_out
            if status in {302, 307}:
                assert answer.headers["location"] == "/login"

    face.run(main())


def test_an_html_page_says_so(face):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.html())
            answer = await dpa.execute()
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("text/html")

    face.run(main())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (999, "业务逻辑异常"),
        (500, "服务器内部错误"),
        (997, "未知错误"),
        (123, ""),
        ("403", "身份验证失败"),
    ],
    ids=repr,
)
def test_another_body_code(face, code, message):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.body_code(code))
            answer = await dpa.execute()
            expected = {"code": code, "message": message, "data": None}
            assert (answer.status, answer.json) == (200, expected)
            assert dpa.platform.executions("wf") == ()

    face.run(main())


def test_a_code_in_text_keeps_the_data_of_what_was_carried_out(face):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.body_code("200", "ok", carried_out=True))
            answer = await dpa.execute()
            [run] = dpa.platform.executions("wf")
            assert answer.json == {
                "code": "200",
                "message": "ok",
                "data": {"instanceId": run.run_id, "modelId": "wf"},
            }

    face.run(main())


def test_a_body_code_can_come_with_another_http_status(face):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.body_code(403, http_status=401))
            answer = await dpa.execute()
            assert (answer.status, answer.code) == (401, 403)

    face.run(main())


def test_a_body_can_be_cut_behind_https_back(face):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.body_cut(17))
            answer = await dpa.execute()
            assert answer.status == 200
            assert answer.body == b'{"code":200,"mess'
            assert len(dpa.platform.executions("wf")) == 1

    face.run(main())


def test_come_again_in_so_many_seconds(face):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.http_status(429, retry_after=2.5))
            assert (await dpa.execute()).headers["retry-after"] == "2.5"

    face.run(main())


def test_come_again_at_a_date_by_the_platforms_clock(memory):
    async def main():
        async with memory.open(behaviour=Behaviour(clock_skew=3600)) as dpa:
            fault = Fault.http_status(503, retry_after=30, as_date=True)
            await signed_in(dpa, fault)
            answer = await dpa.execute()
            moment = parsedate_to_datetime(answer.headers["retry-after"])
            now = datetime.fromtimestamp(dpa.simulator.now() + 3600, UTC)
            assert 29 < (moment - now).total_seconds() < 31
            assert (
                0 <= (now - parsedate_to_datetime(answer.headers["date"])).seconds < 2
            )

    memory.run(main())


def test_an_endless_body_is_read_as_far_as_is_wanted(memory):
    async def main():
        async with memory.open() as dpa:
            await signed_in(dpa, Fault.endless())
            assert len((await dpa.execute()).body) == 1_000_001

    memory.run(main())


def test_a_long_body_is_read_as_far_as_is_wanted(memory):
    outputs = [("long", "x" * 2_000_000)]

    async def main():
        workflows = [SimulatedWorkflow("wf", outputs=outputs)]
        async with memory.open(workflows=workflows) as dpa:
            await dpa.sign_in()
            ids = (await dpa.execute()).data
            await asyncio.sleep(1)
            assert len((await dpa.outputs(ids)).body) == 1_000_001

    memory.run(main())


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_stall_never_answers(face, carried_out):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.stall(carried_out=carried_out))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await dpa.execute()
            assert len(dpa.platform.executions("wf")) == carried_out

    face.run(main())


def test_latency_comes_before_and_a_slow_answer_after(memory):
    async def main():
        async with memory.open(latency=0) as dpa:
            await dpa.sign_in()
            dpa.faults.add("execute", Fault.latency(5), calls={1})
            dpa.faults.add("execute", Fault.slow_answer(7), calls={2})
            start = dpa.simulator.now()
            await dpa.execute("late")
            assert dpa.simulator.now() - start == pytest.approx(5)
            await dpa.execute("slow")
            assert dpa.simulator.now() - start == pytest.approx(12)
            [late], [slow] = map(dpa.platform.executions, ("late", "slow"))
            assert late.submitted_at - start == pytest.approx(5)
            assert slow.submitted_at - start == pytest.approx(5)

    memory.run(main())


def test_what_is_under_way_arrives_although_its_sender_gave_up(face):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.latency(0.3))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await dpa.execute()
            assert dpa.platform.executions("wf") == ()
            await asyncio.sleep(0.5)
            assert len(dpa.platform.executions("wf")) == 1

    face.run(main())


def test_a_presented_token_is_revoked_first(face):
    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, Fault.token_revoked())
            assert (await dpa.execute()).code == 403
            assert (await dpa.execute()).code == 403
            await dpa.sign_in()
            assert (await dpa.execute()).code == 200
            assert len(dpa.platform.executions("wf")) == 1

    face.run(main())


def test_one_list_all_is_stale(memory):
    async def main():
        async with memory.open(duration=10, latency=0) as dpa:
            await dpa.sign_in()
            await dpa.execute()
            await asyncio.sleep(11)
            dpa.faults.add("listAll", Fault.stale(5), calls={1})
            assert (await dpa.list_all()).data[0]["status"] == "running"
            assert (await dpa.list_all()).data[0]["status"] == "success"

    memory.run(main())


def test_faults_that_strike_together(face):
    both = (Fault.latency(0.01), Fault.body_code(997), Fault.answer_cut(3))

    async def main():
        async with face.open() as dpa:
            await signed_in(dpa, *both[:2])
            assert (await dpa.execute()).code == 997
            assert [fault for _, fault in dpa.faults.struck] == list(both[:2])

    face.run(main())


def test_one_fault_of_two():
    one = Fault.latency(1).and_also(Fault.answer_cut(3))
    two = one.and_also(Fault.stale(9)).and_also(Fault.latency(2))
    assert (two.delay, two.cut_at, two.staleness) == (3, 3, 9)
    assert two.ending == Fault.answer_cut(3).ending
    assert two.carried_out
    assert not two.and_also(Fault.reset()).carried_out
    assert two.reshape is None
    assert repr(one) == "Fault.latency(1) + answer_cut(3)"


def test_a_code_where_another_fault_kept_the_request_out(memory):
    async def main():
        async with memory.open() as dpa:
            await signed_in(dpa, Fault.body_code(200, carried_out=True), Fault.empty())
            assert (await dpa.execute()).body == b""
            dpa.faults.add(
                "execute", Fault.empty(), Fault.body_code(200, carried_out=True)
            )
            assert json.loads((await dpa.execute()).body)["data"] is None

    memory.run(main())


def test_a_script_is_handed_over(face, lost):
    script = FaultScript().add("token", Fault.reset(), first=1)

    async def main():
        async with face.open(faults=script) as dpa:
            with pytest.raises(lost):
                await dpa.sign_in()
            await dpa.sign_in()

    face.run(main())


EVERY_KIND = (
    Fault.latency(0.3),
    Fault.slow_answer(0.3),
    Fault.stall(),
    Fault.refused(),
    Fault.reset(),
    Fault.closed(),
    Fault.answer_lost(),
    Fault.answer_cut(7),
    Fault.body_cut(7),
    Fault.empty(),
    Fault.garbage(b"?"),
    Fault.html(),
    Fault.redirect("/login"),
    Fault.endless(),
    Fault.http_status(503, retry_after=3),
    Fault.http_status(429, retry_after=3, as_date=True),
    Fault.body_code(997),
    Fault.body_code("999"),
    Fault.token_revoked(),
    Fault.stale(5),
)


def test_there_is_one_of_every_kind():
    makers = {name for name, what in vars(Fault).items() if type(what) is classmethod}
    assert {fault.name.partition("(")[0] for fault in EVERY_KIND} | {
        "_instead"
    } == makers


def test_the_same_seed_is_the_same_trouble_in_virtual_time(memory, lost):
    async def one(dpa, history):
        try:
            async with asyncio.timeout(1):
                reply = await dpa.list_all()
        except (lost, TimeoutError) as error:
            history.append((dpa.simulator.now(), repr(error)))
        else:
            history.append((dpa.simulator.now(), reply.status, reply.body[:99]))

    def play(seed):
        script, history = FaultScript(seed=seed), []

        async def main():
            async with memory.open(faults=script) as dpa:
                await dpa.sign_in()
                for fault in EVERY_KIND:
                    script.add("listAll", fault, probability=0.1)
                for _ in range(100):
                    await one(dpa, history)

        memory.run(main())
        return history, [fault.name for _, fault in script.struck]

    assert play(1) == play(1)
    assert play(1) != play(2)
    assert {*play(1)[1]} == {fault.name for fault in EVERY_KIND}
