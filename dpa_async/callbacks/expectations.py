"""What callbacks are waited for: who is woken by which nonce.

A nonce is known here by its SHA-256 alone. That is what a journal may hold, so another
process can go on waiting for what this one registered; and looking it up tells a
stranger nothing by the time that it takes.
"""

import asyncio
import hashlib
import logging
import traceback
from collections.abc import Callable

from attrs import define, field, frozen

from dpa_async.checks import refuse
from dpa_async.wire.callback import Callback

REMEMBERED = 50_000
"""How many closed expectations are still answered, at least: the newest (in 12 MB)."""

_log = logging.getLogger("dpa_async")


def sha256_of(nonce: str) -> str:
    """Give the name that a nonce goes by: its SHA-256, in hexadecimal."""
    # What is no text at all (an unpaired surrogate) is no nonce of ours either.
    return hashlib.sha256(nonce.encode(errors="replace")).hexdigest()


def without_words(error: BaseException) -> str:
    """Show an error as its type and its place: its words could quote a URL."""
    where = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{where}"


@frozen
class Known:
    """What is known of a nonce.

    Attributes:
        reply: The text that its callbacks are answered.
        expectation: Who waits for it; None: nobody any more.
    """

    reply: str
    expectation: "Expectation | None" = None


@define(eq=False)
class Expectation:
    """One callback that is waited for, until `close`.

    Attributes:
        url: What the platform is to call: a secret. None where only the hash of its
            nonce is known.
        nonce_sha256: The SHA-256 of its nonce in hexadecimal, which may be shown.
    """

    nonce_sha256: str
    url: str | None = field(repr=False)
    _reply: str = field(repr=False)
    _wake: Callable[[Callback], None] = field(repr=False)
    _all: "Expectations" = field(repr=False)

    @property
    def known(self) -> Known:
        """What is known of its nonce while it is open."""
        return Known(self._reply, self)

    def close(self) -> None:
        """Wait no more; idempotent, raises nothing.

        Nobody is woken from now on. Callbacks that still come (the platform repeats
        one whose answer was lost) are answered as before.
        """
        self._all.forget(self, self._reply)

    def ring(self, callback: Callback) -> None:
        """Wake who waits, if somebody still does; raises nothing of theirs."""
        if not self._all.is_open(self):
            return
        try:
            self._wake(callback)
        # It is plain code, called: a CancelledError out of it cancels nobody.
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
            where = without_words(error)
            _log.error("who waits for callback %s raised %s", self.nonce_sha256, where)


class Expectations:
    """All expectations of a receiver, by the SHA-256 of their nonces."""

    def __init__(self) -> None:
        self._open: dict[bytes, Expectation] = {}
        self._closed: dict[bytes, str] = {}
        self._closed_before: dict[bytes, str] = {}

    def __len__(self) -> int:
        """Give how many are open."""
        return len(self._open)

    def add(self, expectation: Expectation) -> None:
        """Wait for one more.

        Raises:
            ConfigurationError: That nonce is waited for already.
        """
        key = bytes.fromhex(expectation.nonce_sha256)
        if key in self._open:
            refuse("nonce_sha256", "is waited for already: close the other first")
        self._open[key] = expectation

    def is_open(self, expectation: Expectation) -> bool:
        """Tell whether it is still waited for."""
        key = bytes.fromhex(expectation.nonce_sha256)
        return self._open.get(key) is expectation

    def forget(self, expectation: Expectation, reply: str) -> None:
        """Wait no more for one; what it was answered is remembered a while."""
        if not self.is_open(expectation):
            return
        key = bytes.fromhex(expectation.nonce_sha256)
        del self._open[key]
        if len(self._closed) == REMEMBERED:
            self._closed, self._closed_before = {}, self._closed
        self._closed[key] = reply

    def find(self, nonce: str) -> Known | None:
        """Tell what is known of a nonce that somebody brings; None: nothing."""
        key = bytes.fromhex(sha256_of(nonce))
        expectation = self._open.get(key)
        if expectation is not None:
            return expectation.known
        reply = self._closed.get(key, self._closed_before.get(key))
        return None if reply is None else Known(reply)

    def clear(self) -> None:
        """Wait for nothing any more, and remember nothing."""
        self._open.clear()
        self._closed.clear()
        self._closed_before.clear()
