"""What Airflow is told of the package; Airflow is not needed for it."""

import ast
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dpa_async
from dpa_async.integrations import airflow
from dpa_async.integrations.airflow.connection import _EXTRA
from dpa_async.integrations.airflow.provider import get_provider_info

PACKAGE = Path(dpa_async.__file__).parent


def defines(path):
    """Whether a class that is named by its path is there, by the source."""
    module, _, name = path.rpartition(".")
    file = PACKAGE.parent / f"{module.replace('.', '/')}.py"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return any(isinstance(n, ast.ClassDef) and n.name == name for n in tree.body)


def test_the_entry_point_is_the_metadata():
    pyproject = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))
    (entry,) = pyproject["project"]["entry-points"]["apache_airflow_provider"].values()
    assert pkgutil.resolve_name(entry) is get_provider_info


def test_every_class_and_module_that_it_names_is_there():
    info = get_provider_info()
    (connection,) = info["connection-types"]
    assert all(defines(path) for path in info["extra-links"])
    assert defines(connection["hook-class-name"])
    for kind in ("hooks", "operators", "triggers"):
        for module in info[kind][0]["python-modules"]:
            assert (PACKAGE.parent / f"{module.replace('.', '/')}.py").is_file()


def test_the_form_asks_for_fields_that_are_read():
    (connection,) = get_provider_info()["connection-types"]
    assert connection["conn-fields"].keys() <= _EXTRA | {"run_url"}


def test_every_public_name_is_there():
    base = "dpa_async.integrations.airflow"
    assert sorted(airflow._PLACES) == sorted(airflow.__all__)
    for name, place in airflow._PLACES.items():
        assert defines(f"{base}.{place}.{name}")


def test_no_other_name_is_there():
    with pytest.raises(AttributeError, match="DPAPoker"):
        _ = airflow.DPAPoker


def test_neither_the_package_nor_the_metadata_loads_airflow():
    code = (
        "import dpa_async.public, dpa_async.integrations.airflow, sys; "
        "from dpa_async.integrations.airflow.provider import get_provider_info; "
        "get_provider_info(); "
        "assert not [n for n in sys.modules if n.partition('.')[0] == 'airflow']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
