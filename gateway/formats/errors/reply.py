"""The reply that tells a client of an error: in its own dialect, with the headers that its SDK looks at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from gateway.errors import Denied, GatewayError, MethodNotAllowed, UpstreamError
from gateway.exchange import Format, Reply
from gateway.formats.chat.errors import encode_error as encode_openai_error
from gateway.formats.gemini.errors import encode_error as encode_google_error
from gateway.formats.http.headers import REQUEST_ID_NAMES, relayed_headers
from gateway.formats.messages.errors import encode_error as encode_anthropic_error
from gateway.texts.trees import Clean, clean_body

_ENCODERS: Mapping[str, Callable[[GatewayError], bytes]] = {
    "messages": encode_anthropic_error,
    "count_tokens": encode_anthropic_error,
    "gemini": encode_google_error,
    "gemini_count": encode_google_error,
}
"""All others get OpenAI's error object, which every client of an OpenAI-compatible API reads."""

_CALL_ID = b"x-forebay-call-id"


def error_reply(error: GatewayError, call_id: str, format_: Format = "chat") -> Reply:
    """Build the reply for a client of `format_`."""
    own = [
        (_CALL_ID, call_id.encode()),
        (b"x-forebay-error-source", error.source.encode()),
    ]
    upstream = error.headers if isinstance(error, UpstreamError) else ()
    headers = [line for line in relayed_headers(upstream, own) if line[0] != b"content-type"]
    headers.append((b"content-type", b"application/json"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allowed.encode()))
    if isinstance(error, Denied):
        headers.extend(error.notes)
    given = {name for name, _ in headers}
    headers.extend((name, call_id.encode()) for name in REQUEST_ID_NAMES if name not in given)
    if error.retry_after_s is not None and b"retry-after" not in given:
        headers.append((b"retry-after", str(math.ceil(error.retry_after_s)).encode()))
    encode = _ENCODERS.get(format_, encode_openai_error)
    return Reply(error.status, headers, encode(error))


def clean_reply(reply: Reply, clean: Clean) -> None:
    """Take out of an error's reply, headers and body, what it may quote of a request or of an upstream.

    The call's id stays, whatever it looks like: people ask with it what became of their call.
    """
    ids = [value for name, value in reply.headers if name == _CALL_ID]
    values = "\n".join([value.decode("latin-1") for _, value in reply.headers if value not in ids])
    if clean(values) != values:
        reply.headers = [
            (name, value if value in ids else clean(value.decode("latin-1")).encode("latin-1", "replace"))
            for name, value in reply.headers
        ]
    if isinstance(reply.body, bytes):
        reply.body = clean_body(reply.body, clean)
