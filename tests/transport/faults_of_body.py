"""Bodies that are compressed, too long, or no envelope in JSON."""

import gzip
import json
import zlib

from fault import answering, foreign, harmless
from raw_platform import Talk, envelope, http

CAP = 100_000
"""What the settings of these tests allow a body to have."""


_BOMB = gzip.compress(b" " * 2**20) * 64  # members in a row: 64 MiB of 64 KiB


_CHUNK = b"3e8\r\n" + b" " * 1_000 + b"\r\n"


def _compressed(encoding, compress):
    return foreign(
        answering(lambda body: http(compress(body), f"Content-Encoding: {encoding}"))
    )


def _body(change):
    return answering(lambda body: http(change(body)))


def _instead(data):
    return foreign(_body(lambda _: data))


def _padded(body):
    return body + b" " * CAP


def _for_ever(head):
    def script(talk):
        talk.read()
        talk.carry_out()
        talk.say(head)
        while True:
            talk.say(_CHUNK * 50 if b"chunked" in head else b" " * 50_000)

    return script


def _chunked(body):
    head = http(b"", "Transfer-Encoding: chunked", length=False)
    return head + f"{len(body):x}".encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"


def _with_field(text):
    """The true answer with one more field in front."""
    return lambda body: b'{"more": ' + text + b", " + body[1:]


_COMPRESSED = {
    "gzip": _compressed("gzip", gzip.compress),
    "gzip that breaks off": _compressed("gzip", lambda b: gzip.compress(b)[:-12]),
    "a gzip bomb": _compressed("gzip", lambda _: _BOMB),
    "deflate": _compressed("deflate", zlib.compress),
    "what it calls br": _compressed("br", bytes),
    "what it calls gzip and is not": _compressed("gzip", bytes),
    "gzip without saying so": foreign(_body(gzip.compress)),
}

_TOO_LONG = {
    "more than the cap": foreign(_body(_padded)),
    "more than the cap, in chunks": foreign(
        answering(lambda body: _chunked(_padded(body)))
    ),
    "more than the cap, until it closes": foreign(
        answering(lambda body: http(_padded(body), length=False), Talk.fin)
    ),
    "chunks for ever": foreign(
        _for_ever(http(b"", "Transfer-Encoding: chunked", length=False))
    ),
    "a body for ever": foreign(_for_ever(http(b"", length=False))),
}

_NO_ENVELOPE = {
    "an empty body": _instead(b""),
    "null": _instead(b"null"),
    "an array": _instead(b"[]"),
    "a number": _instead(b"200"),
    "text": _instead(b'"success"'),
    "a page": _instead(b"<html><body>welcome</body></html>"),
    "JSON that breaks off": foreign(_body(lambda body: body[:-1])),
    "JSON twice": foreign(_body(lambda body: body * 2)),
    "no code": _instead(b'{"message": "success", "data": {}}'),
    "code null": _instead(envelope({}, code=None)),
    "code true": _instead(envelope({}, code=True)),
    "data of the wrong shape": _instead(envelope(17)),
    "NaN": foreign(_body(_with_field(b"NaN"))),
    "1e999": foreign(_body(_with_field(b"1e999"))),
    "a number of 5,000 digits": foreign(_body(_with_field(b"9" * 5_000))),
    "JSON of depth 40,000": foreign(_body(_with_field(b"[" * 40_000 + b"]" * 40_000))),
    "half a character": foreign(_body(_with_field(b'"\\ud800"'))),
    "UTF-16": foreign(_body(lambda body: body.decode().encode("utf-16"))),
    "GBK": foreign(_body(_with_field('"流程"'.encode("gbk")))),
}

_ODD = {
    "a byte order mark in front": harmless(_body(lambda body: b"\xef\xbb\xbf" + body)),
    "blanks around it": harmless(_body(lambda body: b" \r\n" + body + b"\n\n")),
    "a field that is not known": harmless(_body(_with_field(b'{"a": [1.5e3]}'))),
    "the code as text": harmless(
        _body(lambda body: json.dumps(json.loads(body) | {"code": "200"}).encode())
    ),
    "no type": harmless(
        answering(lambda body: http(body).replace(b"application/json", b"text/html"))
    ),
    "identity by name": harmless(
        answering(lambda body: http(body, "Content-Encoding: identity"))
    ),
}

FAULTS = {
    f"answers {name}": fault
    for kind in (_COMPRESSED, _TOO_LONG, _NO_ENVELOPE, _ODD)
    for name, fault in kind.items()
}
