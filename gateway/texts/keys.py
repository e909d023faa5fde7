"""Find keys, tokens, private keys and passwords: places in a text.

`found` is careful: what it finds is one. `written` is for texts that others read (log lines, errors): there a
harmless word taken out costs less than a key left in, so that it also goes by the name of what stands there.
All is linear in the text. Must not know why somebody looks.

Sources: the providers' pages on their keys; RFC 7519 (JWT), RFC 7468 (PEM), RFC 3986 (URLs), RFC 7235.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.texts.named import MORE_NAMES, is_mixed, named
from gateway.texts.patterns import Pattern, Place, compile_pattern, looked_at

_KEYS = (
    r"sk-[A-Za-z0-9]{20,}",
    r"sk-(?:proj|ant|or|svcacct|admin|lf)-[\w-]{16,}",
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"gh[pousr]_[A-Za-z0-9]{30,}",
    r"github_pat_\w{22,}",
    r"glpat-[\w-]{20,}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"xapp-\d-[A-Za-z0-9-]{10,}",
    r"AIza[\w-]{35}",
    r"ya29\.[\w-]{20,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"gsk_[A-Za-z0-9]{40,}",
    r"npm_[A-Za-z0-9]{36}",
    r"SG\.[\w-]{16,}\.[\w-]{16,}",
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*",
)
"""As providers write their keys, and signed tokens (JWT)."""
_MORE_KEYS = (
    r"fb-[0-9A-Za-z]{16,}",  # ours
    r"sk-[\w-]{20,}",
    r"(?:xai|pplx|nvapi|csk|tvly|whsec|dckr_pat|GOCSPX|pypi|lin_api|pk-lf)[-_][\w-]{16,}",
    r"(?:r8|fw|pcsk|sbp|shpat|phc|ntn|dop_v1)_[A-Za-z0-9_]{20,}",
    r"dapi[0-9a-f]{32}",
    r"hvs\.[\w-]{20,}",
    r"ABSK[A-Za-z0-9+/=]{40,}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{20,}",
    r"AIza[\w-]{30,}",
    r"(?:gsk|hf|npm)_[A-Za-z0-9]{20,}",
    r"eyJ[\w-]{8,}(?:\.[\w-]*){2,4}",
)
_PRIVATE = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|[a-z][a-z0-9+]*://[^\s:/@]+:[^\s:/@]{3,}@"
_KEY = compile_pattern(r"(?:^|[^\w+/-])(?:" + "|".join(_KEYS) + ")|" + _PRIVATE)
_WRITTEN_KEY = compile_pattern(
    r"(?:^|[^A-Za-z0-9]|\\[nrt])((?:" + "|".join((*_MORE_KEYS, *_KEYS)) + r")[\w-]*)"
)
"""Also in a path, and with all that hangs on its end."""

_NAMES = r"(?:passw(?:or)?d|passwort|passphrase|\bpwd|secret|api[_-]?key|access[_-]?key|token)"
_NAMED = compile_pattern(
    rf"(?i){_NAMES}" + r"""["'`]?\s{0,3}(?::|=|:=|=>)\s{0,3}["'`]?([^\s"'`<>{}()\[\],;]{8,200})"""
)
_SHOWN = compile_pattern(
    r"(?i)\b(?:(?:proxy-)?authorization|(?:x-|x-goog-)?api-key|(?:set-)?cookie)"
    r"""(?:\\*["'])?\s{0,3}[:=,]\s{0,3}b?(?:\\*["'])?"""
    r"""((?:(?:bearer|basic|token|digest)\s{1,3})?[^\s"'\\,;)\]}]{6,})"""
)
"""What a client or we show in a header, as logs and objects write headers."""
_BEARER = compile_pattern(r"(?i)\b(?:bearer|basic)(?:\s|%20|\+){1,3}([\w.~+/=-]{8,})")
_IN_QUERY = compile_pattern(
    r"(?i)[?&](?:key|api[_-]?key|access[_-]?token|id_token|refresh_token|token|password|passwd|pwd|secret"
    r"""|client_secret|sig|signature|x-amz-(?:signature|credential|security-token))=([^&\s"'#<>\\]{4,})"""
)
_PLAIN = r"""[^\s/?#"'<>\\"""
"""What may stand in a user's name and password, but for the rest of a class; the rest should be escaped."""
_REST = r"""[/?#][^\s@"'<>\\]*"""
_IN_URL = compile_pattern(
    rf"[A-Za-z][A-Za-z0-9+.-]*://({_PLAIN}]+"
    rf"|:{_PLAIN}@]*{_REST}"
    rf"|{_PLAIN}@:\[\]]+:{_PLAIN}@]*{_PLAIN}@\d]{_PLAIN}@]*{_REST})@"
)
"""Also a password with one of `/?#` in it; a user's has more than digits before that, as no port has."""
_PEM_BEGIN = compile_pattern(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(rb"-----END [A-Z0-9 ]{0,60}-----")
_PLACEHOLDER = re.compile(rb"[$*%]|.*(?:\.\.\.|xxxx|\*\*\*|your|example|redacted|environ)", re.IGNORECASE)
_REFERENCE = (b"$", b"*", b"%", b"[")
"""How something begins that stands for another thing."""

SUSPECT = (
    r"sk-|[sr]k_|AKIA|ASIA|gh[pousr]_|github_|glpat-|xox|xapp|AIza|ya29|hf_|gsk_|npm_|SG\.|eyJ|PRIVATE|:/"
    r"|(?i:passw|passphrase|pwd|secret|api[_-]?key|access[_-]?key|token)"
)
"""What is in every text in which `found` finds something, and hardly ever in another."""
MORE_SUSPECT = (
    r"fb-|xai|pplx|nvapi|csk|tvly|whsec|dckr|GOCSPX|pypi|lin_api|pk-lf|r8_|fw_|sbp_|shpat|phc_|ntn_|dop_v1"
    r"|dapi|hvs\.|ABSK|(?i:authorization|bearer|basic|api-key|cookie|[?&]key|[?&]sig|x-amz-)"
    rf"|(?i:{MORE_NAMES})"
)
"""The same of `written`, beside SUSPECT."""


def found(text: bytes) -> Iterator[Place]:
    """Find keys, tokens and private keys by their form, and passwords that are called one."""
    for seen in _KEY.finditer(text):
        yield seen.start(), seen.end()
    for seen in looked_at(_NAMED.finditer(text)):
        if _is_password(seen.group(1)):
            yield seen.start(1), seen.end(1)


def written(text: bytes) -> Iterator[Place]:
    """Find the same whole, whatever is written around them; and what headers and URLs show."""
    yield from _private_keys(text)
    for form in (_WRITTEN_KEY, _IN_URL, _IN_QUERY):
        for seen in looked_at(form.finditer(text)):
            yield seen.start(1), seen.end(1)
    yield from named(text)
    for form in (_SHOWN, _BEARER):
        yield from _values(form, text)


_LONG = 20
"""A word of so many letters behind `Bearer` is no word."""


def _values(form: Pattern, text: bytes) -> Iterator[Place]:
    for seen in looked_at(form.finditer(text)):
        value = seen.group(1)
        if value.startswith(_REFERENCE):
            continue
        if is_mixed(value) or len(value) >= _LONG:
            yield seen.start(1), seen.end(1)


def _private_keys(text: bytes) -> Iterator[Place]:
    """Find private keys from their first line to their last; one that is cut, to the text's end."""
    done = 0
    for begin in looked_at(_PEM_BEGIN.finditer(text)):
        if begin.start() < done:
            continue
        end = _PEM_END.search(text, begin.end())
        done = len(text) if end is None else end.end()
        yield begin.start(), done


def _is_password(value: bytes) -> bool:
    return is_mixed(value) and _PLACEHOLDER.match(value) is None
