"""1: OAuth, and what becomes of tokens."""

import asyncio
import base64
import json
from urllib.parse import urlencode

import pytest

from dpa_async.simulator import Application, Behaviour


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def test_a_token_for_a_code(face):
    async def main():
        async with face.open() as dpa:
            answer = await dpa.authorize()
            assert answer.status == 200
            assert answer.json["message"] == "success"
            token = await dpa.exchange(answer.data["code"])
            assert token.data["token_type"] == "Bearer"
            dpa.token = token.data["access_token"]
            assert (await dpa.list_all()).code == 200

    face.run(main())


@pytest.mark.parametrize("missing", ["client_id", "response_type", "scope"])
def test_authorize_needs_every_field(face, missing):
    async def main():
        async with face.open() as dpa:
            answer = await dpa.authorize(**{missing: ""})
            assert (answer.status, answer.code) == (200, 400)

    face.run(main())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "somebody else"}, 403),
        ({"scope": "some"}, 400),
        ({"scope": "all"}, 200),
        ({"response_type": "token"}, 400),
    ],
)
def test_authorize_checks_its_fields(face, changes, code):
    async def main():
        async with face.open() as dpa:
            assert (await dpa.authorize(**changes)).code == code

    face.run(main())


def test_a_plus_that_is_not_encoded_is_a_blank(face):
    async def main():
        async with face.open() as dpa:
            assert "+" in dpa.platform.application.client_id
            query = urlencode(
                {
                    "client_id": dpa.platform.application.client_id,
                    "response_type": "code",
                    "scope": "all",
                },
                safe="+/=",
            )
            path = f"/api/dp/auth/oauth/authorize?{query}"
            assert (await dpa.request("GET", path)).code == 403

    face.run(main())


@pytest.mark.parametrize(
    "missing", ["code", "client_id", "client_secret", "grant_type"]
)
def test_token_needs_every_field(face, missing):
    async def main():
        async with face.open() as dpa:
            code = (await dpa.authorize()).data["code"]
            fields = {"code": code, missing: None}
            assert (await dpa.exchange(**fields)).code == 400

    face.run(main())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_secret": "wrong"}, 403),
        ({"client_id": "unknown"}, 403),
        ({"code": "made up"}, 403),
        ({"grant_type": "password"}, 400),
        ({"user_id": "u1"}, 200),
    ],
)
def test_token_checks_its_fields(face, changes, code):
    async def main():
        async with face.open() as dpa:
            fields = {"code": (await dpa.authorize()).data["code"]} | changes
            assert (await dpa.exchange(**fields)).code == code

    face.run(main())


def test_a_code_is_good_for_one_exchange(face):
    async def main():
        async with face.open() as dpa:
            code = (await dpa.authorize()).data["code"]
            assert (await dpa.exchange(code)).code == 200
            assert (await dpa.exchange(code)).code == 403

    face.run(main())


def test_a_code_is_its_applications(memory):
    other = Application("other", "other's secret")
    behaviour = Behaviour(applications=(Application(), other))

    async def main():
        async with memory.open(behaviour=behaviour) as dpa:
            code = (await dpa.authorize(client_id="other")).data["code"]
            assert (await dpa.exchange(code)).code == 403

    memory.run(main())


def test_a_code_is_short_lived(memory):
    async def main():
        async with memory.open(behaviour=Behaviour(code_lifetime=60)) as dpa:
            early = (await dpa.authorize()).data["code"]
            await asyncio.sleep(59.9)
            assert (await dpa.exchange(early)).code == 200
            late = (await dpa.authorize()).data["code"]
            await asyncio.sleep(60)
            assert (await dpa.exchange(late)).code == 403

    memory.run(main())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"code": "x",}', b"code=x", b"\xff"])
def test_the_token_request_is_json(face, body):
    async def main():
        async with face.open() as dpa:
            assert (await dpa.post("/api/dp/auth/oauth/token", body)).code == 400

    face.run(main())


def test_the_token_request_can_have_to_be_a_form(face):
    async def main():
        async with face.open(behaviour=Behaviour(token_body="form")) as dpa:
            app = dpa.platform.application
            fields = {
                "code": (await dpa.authorize()).data["code"],
                "client_id": app.client_id,
                "client_secret": app.client_secret,
                "grant_type": "authorization_code",
            }
            path = "/api/dp/auth/oauth/token"
            assert (await dpa.post(path, fields)).code == 400
            assert (await dpa.post(path, urlencode(fields).encode())).code == 200

    face.run(main())


def test_a_token_is_a_jwt_by_the_platforms_clock(memory):
    behaviour = Behaviour(token_lifetime=900, clock_skew=3_600)

    async def main():
        async with memory.open(behaviour=behaviour) as dpa:
            await dpa.sign_in()
            issued = claims(dpa.token)["iat"]
            assert claims(dpa.token)["exp"] == issued + 900
            assert 3_598 < issued - dpa.simulator.now() <= 3_600
            assert isinstance(claims(dpa.token)["exp"], int)

    memory.run(main())


def test_a_token_can_be_opaque(memory):
    async def main():
        async with memory.open(behaviour=Behaviour(opaque_tokens=True)) as dpa:
            await dpa.sign_in()
            assert "." not in dpa.token
            assert (await dpa.list_all()).code == 200

    memory.run(main())


@pytest.mark.parametrize(
    ("auth_failure", "status"), [("code", 200), ("http_401", 401), ("http_403", 403)]
)
@pytest.mark.parametrize("token", ["", "made.up.token"])
def test_a_bad_token_is_refused_everywhere(face, auth_failure, status, token):
    ids = {"modelId": "wf", "instanceId": "in1"}

    async def main():
        async with face.open(behaviour=Behaviour(auth_failure=auth_failure)) as dpa:
            dpa.token = token
            answers = [
                await dpa.list_var("wf"),
                await dpa.execute(),
                await dpa.status(ids),
                await dpa.list_all(),
                await dpa.outputs(ids),
            ]
            seen = [(answer.status, answer.code) for answer in answers]
            assert seen == [(status, 403)] * 5
            assert dpa.platform.executions("wf") == ()

    face.run(main())


def test_a_token_expires(memory):
    async def main():
        async with memory.open(behaviour=Behaviour(token_lifetime=100)) as dpa:
            await dpa.sign_in()
            await asyncio.sleep(99)
            assert (await dpa.list_all()).code == 200
            await asyncio.sleep(1)
            assert (await dpa.list_all()).code == 403

    memory.run(main())


def test_a_token_can_be_revoked(face):
    async def main():
        async with face.open() as dpa:
            await dpa.sign_in()
            first = dpa.token
            await dpa.sign_in()
            dpa.platform.revoke(first)
            assert (await dpa.list_all()).code == 200
            dpa.token = first
            assert (await dpa.list_all()).code == 403

    face.run(main())


def test_all_tokens_can_be_revoked(face):
    async def main():
        async with face.open() as dpa:
            await dpa.sign_in()
            dpa.platform.revoke_all()
            assert (await dpa.list_all()).code == 403
            await dpa.sign_in()
            assert (await dpa.list_all()).code == 200

    face.run(main())


def test_an_application_that_expired_gets_no_token(face):
    async def main():
        async with face.open() as dpa:
            await dpa.sign_in()
            code = (await dpa.authorize()).data["code"]
            dpa.platform.application.valid_until = dpa.simulator.now()
            assert (await dpa.authorize()).code == 403
            assert (await dpa.exchange(code)).code == 403
            assert (await dpa.list_all()).code == 200  # what it has, it has

    face.run(main())


def test_an_applications_expiry_is_the_simulators_own_copy(memory):
    behaviour = Behaviour()

    async def main():
        async with memory.open(behaviour=behaviour) as dpa:
            dpa.platform.application.valid_until = 0
        async with memory.open(behaviour=behaviour) as dpa:
            assert (await dpa.authorize()).code == 200

    memory.run(main())


def test_no_secret_in_a_repr():
    secret = Application().client_secret
    assert secret not in repr(Behaviour())
