"""`dpa doctor`: what is found, and the cause of what is wrong in one line each."""

import contextlib
import json
import socket
import ssl
import threading

import pytest
import trustme
from served_platform import served

from dpa_async.simulator import Application, Behaviour, Fault

DAY = 86_400.0


def lines_of(done):
    return [json.loads(line) for line in done.out.splitlines()]


def cause(done):
    """The one line that is not well; everything above it is."""
    assert done.code == 5
    findings = lines_of(done)
    wrong = [finding for finding in findings if finding["ok"] is False]
    assert len(wrong) == 1, findings
    return wrong[0]["check"], wrong[0]["says"]


def test_all_is_well(dpa, platform):
    done = dpa("doctor")
    assert (done.code, done.err) == (0, "all is well\n")
    found = {finding["check"]: finding for finding in lines_of(done)}
    checks = ["base_url", "client_id", "client_secret", "execute_urls"]
    checks += ["config", "dns", "tcp", "clock", "application", "token", "listAll"]
    assert list(found) == checks
    assert "DPA_BASE_URL" in found["base_url"]["says"]
    assert found["listAll"]["says"] == "4 workflows"
    assert platform[1]["DPA_CLIENT_SECRET"] not in done.out + done.err


def test_it_reads_like_a_table_and_is_one_document_on_demand(dpa):
    lines = dpa("doctor", "-o", "table").out.splitlines()
    assert all(line.startswith(("ok  ", "--  ")) for line in lines)
    findings = json.loads(dpa("doctor", "-o", "json").out)
    assert [f["check"] for f in findings] == [line.split()[1] for line in lines]


def test_settings_are_told_with_their_sources_and_without_secrets(
    dpa, environ, tmp_path, platform
):
    file = tmp_path / "dpa.toml"
    file.write_text(
        'base_url = "https://elsewhere.invalid"\nclient_secret = "t0psecret"\n'
        f'[profiles.here]\nbase_url = "{platform[1]["DPA_BASE_URL"]}"\n'
        'headers = {x-gateway = "k3y"}\nuser_id = "u1"\n'
    )
    file.chmod(0o600)
    environ.delenv("DPA_BASE_URL")
    done = dpa("doctor", "--config", str(file), "--profile", "here")
    says = {finding["check"]: finding["says"] for finding in lines_of(done)}
    assert says["base_url"].endswith(f"(from {file} [profiles.here])")
    assert says["headers"] == f"['x-gateway'] (from {file} [profiles.here])"
    assert says["client_secret"].endswith("(from DPA_CLIENT_SECRET)")
    assert "k3y" not in done.out + done.err
    assert "t0psecret" not in done.out + done.err


@pytest.mark.parametrize(
    ("url", "check", "words"),
    [
        ("https://nowhere.invalid", "dns", "nowhere.invalid has no address"),
        ("http://127.0.0.1:1", "tcp", "port 1 cannot be reached (Connection refused)"),
        ("{url}/elsewhere", "application", "no such path"),
        ("ftp://127.0.0.1", "settings", "base_url needs http:// or https://"),
    ],
)
def test_a_wrong_url(dpa, environ, platform, url, check, words):
    environ.setenv("DPA_BASE_URL", url.format(url=platform[1]["DPA_BASE_URL"]))
    where, says = cause(dpa("doctor"))
    assert where == check
    assert words in says
    assert "base_url" in says


def test_a_wrong_secret(dpa, environ):
    environ.setenv("DPA_CLIENT_SECRET", "wr0ng/Secret==")
    done = dpa("doctor")
    where, says = cause(done)
    assert where == "token"
    assert "does not take this client secret" in says
    assert "wr0ng" not in done.out + done.err


def test_a_wrong_id_or_an_application_that_has_expired(dpa, environ):
    environ.setenv("DPA_CLIENT_ID", "nobody")
    where, says = cause(dpa("doctor"))
    assert where == "application"
    assert "does not take this client id" in says
    over = Application(valid_until=1.0)
    with served(behaviour=Behaviour(applications=(over,))) as (_, variables):
        for name, value in variables.items():
            environ.setenv(name, value)
        where, says = cause(dpa("doctor"))
    assert where == "application"
    assert "has expired" in says


@pytest.fixture
def tls_port():
    """A server whose certificate is of an authority that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):  # it is closed in the end
                while True:
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(OSError):
                        context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_tls_error(dpa, environ, platform, tls_port):
    environ.setenv("DPA_BASE_URL", f"https://127.0.0.1:{tls_port}")
    where, says = cause(dpa("doctor"))
    assert where == "tls"
    assert "the certificate of 127.0.0.1 is not accepted" in says
    assert "SSL_CERT_FILE" in says
    plain = platform[1]["DPA_BASE_URL"].replace("http:", "https:")
    environ.setenv("DPA_BASE_URL", plain)
    where, says = cause(dpa("doctor"))
    assert where == "tls"
    assert "does not speak TLS" in says


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.html(), "an HTML page (HTTP 200) answers"),
        (Fault.html(403), "an HTML page (HTTP 403) answers"),
        (Fault.redirect("https://login.example/?next=1"), "leads to https://login."),
        (Fault.garbage(b"hello"), "not a JSON object"),
    ],
)
def test_the_page_of_a_proxy(dpa, platform, fault, words):
    simulator, _ = platform
    simulator.faults.add("authorize", fault)
    where, says = cause(dpa("doctor"))
    simulator.faults.clear()
    assert where == "application"
    assert words in says
    assert "a proxy or a login page stands between" in says


@pytest.mark.parametrize(("skew", "side"), [(DAY, "behind"), (-DAY, "ahead of")])
def test_a_clock_that_is_a_day_off(dpa, environ, skew, side):
    with served(behaviour=Behaviour(clock_skew=skew)) as (_, variables):
        for name, value in variables.items():
            environ.setenv(name, value)
        where, says = cause(dpa("doctor"))
    assert where == "clock"
    assert f"this machine's clock is 1.0 days {side} the platform's" in says


def test_a_token_that_is_not_taken(dpa, platform):
    simulator, _ = platform
    simulator.faults.add("listAll", Fault.body_code(403))
    where, says = cause(dpa("doctor"))
    simulator.faults.clear()
    assert where == "listAll"
    assert "does not take its own token" in says


@pytest.mark.parametrize(("known", "ok"), [("good", True), ("elsewhere", None)])
def test_execute_urls_of_single_workflows_are_counted(
    dpa, environ, tmp_path, known, ok
):
    file = tmp_path / "dpa.toml"
    file.write_text(f'[workflows]\n{known} = "/run/{known}"\n')
    environ.delenv("DPA_EXECUTE_URL")
    done = dpa("doctor", "--config", str(file))
    assert done.code == 0
    last = lines_of(done)[-1]
    assert (last["check"], last["ok"]) == ("execute_urls", ok)
    assert f"known of {int(bool(ok))} of 4 workflows" in last["says"]
