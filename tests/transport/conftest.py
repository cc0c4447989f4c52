"""The helpers beside the tests can be imported by their names; certificates."""

import datetime as dt
import ssl
import sys
import threading
from pathlib import Path

import pytest
import trustme
from attrs import frozen

sys.path.insert(0, str(Path(__file__).parent))


@frozen
class Certificates:
    """A certificate authority of our own, and whom it vouches for."""

    trusting: ssl.SSLContext
    good: ssl.SSLContext
    expired: ssl.SSLContext
    of_another_host: ssl.SSLContext
    of_nobody_known: ssl.SSLContext
    asking_back: ssl.SSLContext


def _serving(authority, host="127.0.0.1", **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **options).configure_cert(context)
    return context


@pytest.fixture(scope="session")
def certificates():
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    long_ago = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    asking_back = _serving(authority)
    authority.configure_trust(asking_back)
    asking_back.verify_mode = ssl.CERT_REQUIRED
    return Certificates(
        trusting=trusting,
        good=_serving(authority),
        expired=_serving(authority, not_before=long_ago, not_after=long_ago),
        of_another_host=_serving(authority, "elsewhere.example"),
        of_nobody_known=_serving(trustme.CA()),
        asking_back=asking_back,
    )


@pytest.fixture(autouse=True)
def _servers_are_not_measured():
    """Keep coverage out of the thousands of threads of the platforms that break.

    It has nothing to see there, and on 3.11 a thread now and then dies of it: "Cannot
    install a trace function while another trace function is being installed".
    """
    tracing = threading.gettrace()
    threading.settrace(None)
    yield
    threading.settrace(tracing)
