"""An Airflow connection as settings, and the pages of runs."""

import pytest
from attrs import frozen

from dpa_async import ConfigurationError, RunRef
from dpa_async.integrations.airflow.connection import (
    check_extra,
    run_url,
    settings_of,
)

EXTRA = {"execute_urls": "/api/dpa/process/execute/{workflow_id}"}


@frozen
class Connection:
    """The part of Airflow's that is read."""

    host: str | None = "https://dpa.example"
    schema: str | None = None
    port: int | None = None
    login: str | None = "app+id=="
    password: str | None = "made/up+secret=="


def test_host_login_and_password_are_the_platform_and_the_application():
    settings = settings_of(Connection(), EXTRA)
    assert settings.base_url == "https://dpa.example"
    assert settings.client_id == "app+id=="
    assert settings.client_secret == "made/up+secret=="
    assert settings.execute_url("md-1").endswith("/execute/md-1")


@pytest.mark.parametrize(
    ("connection", "base_url"),
    [
        (Connection(host="dpa.example"), "https://dpa.example"),
        (Connection(host="dpa.example", port=8443), "https://dpa.example:8443"),
        (Connection(host="127.0.0.1", schema="http", port=80), "http://127.0.0.1:80"),
        (Connection(port=8443), "https://dpa.example:8443"),
        (Connection(host="dpa.example/at", port=8443), "https://dpa.example:8443/at"),
        (Connection(host="https://dpa.example/", port=7), "https://dpa.example:7"),
        (Connection(host="dpa.example:8443", port=8443), "https://dpa.example:8443"),
        (Connection(host="[::1]", port=8443), "https://[::1]:8443"),
        (Connection(host="[::1]:8443"), "https://[::1]:8443"),
    ],
)
def test_a_host_gets_the_scheme_and_the_port_that_it_has_not(connection, base_url):
    assert settings_of(connection, EXTRA).base_url.rstrip("/") in {
        base_url,
        base_url.removesuffix(":80"),
    }


def test_two_ports_are_one_too_many():
    with pytest.raises(ConfigurationError, match="port is 443"):
        settings_of(Connection(host="https://dpa.example:8443", port=443), EXTRA)


@pytest.mark.parametrize("extra", ["{not json", "[]", "7", '"{}"'])
def test_an_extra_that_is_no_object_is_not_taken_for_an_empty_one(extra):
    with pytest.raises(ConfigurationError, match="extra is not a JSON object"):
        check_extra(extra)


@pytest.mark.parametrize("extra", [None, "", "{}", '{"scope": "all"}'])
def test_an_extra_can_be_left_out(extra):
    check_extra(extra)


def test_the_extra_fields_are_those_of_the_settings():
    extra = {
        **EXTRA,
        "scope": "all",
        "user_id": "",  # as the form leaves it
        "auth_base_url": None,
        "dialect": {"flags": "json"},
        "limits": {"reads_in_flight": 7},
        "run_url": "https://dpa.example/#/runs",
    }
    settings = settings_of(Connection(), extra)
    assert settings.scope == "all"
    assert settings.user_id is None
    assert settings.dialect.flags == "json"
    assert settings.limits.reads_in_flight == 7


@pytest.mark.parametrize("name", ["scpoe", "client_secret", "base_url", "secrets"])
def test_what_is_no_extra_field_is_refused(name):
    with pytest.raises(ConfigurationError, match=name):
        settings_of(Connection(), {**EXTRA, name: "x"})


@pytest.mark.parametrize("name", ["host", "login", "password"])
def test_what_is_missing_is_told_and_not_taken_from_the_environment(name, monkeypatch):
    monkeypatch.setenv("DPA_BASE_URL", "https://other.example")
    monkeypatch.setenv("DPA_CLIENT_ID", "other")
    monkeypatch.setenv("DPA_CLIENT_SECRET", "other")
    with pytest.raises(ConfigurationError):
        settings_of(Connection(**{name: None}), EXTRA)


def test_a_run_has_the_page_that_the_connection_names():
    ref = RunRef("https://dpa.example", "md/1", "in 2")
    template = "https://dpa.example/#/{workflow_id}/runs/{run_id}"
    assert run_url(ref, {"run_url": template}) == (
        "https://dpa.example/#/md%2F1/runs/in%202"
    )
    assert run_url(ref, {}) == "https://dpa.example"
