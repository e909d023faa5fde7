"""Find addresses and numbers at which a person is reached: places in a text.

All is linear in the text. What merely looks like a time, a version, the address of a machine or a picture
is left alone. Must not know why somebody looks.

Sources: E.123 and the North American numbering plan (phones); E.164 (15 digits at most).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.texts.patterns import Pattern, Place, compile_pattern, looked_at, within

_EMAIL = compile_pattern(r"[\pL\pN._%+-]+@(?:[\pL\pN-]+\.)+\pL\pL+")
_WRITTEN_EMAIL = compile_pattern(r"[\pL\pN._%+-]*[\pL\pN._+-](?:@|%40)(?:[\pL\pN-]+\.)+\pL\pL+")
"""Also as it is in a URL."""
_FILES = (b".png", b".jpg", b".jpeg", b".gif", b".svg", b".webp", b".ico", b".css", b".js", b".ts", b".json")
"""`icon@2x.png` is a picture."""
_MACHINES = (b"git@", b"hg@", b"noreply@", b"no-reply@")


def emails(text: bytes) -> Iterator[Place]:
    """Find addresses of persons and mailboxes; `git@host` and `noreply@` are neither."""
    return _emails(_EMAIL, text) if b"@" in text else iter(())


def written_emails(text: bytes) -> Iterator[Place]:
    """Find the same, also with the sign as URLs have it."""
    return _emails(_WRITTEN_EMAIL, text)


def _emails(form: Pattern, text: bytes) -> Iterator[Place]:
    for found in looked_at(form.finditer(text)):
        address = found.group().lower()
        if not address.endswith(_FILES) and not address.startswith(_MACHINES):
            yield found.start(), found.end()


_FORMS = (
    rb"(?<!\d[ .-])(?:"
    rb"00[1-9]\d{0,2}[ /(-][\d ./()-]{5,24}\d"
    rb"|(?:\+?1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}"
    rb"|\(0[1-9]\d{1,4}\)[ /-]?\d[\d /-]{3,12}\d"
    rb"|0[1-9]\d{1,4}(?:[ /]|-(?!\d{1,2}-))\d[\d /-]{3,12}\d"
    rb"|0[1-9](?:[ .]\d\d){4}"
    rb")"
)
_END = rb"(?![\w]|[ .:-]\d|[-:]\w)"
_PHONE = re.compile(rb"(?<![\w.+/-])(?:\+[1-9][\d ./()-]{6,24}\d|" + _FORMS + rb")" + _END)
_WRITTEN_PHONE = re.compile(
    rb"(?:(?<![\w+])|(?<=\\[nrt]))\+[1-9]\d{7,14}(?!\w)"
    rb"|(?:(?<![\w.+-])|(?<=[A-Za-z]-)|(?<=\\[nrt]))(?:\+[1-9][\d ./()-]{6,24}\d|" + _FORMS + rb")" + _END
)
"""Also in a path, after an escaped line break, and before another number."""
_PHONE_RUN = compile_pattern(r"[+(]*\d[\d ./()-]{6,}\d")
_DATE = re.compile(rb"\+?(?:19|20)\d\d-\d\d-\d\d")
_NOT_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_LEAST_DIGITS, _MOST_DIGITS = 8, 15


def phones(text: bytes) -> Iterator[Place]:
    """Find numbers of phones, written with a + or 00, in groups, or with their area code."""
    return _phones(_PHONE, text)


def written_phones(text: bytes) -> Iterator[Place]:
    """Find the same, whatever is written around them."""
    return _phones(_WRITTEN_PHONE, text)


def _phones(form: re.Pattern[bytes], text: bytes) -> Iterator[Place]:
    for found in looked_at(within(_PHONE_RUN, form, text)):
        if _is_phone(found.group()):
            yield found.span()


def _is_phone(number: bytes) -> bool:
    digits = number.translate(None, _NOT_DIGITS).lstrip(b"0")
    return _LEAST_DIGITS <= len(digits) <= _MOST_DIGITS and _DATE.match(number) is None
