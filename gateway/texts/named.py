"""Find passwords and keys by the name they stand behind: places in a text.

A name that can only mean a secret (`password`, `client_secret`, `api_key`) makes one of whatever stands
there, unless that is a word of a sentence, the name of a type, or points to where the secret is. Behind
`token`, which is many things, letters and digits have to be mixed. All is linear in the text. Must not know
why somebody looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.texts.patterns import Match, Place, compile_pattern, looked_at

MORE_NAMES = (
    r"(?:private|secret|signing|encryption|master|account|shared)[_-]?(?:access[_-]?)?key|passcode|kennwort"
)
"""Beside those that texts of calls are searched for."""
_NAMES = rf"(?:passw(?:or)?d|passwort|passphrase|\bpwd|{MORE_NAMES}|secret|api[_-]?key|access[_-]?key|token)"
_NAMED = compile_pattern(
    rf"(?i){_NAMES}"
    r"""(?:\\*["'`])?\s{0,3}(?::|=|:=|=>)\s{0,3}"""
    r"""(?:b?\\*["'`]([^\s"'`\\]{6,})|([^\s"'`<>{}()\[\],;&\\]{6,}))"""
)
"""A value in quotes may hold any other sign."""
_QUOTED, _BARE = 1, 2
_AMBIGUOUS = b"token"
_LEAST = 6
_SAYS = re.compile(rb"[A-Za-z0-9\x80-\xff]")

_DIGIT, _LETTER = re.compile(rb"[0-9]"), re.compile(rb"[A-Za-z]")
_REFERENCE = (b"$", b"*", b"%", b"[", b"<", b"{")
"""How something begins that stands for another thing."""
_ELSEWHERE = re.compile(
    rb"(?i)(?:[\w.-]*[_.-])?"
    rb"(?:passw(?:or)?d|passwort|passphrase|pwd|pass|secret|(?:api|access|private)?key|token|credential|value)s?"
    rb"(?:[_.][\w.]*)?"
    rb"|(?-i:[A-Za-z_.]*[a-z_.](?:Password|Passphrase|Secret|Key|Token)(?:s|[A-Z]\w*)?)"  # what holds it
    rb"|(?:self|this|cls|os|sys|args|config|settings|environ|env|process|options|request|data)\.[\w.]+"
    rb"|(?:env|file|vault|op|arn|https?|secretref):.*"
    rb"|[.~]{0,2}(?:/[\w.-]+)+"  # a file
    rb"|.*(?:\.\.\.|xxxx|\*\*|your|example|redacted|environ|placeholder).*"
)
"""What only says where the secret is, or where one should be."""
_SAID = frozenset(
    b"""
    absent accepted accessible allowed authentication authorisation authorization available bearer
    binary boolean cannot changed checked cleared complexity configured contain contains correct created
    default defined deleted denied disabled enabled encrypted exceeded exceeds expected expired expires
    exposed failed failure fields forbidden format hidden ignored incorrect integer invalid leaked
    length malformed mandatory masked matched maximum minimum mismatch missing nothing number object
    omitted option optional please present protected provide provided rejected removed replaced required
    revoked rotated secretbytes secretstr sensitive should specified string strings strong success
    successful supplied supported unauthorised unauthorized unavailable unchanged undefined unknown
    unsupported updated validation varchar verified without
    """.split()
)
"""Words that errors, types and settings have in its place."""
_CALL = re.compile(rb"[\w.]+[(\[{]")
_GOES_ON = re.compile(rb"[ \t]+[^\W\d_]|[ \t]+[\x80-\xff]")
_LONGEST_WORD = 15
"""In a sentence; what is longer has been made up."""


def named(text: bytes) -> Iterator[Place]:
    """Find what stands behind the name of a secret."""
    for seen in looked_at(_NAMED.finditer(text)):
        group = _QUOTED if seen.start(_QUOTED) >= 0 else _BARE
        value = seen.group(group)
        if value.startswith(_REFERENCE):
            continue
        if is_mixed(value) or (seen.group()[:5].lower() != _AMBIGUOUS and _is_meant(text, seen, group)):
            yield seen.start(group), seen.end(group)


def is_mixed(value: bytes) -> bool:
    """Whether there are letters and digits in it, as there hardly are in a word."""
    return _DIGIT.search(value) is not None and _LETTER.search(value) is not None


def _is_meant(text: bytes, seen: Match, group: int) -> bool:
    """Whether a value without digits, or without letters, is the secret itself."""
    start, end, value = seen.start(group), seen.end(group), seen.group(group)
    bare = value.rstrip(b".,!?;")
    if len(bare) < _LEAST or bare.endswith(b":") or b"\n" in text[seen.start() : start]:
        return False
    if not _SAYS.search(bare) or bare.lower() in _SAID or _ELSEWHERE.fullmatch(bare):
        return False
    if group == _BARE and _CALL.match(text, start):
        return False
    is_apart = group != _BARE or text[start - 1 : start].isspace()
    return not (is_apart and _is_word(bare) and _GOES_ON.match(text, end))


def _is_word(value: bytes) -> bool:
    parts = value.decode(errors="replace").split("-", 1)
    return all(part.isalpha() and len(part) <= _LONGEST_WORD for part in parts)
