"""The platform's side of the wire: its envelope, and how it reads requests.

Written apart from the client's `wire` on purpose: a bug in both would cancel out.
"""

import json
import math
from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qsl

from dpa_async.simulator.records import Answer

MESSAGES: Mapping[int, str] = {
    200: "success",
    400: "参数校验异常",
    403: "身份验证失败",
    404: "请求路径异常",
    500: "服务器内部错误",
    503: "服务器异常未发现",
    997: "未知错误",
    998: "用户不存在",
    999: "业务逻辑异常",
}

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_JSON = "application/json;charset=UTF-8"


class Refusal(Exception):  # noqa: N818 - not an error: one of the platform's answers
    """The platform says no: body code, message, and HTTP's status."""

    def __init__(self, code: int, detail: str = "", *, http_status: int = 200) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.http_status = http_status

    def answer(self) -> Answer:
        """Write the refusal as an answer."""
        message = MESSAGES.get(self.code, "")
        if self.detail:
            message = f"{message}: {self.detail}"
        return envelope(self.code, message, None, http_status=self.http_status)


def envelope(
    code: object, message: str, data: object, *, http_status: int = 200
) -> Answer:
    """Write an answer; `code` may be what no platform should send."""
    return json_answer(
        compact({"code": code, "message": message, "data": data}), http_status
    )


def ok(data: object) -> Answer:
    """Write the answer of a call that went well."""
    return envelope(200, "success", data)


def json_answer(body: bytes, http_status: int = 200) -> Answer:
    """Make an answer of JSON that is written already."""
    return Answer(http_status, {"content-type": _JSON}, body)


def compact(value: object) -> bytes:
    """Write JSON as the platform does: UTF-8, no blanks."""
    return _COMPACT.encode(value).encode()


def read_json(body: bytes) -> Mapping[str, object]:
    """Read a request's body.

    Raises:
        Refusal: 400, it is not a JSON object.
    """
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    return as_object(value, "the body")


def read_query(query: str) -> Mapping[str, object]:
    """Read a query string or a form; a `+` is a blank, as servers have it."""
    return dict(parse_qsl(query, keep_blank_values=True))


def as_object(value: object, name: str) -> Mapping[str, object]:
    """Take a JSON object.

    Raises:
        Refusal: 400, it is something else.
    """
    if not isinstance(value, dict):
        raise Refusal(400, f"{name} is not an object")
    return cast("Mapping[str, object]", value)


def text(fields: Mapping[str, object], name: str) -> str:
    """Take a required text.

    Raises:
        Refusal: 400, it is missing, empty or not a text.
    """
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(400, f"{name} is required")
    return value


def flag(fields: Mapping[str, object], name: str) -> bool:
    """Take a flag, as a JSON string or a JSON boolean; left out it is false.

    Raises:
        Refusal: 400, it is neither.
    """
    value = fields.get(name)
    if value is None or value is False or value == "false":
        return False
    if value is True or value == "true":
        return True
    raise Refusal(400, f"{name} is neither true nor false")


def seconds(fields: Mapping[str, object], name: str, default: float) -> float:
    """Take a number of seconds, as a JSON string or a JSON number.

    Raises:
        Refusal: 400, it is no such number.
    """
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Refusal(400, f"{name} is not a number of seconds")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise Refusal(400, f"{name} is not a number of seconds")
    return number
