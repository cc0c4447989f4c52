"""The body of a callback: what is read, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpa_async.wire import json_text
from dpa_async.wire.callback import Callback, read_callback

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["instanceId", "modelId", "status"]) | st.text()


@pytest.fixture(scope="module", params=["active", "standard"], autouse=True)
def decoder(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "standard":
            patch.setattr(json_text, "_decode", json_text._standard_decode)
        yield


def test_the_documents_example_is_read():
    body = b'{"instanceId": "in1606749734084", "modelId": "md1", "status": "FINISH"}'
    assert read_callback(body) == Callback("in1606749734084", "md1", "FINISH")


@pytest.mark.parametrize(
    ("fields", "callback"),
    [
        ({"instanceId": "a"}, Callback("a", "", "")),
        ({"instanceId": 5, "modelId": 6}, Callback("5", "6", "")),
        (
            {"instanceId": "a", "status": "NEVER HEARD"},
            Callback("a", "", "NEVER HEARD"),
        ),
        ({"instanceId": "a", "modelId": None, "status": None}, Callback("a", "", "")),
        ({"instanceId": "a", "status": False}, Callback("a", "", "false")),
        ({"instanceId": " a ", "more": [1]}, Callback(" a ", "", "")),
    ],
)
def test_what_is_silent_or_new_is_passed_on(fields, callback):
    assert read_callback(json.dumps(fields).encode()) == callback


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON object"),
        (b"[]", "no JSON object"),
        (b'"in1"', "no JSON object"),
        (b'{"instanceId": "s3cr3t"', "no JSON object"),
        (b'{"instanceId": "\xff"}', "no JSON object"),
        (b'{"instanceId":' * 2000, "no JSON object"),
        (b"{}", "no instanceId"),
        (b'{"instanceId": ""}', "no instanceId"),
        (b'{"instanceId": "\\t"}', "no instanceId"),
        (b'{"instanceId": null, "modelId": "s3cr3t"}', "no instanceId"),
        (b'{"instanceId": ["s3cr3t"]}', "no instanceId"),
        (b'{"instanceId": true}', "no instanceId"),
    ],
)
def test_what_cannot_be_a_callback_is_refused_without_a_quote(body, words):
    with pytest.raises(ValueError, match=words) as refused:
        read_callback(body)
    assert "s3cr3t" not in str(refused.value)


@given(st.binary() | st.dictionaries(NAMES, VALUES).map(json.dumps).map(str.encode))
def test_any_bytes_are_read_or_refused(body):
    try:
        callback = read_callback(body)
    except ValueError:
        return
    assert callback.run_id.strip()
    assert all(
        isinstance(word, str) for word in (callback.workflow_id, callback.status)
    )
