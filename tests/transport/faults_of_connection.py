"""Connections that close, reset, stall and dribble, at every point of an exchange."""

import itertools

from fault import (
    ANSWER,
    ANSWERED,
    MAYBE,
    NONE,
    NOT_SENT,
    ONE,
    TRANSPORT,
    UNCERTAIN,
    UNEXPECTED,
    answering,
    foreign,
    harmless,
    lost,
)
from raw_platform import Talk, http


def _unread(talk):
    if talk.position:  # or else it would break the exchange before
        talk.wait()


def _ten_bytes(talk):
    talk.take(10)


def _read(talk):
    talk.read()


def _carried_out(talk):
    talk.read()
    return http(talk.carry_out())


def _said_up_to(mark, further=0):
    def reach(talk):
        answer = _carried_out(talk)
        talk.say(answer[: answer.index(mark) + len(mark) + further])

    return reach


POINTS = {
    "before the request is read": _unread,
    "after 10 bytes of the head": _ten_bytes,
    "after the head": Talk.head,
    "after the request, before it is carried out": _read,
    "after it was carried out": _carried_out,
    "in the status line": _said_up_to(b"HTTP/1.1 2"),
    "after the status line": _said_up_to(b"OK\r\n"),
    "in the headers": _said_up_to(b"Content-T"),
    "before the body": _said_up_to(b"\r\n\r\n"),
    "in the body": _said_up_to(b"\r\n\r\n", further=9),
}

ENDS = {"closes (FIN)": Talk.fin, "resets (RST)": Talk.rst, "stalls": Talk.stall}


def _breaking(reach, end):
    def script(talk):
        reach(talk)
        end(talk)

    return script


def _slowly(talk, data, pause):
    for n in range(len(data)):
        talk.say(data[n : n + 1])
        talk.pause(pause)


def _reads_byte_by_byte(talk):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += talk.take(1, at_most=1)
    talk.put_back(head)
    talk.serve()


def _answers_byte_by_byte(talk):
    _slowly(talk, _carried_out(talk), 0.0005)


def _answers_for_ever(talk):
    talk.read()
    talk.carry_out()
    talk.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        _slowly(talk, b"x", 0.05)


def _answers_at_once(status, end):
    """Answer before anything is read, as a server does that has had enough."""

    def script(talk):
        _unread(talk)
        talk.say(http(b"", "Connection: close", status=status))
        end(talk)

    return script


def _without_length(body):
    return http(body, "Connection: close", length=False)


def _cut_without_length(body):
    return _without_length(body)[:-9]


def _closing(body):
    return http(body, "Connection: close")


def _promising(body):
    return http(body, "Connection: keep-alive", "Keep-Alive: timeout=60")


_AT_EVERY_POINT = {
    f"{end} {point}": lost(_breaking(reach, ENDS[end]), stalls=end == "stalls")
    for (point, reach), end in itertools.product(POINTS.items(), ENDS)
}

# It can be over before the connection is seen to be there, and nothing is sent then.
_TOO_SOON = {
    "resets (RST) before the request is read": lost(
        _breaking(_unread, Talk.rst),
        verdict=f"{MAYBE} or {NOT_SENT}",
        started=f"{UNCERTAIN} or {NONE}",
    )
}

_ODD = {
    "reads the request byte by byte": harmless(_reads_byte_by_byte),
    "answers byte by byte": harmless(_answers_byte_by_byte),
    "answers byte by byte for ever": lost(_answers_for_ever, stalls=True),
    "answers, and resets": lost(
        answering(http, Talk.rst),
        verdict=f"{ANSWERED} or {MAYBE}",
        execute=f"{ANSWER} or {TRANSPORT}",
        started=f"{ONE} or {UNCERTAIN}",
        read=f"{ANSWER} or {TRANSPORT}",
    ),
    "promises to stay, and closes": harmless(answering(_promising, Talk.fin)),
    "says it closes, and does": harmless(answering(_closing, Talk.fin)),
    "says it closes, and stays": harmless(answering(_closing, Talk.stall)),
    "ends the answer by closing": harmless(answering(_without_length, Talk.fin)),
    "ends a part of the answer by closing": foreign(
        answering(_cut_without_length, Talk.fin)
    ),
    "never ends an answer without length": lost(
        answering(_without_length, Talk.stall), stalls=True
    ),
    "answers 503 before it reads, and closes": foreign(
        _answers_at_once("503 Service Unavailable", Talk.fin), once=ANSWER
    ),
    "answers 408 before it reads, and closes": foreign(
        _answers_at_once("408 Request Timeout", Talk.fin)
    ),
    "answers 413 before it reads, and resets": foreign(
        _answers_at_once("413 Content Too Large", Talk.rst),
        verdict=f"{ANSWERED} or {MAYBE} or {NOT_SENT}",
        execute=f"{UNEXPECTED} or {TRANSPORT}",
        started=f"{UNCERTAIN} or {NONE}",
        read=f"{UNEXPECTED} or {TRANSPORT}",
        once=f"{UNEXPECTED} or {ANSWER}",
    ),
}

FAULTS = _AT_EVERY_POINT | _TOO_SOON | _ODD
