"""Answers whose head is none of HTTP's, or whose length is a lie."""

from fault import answering, harmless, lost, overlong
from raw_platform import Talk, http


def _saying(data, end=Talk.fin):
    """Carry it out, then talk nonsense."""
    return lost(answering(lambda _: data, end))


def _status_line(line, *headers):
    def make(body):
        good = http(body, *headers)
        return line + good[good.index(b"\r\n") :]

    return make


def _with(*headers):
    return lambda body: http(body, *headers)


def _length(text):
    def make(body):
        length = text(len(body)) if callable(text) else text
        return http(body, f"Content-Length: {length}", length=False)

    return make


def _lengths(*differences):
    def make(body):
        lines = [f"Content-Length: {len(body) + more}" for more in differences]
        return http(body, *lines, length=False)

    return make


def _chunked(body, *headers, size=None, last=b"0\r\n\r\n"):
    size = f"{len(body):x}" if size is None else size
    head = http(b"", "Transfer-Encoding: chunked", *headers, length=False)
    return head + size.encode() + b"\r\n" + body + b"\r\n" + last


def _chunks(*headers, **how):
    return lambda body: _chunked(body, *headers, **how)


def _in_two_chunks(body):
    first = _chunked(body[:5], last=b"")
    return (
        first
        + f"{len(body) - 5:x};name=value".encode()
        + (b"\r\n" + body[5:] + b"\r\n0\r\nX-Trailer: a\r\n\r\n")
    )


def _interim(body):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    return (b"HTTP/1.1 100 Continue\r\n\r\n" + hints) * 300 + http(body)


def _interim_for_ever(talk):
    talk.read()
    talk.carry_out()
    while True:
        talk.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
        talk.pause(0.002)


def _headers_for_ever(talk):
    talk.read()
    talk.carry_out()
    talk.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        talk.say(b"X-More: and more\r\n" * 2_000)


_NONSENSE = {
    "answers random bytes": _saying(bytes(range(256)) * 8),
    "answers zeros": _saying(bytes(1000)),
    "answers as SSH does": _saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "answers as SMTP does": _saying(b"220 mail.example ESMTP\r\n"),
    "answers as HTTP/0.9 does, without a head": lost(
        answering(lambda body: body, Talk.fin)
    ),
    "answers as HTTP/3.7": lost(answering(_status_line(b"HTTP/3.7 200 OK"), Talk.fin)),
    "answers as ICY": lost(answering(_status_line(b"ICY 200 OK"), Talk.fin)),
    "answers with status abc": lost(answering(_status_line(b"HTTP/1.1 abc OK"))),
    "answers with status 99": lost(answering(_status_line(b"HTTP/1.1 99 OK"))),
    "answers with status 2000": lost(answering(_status_line(b"HTTP/1.1 2000 OK"))),
    "answers without a status": lost(answering(_status_line(b"HTTP/1.1"))),
    "answers with only blank lines": _saying(b"\r\n" * 100),
    "answers with a header without colon": lost(answering(_with("nonsense"))),
    "answers with a blank in a header's name": lost(answering(_with("A b: c"))),
    "answers with a NUL in a header": lost(answering(_with("A: b\0c"))),
    "answers with a header of a megabyte": lost(answering(_with("A: " + "b" * 2**20))),
    "answers with 10,000 headers": lost(answering(_with(*["A: b"] * 10_000))),
    "answers headers for ever": lost(_headers_for_ever),
    "answers 1xx for ever": lost(_interim_for_ever, stalls=True),
}

_LENGTHS = {
    "two lengths that differ": lost(answering(_lengths(0, 5), Talk.fin)),
    "a negative length": lost(answering(_length("-5"), Talk.fin)),
    "a length with a sign": lost(answering(_length(lambda n: f"+{n}"), Talk.fin)),
    "a length that is no number": lost(answering(_length("many"), Talk.fin)),
    "a length of 31 digits": lost(answering(_length(10**30), Talk.fin)),
    "a length that is too large, and closes": lost(answering(_lengths(9), Talk.fin)),
    "a length that is too large, and stalls": lost(
        answering(_lengths(9), Talk.stall), stalls=True
    ),
    "a length that is too small": overlong(answering(_lengths(-9))),
    "chunks and a length": lost(answering(_chunks("Content-Length: 5"), Talk.fin)),
    "a chunk whose size is no number": lost(answering(_chunks(size="xyz"), Talk.fin)),
    "a chunk of negative size": lost(answering(_chunks(size="-5"), Talk.fin)),
    "a chunk of 2^80 bytes": lost(answering(_chunks(size="1" + "0" * 20), Talk.fin)),
    "a chunk longer than it says": lost(answering(_chunks(size="5"), Talk.fin)),
    "no last chunk, and closes": lost(answering(_chunks(last=b""), Talk.fin)),
    "no last chunk, and stalls": lost(
        answering(_chunks(last=b""), Talk.stall), stalls=True
    ),
    "an unknown transfer encoding": lost(
        answering(_with("Transfer-Encoding: gzip, rot13"), Talk.fin)
    ),
}

_ODD = {
    "answers without a reason": harmless(answering(_status_line(b"HTTP/1.1 200"))),
    "answers as HTTP/1.0": harmless(answering(_status_line(b"HTTP/1.0 200 OK"))),
    "answers 1xx six hundred times, then well": harmless(answering(_interim)),
    "answers in chunks, with a trailer": harmless(answering(_in_two_chunks)),
    "answers twice at once": harmless(answering(lambda body: http(body) * 2)),
    "answers with bytes in a header": harmless(answering(_with("A: \u6d41\u7a0b"))),
}

FAULTS = (
    _NONSENSE
    | {f"answers with {name}": fault for name, fault in _LENGTHS.items()}
    | _ODD
)
