"""Settings for a client of the simulator."""

import pytest

from dpa_async.simulator import Behaviour, MemorySimulator


def test_settings_point_at_the_simulator():
    simulator = MemorySimulator(behaviour=Behaviour(prefix="/p"))
    settings = simulator.settings()
    app = simulator.platform.application
    assert settings.base_url == simulator.url == "http://127.0.0.1:1/p"
    assert settings.client_id == app.client_id
    assert settings.client_secret == app.client_secret
    template = "http://127.0.0.1:1/p/api/dpa/process/execute/{workflow_id}"
    assert settings.execute_urls == template


def test_any_field_can_be_another():
    settings = MemorySimulator().settings(
        user_id="u1", scope="all", execute_urls={"wf": "/card/1"}
    )
    assert (settings.user_id, settings.scope) == ("u1", "all")
    assert settings.execute_urls == {"wf": "/card/1"}


def test_a_field_that_is_none():
    with pytest.raises(TypeError, match="colour"):
        MemorySimulator().settings(colour="red")


def test_execute_urls_are_those_of_the_cards():
    simulator = MemorySimulator(behaviour=Behaviour(prefix="/p"))
    url = "http://127.0.0.1:1/p/api/dpa/process/execute/a%20b"
    assert simulator.execute_url("a b") == url
