"""Every way a call or a configuration can fail, as one tree.

An error carries what the rest of the gateway decides on: who is at fault (`source`), whether another
try can help (`retry`), and what the client is told (`status`, `code`, `message`, `param`). It does not
know any wire format: `gateway.formats` renders it in the dialect the client speaks.

    GatewayError
      ClientError      BadRequest 400 - Unauthenticated 401 - Forbidden 403 - UnknownRoute 404
                       MethodNotAllowed 405 - ReadTimeout 408 - TooLarge 413 - Unsupported 400
                       ClientGone 499 (only in the records)
        Denied         QuotaExceeded 429 - BudgetExceeded 402
      UpstreamError    ConnectFailed 502 - TimedOut 504 - Busy 503 - Broken (mid-stream)
                       Failed 5xx: BadAnswer 502 - Empty 502
                       Rejected 4xx: Refused 401/403 - UnknownModel 404 - ContextTooLong - Filtered
                       Overloaded 503/529: RateLimited 429 - QuotaSpent 429
      GatewayFault     NoTarget 503 - StoreDown 503 - ShuttingDown 503 - Bug 500
                       LedgerFull 503 - BadRows, BadQuery 500 (of the ledger)
    ConfigError        path, line, where, hint (never rendered to a client)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

Source = Literal["client", "gateway", "upstream"]
Retry = Literal["never", "other_target", "same_target"]
"""Whether another try can help: none; one elsewhere; or one there too, after `retry_after_s`."""


Cause = Literal[
    "unreachable",
    "timeout",
    "error",
    "bad_answer",
    "empty",
    "broken",
    "overloaded",
    "rate_limited",
    "quota",
    "busy",
    "context_length",
    "content_filter",
    "credential",
    "unknown_model",
    "rejected",
]
"""What went wrong with one try, in the words that routing.yaml has for it."""


class GatewayError(Exception):
    """The root: an error that a client is told about.

    `status` is the HTTP status, `code` a stable machine-readable word, `param` the request field at
    fault (a JSON path) or None. `retry_after_s` is in seconds, None when nobody said. `detail` is for
    the log alone: it may name hosts and libraries.
    """

    source: ClassVar[Source] = "gateway"
    retry: Retry = "never"
    status: int = 500
    code: str = "internal_error"
    considered: object = None
    """What routing had looked at when it turned the call away, for whoever explains that."""
    kind: ClassVar[str] = "server_error"
    """The broad class of the error: the `type` of OpenAI's error object."""

    def __init__(  # noqa: PLR0913 - all but the message are named, and rarely given
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.detail = detail
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class ClientError(GatewayError):
    """The caller sent something that cannot be served; another try will not help."""

    source = "client"
    status = 400
    kind = "invalid_request_error"


class BadRequest(ClientError):
    """The body or a header is not what the endpoint takes."""

    code = "invalid_request"


class Unsupported(ClientError):
    """The route exists, but none of its targets can take this kind of call, or a field of it."""

    retry: Retry = "other_target"
    code = "unsupported_call"


class Unauthenticated(ClientError):
    """No credential, or one that is wrong, expired or revoked: the client is not told which."""

    status = 401
    code = "invalid_api_key"
    kind = "authentication_error"


class Forbidden(ClientError):
    """A known caller asks for what its key or tenant may not use."""

    status = 403
    code = "route_not_allowed"
    kind = "permission_error"


class UnknownRoute(ClientError):
    """No route, or no endpoint, has this name."""

    status = 404
    code = "model_not_found"


class MethodNotAllowed(ClientError):
    """The endpoint exists, the HTTP method does not fit; `allowed` are those that do."""

    allowed: str = "POST"

    status = 405
    code = "method_not_allowed"


class ReadTimeout(ClientError):
    """The client did not send its request in time."""

    status = 408
    code = "request_timeout"


class ClientGone(ClientError):
    """The client left before it was answered: only the records are told."""

    status = 499
    code = "client_gone"


class TooLarge(ClientError):
    """The body is larger than `server.max_body_bytes`."""

    status = 413
    code = "request_too_large"


class Denied(ClientError):
    """A limit on the caller does not let the call in; `notes` are headers that say how it stands."""

    notes: Sequence[tuple[bytes, bytes]] = ()
    limit: str = ""
    """Its name."""


class QuotaExceeded(Denied):
    """A rate or a number at the same time; `retry_after_s` says when there is room again."""

    status = 429
    code = "rate_limit_exceeded"
    kind = "rate_limit_error"


class BudgetExceeded(Denied):
    """The money for this period is spent."""

    status = 402
    code = "budget_exceeded"
    kind = "insufficient_quota"


class UpstreamError(GatewayError):
    """The upstream failed, or refused; `raw` and `headers` are its answer's where there is one."""

    source: ClassVar[Source] = "upstream"
    retry: Retry = "other_target"
    status = 502
    code = "upstream_error"
    kind = "upstream_error"
    cause: ClassVar[Cause] = "error"
    raw: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()


class ConnectFailed(UpstreamError):
    """No connection: refused, reset before an answer, DNS or TLS failure."""

    cause: ClassVar[Cause] = "unreachable"
    code = "upstream_unreachable"


class TimedOut(UpstreamError):
    """Connect, first byte, gap or total timeout; the message says which."""

    cause: ClassVar[Cause] = "timeout"
    status = 504
    code = "upstream_timeout"


class Rejected(UpstreamError):
    """A 4xx of the upstream about the request itself: another target would say the same."""

    cause: ClassVar[Cause] = "rejected"
    retry: Retry = "never"
    status = 400
    code = "upstream_rejected"


class Refused(Rejected):
    """A 401 or 403: the upstream does not accept *our* credential; another target may.

    `by_name`: it said so of the credential itself (401), and not only of what was asked with it.
    """

    cause: ClassVar[Cause] = "credential"
    by_name = False
    retry: Retry = "other_target"
    code = "upstream_refused_credential"


class UnknownModel(Rejected):
    """The upstream has no such model or deployment: our routing names a wrong one."""

    cause: ClassVar[Cause] = "unknown_model"
    retry: Retry = "other_target"
    status = 404
    code = "upstream_unknown_model"


class ContextTooLong(Rejected):
    """The request is longer than the model's context window; a model with a larger one may take it."""

    cause: ClassVar[Cause] = "context_length"
    retry: Retry = "other_target"
    code = "context_length_exceeded"


class Filtered(Rejected):
    """A content filter of the upstream turned the request away."""

    cause: ClassVar[Cause] = "content_filter"
    code = "content_filter"


class Overloaded(UpstreamError):
    """503 or 529: the upstream is out of capacity for now."""

    cause: ClassVar[Cause] = "overloaded"
    retry: Retry = "same_target"
    status = 503
    code = "upstream_overloaded"


class RateLimited(Overloaded):
    """A 429: our rate at this upstream is used up for now."""

    cause: ClassVar[Cause] = "rate_limited"
    status = 429
    code = "upstream_rate_limited"


class QuotaSpent(Overloaded):
    """A 429 (or 402) that waiting does not cure: our account there has no money or quota left."""

    cause: ClassVar[Cause] = "quota"
    retry: Retry = "other_target"
    status = 429
    code = "upstream_quota_spent"


class Failed(UpstreamError):
    """A 5xx of the upstream, or an answer that is not what its format promises."""

    code = "upstream_failed"


class BadAnswer(Failed):
    """An answer that is not what its format promises: cut, no JSON, or without an end."""

    cause: ClassVar[Cause] = "bad_answer"
    code = "upstream_bad_answer"


class Empty(Failed):
    """A well-formed answer in which nothing is said."""

    cause: ClassVar[Cause] = "empty"
    code = "upstream_empty"


class Busy(UpstreamError):
    """Our own queue for the upstream is full, or would take longer than the call has."""

    source: ClassVar[Source] = "gateway"
    cause: ClassVar[Cause] = "busy"
    status = 503
    code = "backend_busy"


class Broken(UpstreamError):
    """The answer ended before it was whole, after its beginning went to the client."""

    cause: ClassVar[Cause] = "broken"
    retry: Retry = "never"
    code = "stream_broken"


class GatewayFault(GatewayError):
    """The gateway itself cannot serve the call."""

    status = 503


class NoTarget(GatewayFault):
    """The route has no target that can take this call now; the message says why each was left out."""

    code = "no_target"


class StoreDown(GatewayFault):
    """A store that the call needs does not answer. Never a 401."""

    code = "store_down"
    reached: bool = True
    """It may have done what it was asked, all the same."""


class BadRows(GatewayFault):
    """A store refuses these very rows, and would refuse them again."""

    status = 500
    code = "rows_refused"


class BadQuery(GatewayFault):
    """A store cannot make sense of a question."""

    status = 500
    code = "query_refused"


class LedgerFull(GatewayFault):
    """What the call costs could not be written down, and `ledger.when_full` says to turn it away."""

    code = "ledger_full"


class ShuttingDown(GatewayFault):
    """The gateway stops before the answer was whole."""

    code = "shutting_down"


class Bug(GatewayFault):
    """An exception nobody expected; logged once with its traceback under the request id."""

    status = 500
    code = "internal_error"


class ConfigError(Exception):
    """A file of the configuration that cannot be used.

    `path` is the file, `line` its 1-based line (0: the file as a whole), `where` the place inside
    (`routes.fast.targets[0]`, may be empty), `hint` what to do about it (may be empty).
    """

    def __init__(self, path: str, line: int, where: str, message: str, hint: str = "") -> None:
        self.path, self.line, self.where, self.message, self.hint = path, line, where, message, hint
        place = f"{path}:{line}" if line else path
        text = f"{place} {where}: {message}" if where else f"{place}: {message}"
        super().__init__(f"{text}, {hint}" if hint else text)


class ConfigErrors(Exception):
    """All that is wrong with a configuration, in the order of files and lines."""

    def __init__(self, errors: list[ConfigError]) -> None:
        self.errors = errors
        super().__init__("\n".join(map(str, errors)))
