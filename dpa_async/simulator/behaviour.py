"""What the simulated deployment does where the platform's document is silent."""

from typing import Literal

from attrs import define, field, frozen


@define
class Application:
    """An application registered in the platform's security centre.

    Attributes:
        client_id: Its 应用ID, as opaque and as awkward in a URL as real ones.
        client_secret: Its 应用secret; both are made up.
        valid_until: After this moment (by the simulator's clock) it gets no token.
    """

    client_id: str = "sim+App/0001=="
    client_secret: str = field(default="made/Up+Secret/of+Nobody==", repr=False)
    valid_until: float = float("inf")


@frozen(kw_only=True)
class Behaviour:
    """How this deployment behaves; all durations in seconds.

    Attributes:
        prefix: A path everything lives under, such as "/dpa".
        applications: Who may ask for tokens; the first is in `settings()`.
        code_lifetime: How long an authorization code can be exchanged.
        token_lifetime: From a token's issue to its `exp`.
        clock_skew: How far the platform's clock is ahead of the simulator's: it shows
            in `exp`, `iat`, the `Date` header and listAll's times.
        opaque_tokens: Whether tokens are plain hexadecimal text instead of JWTs.
        token_body: How the body of a token request has to be written.
        auth_failure: How a bad token is refused; body code 403 with HTTP 200, 401 or
            403.
        execute_data: The shape of an execute's `data`: an object with both ids, the
            instance id as text, or the object one level deeper.
        sync_carries_outcome: Whether a `sync` answer has the run's status, and its
            outputs when it ended in time.
        ignores_sync: Whether a `sync` execute is answered at once all the same.
        sync_seconds: How long a `sync` answer is held where `second` is left out.
        callback_with_sync: Whether a `sync` execute is called back too.
        callback_reply: The text a receiver has to answer.
        callback_repeats: How often a callback is sent again without that text.
        callback_interval: Between those attempts.
        callback_timeout: How long one attempt waits for its reply.
        list_all_lag: How old the statuses in listAll are.
        list_all_lag_after_execute: For how long after an execute listAll may go on to
            show what was before it: drawn anew, evenly, up to this.
        list_all_upper_case: Whether listAll's statuses are in upper case.
        list_all_times: How listAll writes times.
    """

    prefix: str = ""
    applications: tuple[Application, ...] = field(factory=lambda: (Application(),))
    code_lifetime: float = 60.0
    token_lifetime: float = 7_200.0
    clock_skew: float = 0.0
    opaque_tokens: bool = False
    token_body: Literal["json", "form"] = "json"  # noqa: S105 - a format
    auth_failure: Literal["code", "http_401", "http_403"] = "code"
    execute_data: Literal["object", "text", "nested"] = "object"
    sync_carries_outcome: bool = True
    ignores_sync: bool = False
    sync_seconds: float = 30.0
    callback_with_sync: bool = True
    callback_reply: str = "SUCCESS"
    callback_repeats: int = 3
    callback_interval: float = 1.0
    callback_timeout: float = 10.0
    list_all_lag: float = 0.0
    list_all_lag_after_execute: float = 0.0
    list_all_upper_case: bool = False
    list_all_times: Literal["epoch_ms", "iso", "null", "absent"] = "epoch_ms"
