"""Refusals, redirects and failures, by HTTP's status and by the body's code."""

from fault import (
    ANSWER,
    NONE,
    ONE,
    REFUSED_TOKEN,
    UNCERTAIN,
    UNEXPECTED,
    answering,
    foreign,
    overlong,
    turning_away,
)
from raw_platform import envelope, http

_PAGE = b"<html><body>a proxy</body></html>"
_REPEATED = frozenset({500, 502, 503, 504})


def _status(status, *headers, body=_PAGE):
    return turning_away(http(body, *headers, status=f"{status} Some Reason"))


def _after_it_ran(status):
    return answering(lambda _: http(_PAGE, status=f"{status} Some Reason"))


def _code(code):
    return turning_away(http(envelope(None, code, "no")))


def _redirecting(status, target):
    def script(talk):
        talk.read()
        to = target(talk)
        talk.say(http(_PAGE, f"Location: {to}", status=f"{status} Go There"))

    return script


def _elsewhere(talk):
    return talk.platform.elsewhere + talk.seen.target


def _itself(talk):
    return talk.seen.target


def _refused(script, error, **changes):
    return foreign(script, execute=error, read=error, once=error, started=NONE).but(
        **changes
    )


def _come_again(script):
    """Turned away, and let in the next time."""
    return foreign(
        script, execute=ANSWER, read=ANSWER, once=ANSWER, started=ONE, times=1
    )


_PAGES = {
    f"answers HTTP {status}": foreign(
        _status(status), once=ANSWER if status in _REPEATED else UNEXPECTED
    )
    for status in (400, 404, 405, 407, 408, 413, 418, 500, 501, 502, 503, 504, 599)
}

_RAN = {
    f"carries it out, and answers HTTP {status}": foreign(
        _after_it_ran(status), once=ANSWER
    )
    for status in (500, 502, 504)
}

_BODILESS = {
    "answers 204 with a body": overlong(
        answering(lambda body: http(body, status="204 No Content"))
    ),
    "answers 304 with a body": overlong(
        answering(lambda body: http(body, status="304 Not Modified"))
    ),
    "answers 101": foreign(
        answering(
            lambda body: http(
                body,
                "Upgrade: websocket",
                "Connection: upgrade",
                status="101 Switching Protocols",
            )
        )
    ),
}

_REDIRECTS = {
    f"redirects with {status} to {name}": foreign(_redirecting(status, target))
    for status in (301, 302, 303, 307, 308)
    for name, target in {"another host": _elsewhere, "itself": _itself}.items()
}

_TOKEN = {
    "answers HTTP 401": _refused(_status(401), REFUSED_TOKEN, once=ANSWER),
    "answers HTTP 403": _refused(_status(403), REFUSED_TOKEN, once=ANSWER),
    "answers code 403": _refused(_code(403), REFUSED_TOKEN, once=ANSWER),
    # What gets a token has none to renew.
    "answers HTTP 401 once": _come_again(_status(401)).but(
        skipped=frozenset({"authorize", "token"})
    ),
}

_BUSY = {
    "answers HTTP 429 for good": _refused(_status(429), UNEXPECTED, once=ANSWER),
    "answers HTTP 429 once, Retry-After 1": _come_again(_status(429, "Retry-After: 1")),
    "answers HTTP 429 once, Retry-After a date": _come_again(
        _status(
            429,
            "Date: Tue, 03 Nov 2026 10:00:00 GMT",
            "Retry-After: Tue, 03 Nov 2026 10:00:01 GMT",
        )
    ),
    "answers HTTP 429 once, Retry-After nonsense": _come_again(
        _status(429, "Retry-After: soon")
    ),
    "answers HTTP 503 once, Retry-After 1": _come_again(_status(503, "Retry-After: 1")),
    "answers HTTP 503 for good, Retry-After 0": _refused(
        _status(503, "Retry-After: 0"), UNEXPECTED, once=ANSWER
    ),
}

_CODES = {
    "answers code 400": _refused(_code(400), "`InvalidParameterError`"),
    "answers code 404": _refused(_code(404), "`EndpointNotFoundError`"),
    "answers code 500": _refused(
        _code(500), "`ServerError`", started=UNCERTAIN, once=ANSWER
    ),
    "answers code 503": _refused(
        _code(503), "`ServerError`", started=UNCERTAIN, once=ANSWER
    ),
    "answers code 997": _refused(
        _code(997), "`OperationFailedError`", started=UNCERTAIN
    ),
    "answers code 998": _refused(_code(998), "`UserNotFoundError`"),
    "answers code 999": _refused(_code(999), "`BusinessError`"),
    "answers code 12345": _refused(_code(12345), "`APIError`", started=UNCERTAIN),
}

FAULTS = _PAGES | _RAN | _BODILESS | _REDIRECTS | _TOKEN | _BUSY | _CODES
