"""The security centre: applications, authorization codes and tokens."""

import base64
import hmac
import random
from collections.abc import Mapping

from attrs import define, evolve

from dpa_async.simulator.behaviour import Application, Behaviour
from dpa_async.simulator.envelope import Refusal, compact, text

_AUTH_STATUS = {"code": 200, "http_401": 401, "http_403": 403}


@define
class _Grant:
    """What an authorization code or a token is good for, and until when."""

    client_id: str
    expires_at: float


class SecurityCentre:
    """Hands out codes and tokens, and knows which still hold."""

    def __init__(self, behaviour: Behaviour, rng: random.Random) -> None:
        self._behaviour = behaviour
        self._rng = rng
        self._key = rng.randbytes(32)
        self._codes: dict[str, _Grant] = {}
        self._tokens: dict[str, _Grant] = {}
        self.applications: dict[str, Application] = {
            app.client_id: evolve(app) for app in behaviour.applications
        }

    def authorize(self, query: Mapping[str, object], now: float) -> str:
        """Answer 1.1: an authorization code.

        Raises:
            Refusal: 400 for a missing field, 403 for an application that gets none.
        """
        if text(query, "response_type") != "code":
            raise Refusal(400, "response_type has to be code")
        if text(query, "scope") not in {"all", "default"}:
            raise Refusal(400, "scope has to be all or default")
        app = self._application(text(query, "client_id"), now)
        code = self._rng.randbytes(16).hex()
        self._codes[code] = _Grant(app.client_id, now + self._behaviour.code_lifetime)
        return code

    def exchange(self, fields: Mapping[str, object], now: float) -> str:
        """Answer 1.2: an access token for a code.

        Raises:
            Refusal: 400 for a missing field, 403 for a wrong secret or code.
        """
        if text(fields, "grant_type") != "authorization_code":
            raise Refusal(400, "grant_type has to be authorization_code")
        code, secret = text(fields, "code"), text(fields, "client_secret")
        app = self._application(text(fields, "client_id"), now)
        if secret != app.client_secret:
            raise Refusal(403, "wrong secret")
        grant = self._codes.pop(code, None)  # used up, whatever becomes of it
        if grant is None or grant.client_id != app.client_id or now >= grant.expires_at:
            raise Refusal(403, "the code is unknown, used or over")
        return self._issue(app, now)

    def check(self, authorization: str, now: float) -> None:
        """Let a request with a good bearer token pass.

        Raises:
            Refusal: 403 in the body, with the HTTP status this deployment uses.
        """
        grant = self._tokens.get(bearer(authorization))
        if grant is None or now >= grant.expires_at:
            status = _AUTH_STATUS[self._behaviour.auth_failure]
            raise Refusal(403, "the token does not hold", http_status=status)

    def revoke(self, token: str) -> None:
        """Make one token worthless; of an unknown one nothing is to be done."""
        self._tokens.pop(token, None)

    def revoke_all(self) -> None:
        """Make every token worthless that was issued so far."""
        self._tokens.clear()

    def _application(self, client_id: str, now: float) -> Application:
        app = self.applications.get(client_id)
        if app is None:
            raise Refusal(403, "unknown application")
        if now >= app.valid_until:
            raise Refusal(403, "the application's validity is over")
        return app

    def _issue(self, app: Application, now: float) -> str:
        lifetime = self._behaviour.token_lifetime
        token = (
            self._rng.randbytes(20).hex()
            if self._behaviour.opaque_tokens
            else self._jwt(int(now + self._behaviour.clock_skew), lifetime)
        )
        self._tokens[token] = _Grant(app.client_id, now + lifetime)
        return token

    def _jwt(self, issued_at: int, lifetime: float) -> str:
        # exp stays a whole number wherever the lifetime is one, as in real tokens.
        whole = int(lifetime) if lifetime == int(lifetime) else lifetime
        claims = {
            "iat": issued_at,
            "exp": issued_at + whole,
            "jti": self._rng.randbytes(8).hex(),
        }
        head = _base64(compact({"alg": "HS256", "typ": "JWT"}))
        signed = f"{head}.{_base64(compact(claims))}"
        signature = hmac.digest(self._key, signed.encode(), "sha256")
        return f"{signed}.{_base64(signature)}"


def bearer(authorization: str) -> str:
    """Take the token out of an `Authorization` header; empty where there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
