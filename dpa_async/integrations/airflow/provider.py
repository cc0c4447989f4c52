"""What Airflow is told of this package: the entry point `apache_airflow_provider`.

Read by every process of Airflow, so it imports nothing.
"""

_HERE = "dpa_async.integrations.airflow"


def _text(label: str, description: str, **schema: object) -> dict[str, object]:
    return {
        "label": label,
        "description": description,
        "schema": {"type": ["string", "null"], **schema},
    }


_FIELDS = {
    "execute_urls": _text(
        "Execute URL",
        "A template with {workflow_id} in it; in the JSON of the "
        "extra fields also a mapping of workflow id to URL.",
    ),
    "auth_base_url": _text("OAuth base URL", "Where it differs from the base URL."),
    "scope": _text("Scope", "default or all", enum=["default", "all", None]),
    "user_id": _text("User id", "The user whose workflows are meant, if any."),
    "run_url": _text(
        "Page of a run",
        "A template with {workflow_id} and {run_id} in it, for the "
        "link of a task; otherwise it leads to the base URL.",
    ),
}


def get_provider_info() -> dict[str, object]:
    """Give the provider's metadata, as Airflow's `provider_info.schema.json` has it."""
    return {
        "package-name": "dpa-async",
        "name": "DPA",
        "description": "Runs workflows of the DPA platform, each once.",
        "integrations": [
            {
                "integration-name": "DPA",
                "external-doc-url": "https://pypi.org/project/dpa-async/",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {"integration-name": "DPA", "python-modules": [f"{_HERE}.hook"]},
        ],
        "operators": [
            {"integration-name": "DPA", "python-modules": [f"{_HERE}.operators"]},
        ],
        "triggers": [
            {"integration-name": "DPA", "python-modules": [f"{_HERE}.triggers"]},
        ],
        "extra-links": [f"{_HERE}.operators.DPARunLink"],
        "connection-types": [
            {
                "connection-type": "dpa",
                "hook-class-name": f"{_HERE}.hook.DPAHook",
                "hook-name": "DPA",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port"],
                    "relabeling": {
                        "host": "Base URL",
                        "login": "Application id 「应用ID」",
                        "password": "Application secret 「应用secret」",
                    },
                    "placeholders": {"host": "https://dpa.example"},
                },
                "conn-fields": _FIELDS,
            }
        ],
    }
