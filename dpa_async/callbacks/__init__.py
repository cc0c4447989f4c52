"""Where the platform calls back when a run ends.

A `CallbackReceiver` is a small server of its own, routes on an aiohttp application, or
an ASGI application. A callback is an alarm clock and nothing more: it says when to look
at a run, never how the run ended.
"""

from dpa_async.callbacks.expectations import Expectation
from dpa_async.callbacks.over_asgi import ASGIApp
from dpa_async.callbacks.receiver import CallbackReceiver
from dpa_async.wire.callback import Callback

__all__ = ["ASGIApp", "Callback", "CallbackReceiver", "Expectation"]
