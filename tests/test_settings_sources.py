"""Where settings come from, the environment and files, and what they never show."""

import copy
import pickle
import re
from pathlib import Path

import attrs
import pytest

from dpa_async import ConfigurationError, Dialect, DPAClient, Limits, Settings

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
SECRET = "s3cret+/="
ENVIRONMENT = {
    "DPA_BASE_URL": "https://env.example.com",
    "DPA_CLIENT_ID": "env+Id==",
    "DPA_CLIENT_SECRET": SECRET,
}
FILE = """
base_url = "https://file.example.com"
client_id = "file+Id=="
"""


def refused(make, *words):
    """The message of the `ConfigurationError`; nothing secret is in it or behind it."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    message = str(caught.value)
    for word in words:
        assert word in message
    assert SECRET not in message
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return message


@pytest.fixture
def file(tmp_path):
    """Write a file of settings that only its owner can read; gives its path."""

    def write(text, mode=0o600):
        path = tmp_path / "dpa.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


# The environment.


@pytest.mark.parametrize(
    ("variable", "name", "value"),
    [
        ("DPA_BASE_URL", "base_url", "https://dpa.example.com/prefix"),
        ("DPA_AUTH_BASE_URL", "auth_base_url", "https://auth.example.com"),
        ("DPA_CLIENT_ID", "client_id", "an+Id/=="),
        ("DPA_CLIENT_SECRET", "client_secret", "a+Secret/=="),
        ("DPA_SCOPE", "scope", "all"),
        ("DPA_USER_ID", "user_id", "u1"),
        ("DPA_EXECUTE_URL", "execute_urls", "/e/{workflow_id}"),
    ],
)
def test_a_variable_sets_a_field_unless_it_is_empty(variable, name, value):
    assert getattr(Settings.from_env({**ENVIRONMENT, variable: value}), name) == value
    assert f"`{variable}`" in README
    default = attrs.fields_dict(Settings)[name].default
    if variable in ENVIRONMENT:
        refused(
            lambda: Settings.from_env({**ENVIRONMENT, variable: ""}), name, "missing"
        )
    elif name != "execute_urls":
        empty = Settings.from_env({**ENVIRONMENT, variable: ""})
        assert getattr(empty, name) == default
    else:
        assert Settings.from_env({**ENVIRONMENT, variable: ""}).execute_urls == {}


def test_the_process_environment_is_the_usual_one(monkeypatch):
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("DPA_UNKNOWN", "ignored")
    monkeypatch.delenv("DPA_SCOPE", raising=False)
    monkeypatch.delenv("DPA_EXECUTE_URL", raising=False)
    assert Settings.from_env() == Settings.from_env(ENVIRONMENT)
    assert DPAClient.from_env().settings == Settings.from_env(ENVIRONMENT)
    monkeypatch.delenv("DPA_CLIENT_SECRET")
    refused(Settings.from_env, "client_secret is missing")


def test_an_argument_goes_before_the_environment_and_that_before_the_file(file):
    path = file(FILE + f'client_secret = "{SECRET}"\nuser_id = "of the file"')
    urls = "base_url", "client_id", "user_id"

    def values(**sources):
        taken = Settings.from_file(path, **sources)
        return [getattr(taken, name) for name in urls]

    assert values(environ={}) == [
        "https://file.example.com",
        "file+Id==",
        "of the file",
    ]
    assert values(environ=ENVIRONMENT, client_id="argument+Id==") == [
        "https://env.example.com",
        "argument+Id==",
        "of the file",
    ]
    assert Settings.from_env(ENVIRONMENT, scope="all").scope == "all"


def test_a_file_reads_the_process_environment(file, monkeypatch):
    monkeypatch.setenv("DPA_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("DPA_BASE_URL", "")
    taken = Settings.from_file(file(FILE))
    assert (taken.base_url, taken.client_secret) == ("https://file.example.com", SECRET)


# Files.


def from_file(path, profile=None, **arguments):
    """Only what is in the file, and a secret."""
    arguments.setdefault("client_secret", SECRET)
    return Settings.from_file(path, profile, environ={}, **arguments)


def test_the_file_in_the_readme_is_read(file):
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    plain, production = (from_file(file(text), name) for name in (None, "prod"))
    assert plain.base_url == "https://dpa.example.com"
    assert production.base_url == "https://dpa.prod.example.com"
    for taken in (plain, production):
        assert taken.client_id == "made+Up/Id=="
        assert taken.limits == Limits(requests_per_second=50)
        path = "/api/dpa/process/execute/mddaebe8b163"
        assert taken.execute_url("mddaebe8b163") == taken.base_url + path


def test_tables_are_as_the_fields(file):
    text = """
        request_timeout = 5
        extra_origins = ["https://other.example.com"]
        [workflows]
        md1 = "/card"
        [limits]
        reads_in_flight = 3
        [dialect]
        flags = "json"
        busy_codes = [999, 500]
        [headers]
        X-Gateway = "key"
        """
    taken = from_file(file(FILE + text))
    assert taken.request_timeout == 5
    assert taken.extra_origins == ("https://other.example.com",)
    assert taken.execute_urls == {"md1": "/card"}
    assert taken.limits == Limits(reads_in_flight=3)
    assert taken.dialect == Dialect(flags="json", busy_codes=[999, 500])
    assert taken.headers == {"X-Gateway": "key"}


def test_a_profile_overrides_what_stands_above_it(file):
    text = """
        execute_urls = "/e/{workflow_id}"
        scope = "all"
        [profiles.one]
        user_id = "u1"
        [profiles.two]
        scope = "default"
        [profiles.two.workflows]
        md1 = "/card"
        """
    path = file(FILE + text)
    one, two = from_file(path, "one"), from_file(path, "two")
    assert (one.scope, one.user_id) == ("all", "u1")
    assert (two.scope, two.user_id) == ("default", None)
    assert one.execute_url("md1").endswith("/e/md1")
    assert two.execute_url("md1").endswith("/card")
    assert two.client_id == "file+Id=="


@pytest.mark.parametrize(
    ("text", "profile", "words"),
    [
        ("colour = 1\nurl = 2", None, "has unknown keys colour, url; known: "),
        ("[limits]\nspeed = 1", None, "limits has unknown keys speed; known: "),
        ("[dialect]\nflag = 1", None, "dialect has unknown keys flag; known: "),
        ("[limits]\nreads_in_flight = 0", None, "reads_in_flight is 0: give a whole"),
        ("[profiles.a]\ncolour = 1", "a", "has unknown keys colour; known: "),
        ("[profiles.a]\n[profiles.b]", "c", "has no profile 'c'; it has: a, b"),
        ("", "prod", "has no profile 'prod'; it has: none"),
        ("profiles = 1", None, "has a profile that is no table: write [profiles.NAME]"),
        ("profiles.a = 1", "a", "has a profile that is no table"),
        ("limits = 1", None, "limits is of type int: give Limits(...)"),
        ("workflows = 1", None, "execute_urls is of type int"),
        ("[workflows]\nmd1 = 1", None, "execute_urls['md1'] is neither a URL"),
        ("[headers]\nX-N = 1", None, "headers has 'X-N', which is not text to text"),
        ("user_id = 1", None, "user_id is of type int: give text"),
        (
            'execute_urls = "/e/{workflow_id}"\n[workflows]\nmd1 = "/card"',
            None,
            "has both [workflows] and execute_urls: keep one of them",
        ),
    ],
)
def test_what_a_file_cannot_say_is_refused_by_its_name(file, text, profile, words):
    path = file(FILE + text)
    refused(lambda: from_file(path, profile), words)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"client_secret = {SECRET}", "TOMLDecodeError"),
        (f'client_secret = "{SECRET}', "TOMLDecodeError"),
        (f'client_secret = "{SECRET}"\nclient_secret = "x"', "TOMLDecodeError"),
        (f'client_secret = "{SECRET}"\nuser_id = "\xff"'.encode("latin-1"), "Unicode"),
        (f'client_secret = "{SECRET}"\nx = {"1" * 5000}', "ValueError"),
        (f'client_secret = "{SECRET}"\nx = {"[" * 100_000}', "RecursionError"),
    ],
    ids=["no quotes", "half quoted", "twice", "not UTF-8", "long number", "deep"],
)
def test_what_is_not_toml_is_refused_without_a_line_of_it(file, text, kind):
    path = file(text)
    message = refused(lambda: from_file(path), f"{path} is not TOML ({kind}")
    assert "check its quotes and brackets" in message
    assert "s3cret" not in message


def test_a_file_that_cannot_be_read_is_told_of(tmp_path):
    missing = tmp_path / "missing.toml"
    words = f"{missing} cannot be read: No such file or directory"
    refused(lambda: from_file(missing), words)
    refused(lambda: from_file(str(missing)), words)
    refused(lambda: from_file(tmp_path), f"{tmp_path} cannot be read: Is a directory")


WITH_SECRET = FILE + f'client_secret = "{SECRET}"\n'


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
@pytest.mark.parametrize(
    ("text", "profile"),
    [
        (WITH_SECRET, None),
        (WITH_SECRET + '[profiles.a]\nscope = "all"', "a"),
        (FILE + f'[profiles.a]\nclient_secret = "{SECRET}"', "a"),
        (FILE + f'[profiles.a]\nclient_secret = "{SECRET}"', None),
    ],
    ids=["above", "above a profile", "in the profile", "in another profile"],
)
def test_a_secret_that_others_can_read_is_warned_of(file, text, profile, mode):
    path = file(text, mode)
    with pytest.warns(UserWarning, match="others can read it: chmod 600") as warned:
        Settings.from_file(path, profile, environ=ENVIRONMENT)
    (warning,) = warned
    assert str(path) in str(warning.message)
    assert SECRET not in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize(
    ("text", "mode"),
    [(WITH_SECRET, 0o600), (WITH_SECRET, 0o611), (FILE + "[profiles.a]", 0o644)],
)
def test_nobody_is_warned_where_nobody_can_read_a_secret(file, text, mode):
    path = file(text, mode)  # a warning would be an error
    assert Settings.from_file(path, environ=ENVIRONMENT).client_secret == SECRET


# What settings never show.


def full_of_secrets():
    return Settings(
        base_url="https://dpa.example.com",
        client_id="made+Up/Id==",
        client_secret=SECRET,
        execute_urls="/e/{workflow_id}?key=hidden1",
        headers={"X-Gateway": "hidden2"},
        proxy="http://hidden3:hidden4@proxy.example.com:3128",
    )


def test_a_repr_shows_where_and_who_and_no_secret():
    taken = full_of_secrets()
    mapped = attrs.evolve(taken, execute_urls={"md1": "/e?key=hidden5"}, proxy=None)
    for shown in (repr(taken), str(taken), f"{taken}", repr(mapped)):
        assert "'https://dpa.example.com'" in shown
        assert "made+Up/Id==" in shown
        assert "['X-Gateway']" in shown
        assert SECRET not in shown
        assert "client_secret" not in shown
        assert "hidden" not in shown
    assert "proxy='http://proxy.example.com:3128'" in repr(taken)
    assert "execute_urls='/e/{workflow_id}'" in repr(taken)
    assert "execute_urls=<of 1 workflows>" in repr(mapped)
    assert "proxy=None" in repr(mapped)


@pytest.mark.parametrize("make", [pickle.dumps, copy.copy, copy.deepcopy])
def test_settings_are_not_pickled(make):
    with pytest.raises(TypeError, match="read them again over there") as caught:
        make(full_of_secrets())
    assert SECRET not in str(caught.value)


def test_settings_stay_as_they_were_checked():
    urls, headers = {"md1": "/card"}, {"X-Gateway": "key"}
    taken = attrs.evolve(full_of_secrets(), execute_urls=urls, headers=headers)
    urls["md1"] = "https://evil.example.com/"
    headers["Authorization"] = "none"
    assert taken.execute_url("md1") == "https://dpa.example.com/card"
    assert taken.headers == {"X-Gateway": "key"}
    with pytest.raises(TypeError):
        taken.execute_urls["md1"] = "https://evil.example.com/"
    for frozen in (taken, taken.limits, taken.dialect):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(frozen, attrs.fields(type(frozen))[0].name, None)
