"""Find personal data and secrets in a text: whether it holds some, not where.

A detector takes UTF-8 and says yes or no. All are linear in the text. `suspect` is asked first: one pass
tells for most texts that there is nothing to look at closer. Doubt goes one way: what merely looks like a
number of an order, a time, a version, an address of a machine or an identifier is left alone, since labels
that are always there are taken off by their owners. Must not know calls or labels.

Sources: ISO/IEC 7812 and the issuers' ranges (cards); ISO 13616, SWIFT IBAN registry (lengths by country);
E.123 and the North American numbering plan (phones); the providers' pages on their keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from gateway.config.signals import Detector
from gateway.routing.signals.patterns import Pattern, TooMany, compile_pattern, looked_at

_EMAIL = compile_pattern(r"[\pL\pN._%+-]+@(?:[\pL\pN-]+\.)+\pL\pL+")
_FILES = (b".png", b".jpg", b".jpeg", b".gif", b".svg", b".webp", b".ico", b".css", b".js", b".ts", b".json")
"""`icon@2x.png` is a picture."""
_MACHINES = (b"git@", b"hg@", b"noreply@", b"no-reply@")


def has_email(text: bytes) -> bool:
    """Whether there is an address of a person or a mailbox; `git@host` and `noreply@` are neither."""
    if b"@" not in text:
        return False
    for found in looked_at(_EMAIL.finditer(text)):
        address = found.group().lower()
        if not address.endswith(_FILES) and not address.startswith(_MACHINES):
            return True
    return False


_PHONE = re.compile(
    rb"(?<![\w.+/-])(?:"
    rb"\+[1-9][\d ./()-]{6,24}\d"
    rb"|(?<!\d[ .-])(?:"
    rb"00[1-9]\d{0,2}[ /(-][\d ./()-]{5,24}\d"
    rb"|(?:\+?1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}"
    rb"|\(0[1-9]\d{1,4}\)[ /-]?\d[\d /-]{3,12}\d"
    rb"|0[1-9]\d{1,4}(?:[ /]|-(?!\d{1,2}-))\d[\d /-]{3,12}\d"
    rb"|0[1-9](?:[ .]\d\d){4}"
    rb"))(?![\w]|[ .:-]\d|[-:]\w)"
)
_PHONE_RUN = compile_pattern(r"[+(]*\d[\d ./()-]{6,}\d")
_MARGIN = 3
"""Around a run of digits: what stands before and after it decides too."""
_DATE = re.compile(rb"\+?(?:19|20)\d\d-\d\d-\d\d")
_NOT_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_LEAST_DIGITS, _MOST_DIGITS = 8, 15


def has_phone(text: bytes) -> bool:
    """Whether there is a number of a phone, written with a + or 00, in groups, or with its area code."""
    return any(_is_phone(found.group()) for found in looked_at(_within(_PHONE_RUN, _PHONE, text)))


def _within(runs: Pattern, exact: re.Pattern[bytes], text: bytes) -> Iterator[re.Match[bytes]]:
    """Find `exact` in and around what `runs` finds."""
    for run in runs.finditer(text):
        yield from exact.finditer(text, max(run.start() - _MARGIN, 0), run.end() + _MARGIN)


def _is_phone(number: bytes) -> bool:
    digits = number.translate(None, _NOT_DIGITS).lstrip(b"0")
    return _LEAST_DIGITS <= len(digits) <= _MOST_DIGITS and _DATE.match(number) is None


_CARD = re.compile(rb"(?<![\w.,+#-])\d{4,19}(?:[ .-]\d{3,7}){0,8}(?![\w]|[.,-]\d)")
_CARD_RUN = compile_pattern(r"\d[\d .-]{10,}\d")
_SEPARATORS = re.compile(rb"[ .-]")
_CARD_GROUPS = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (6, 13)})
_BRANDS = re.compile(
    rb"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    rb"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    rb"|3[47]\d{13}"  # American Express
    rb"|(?:30[0-5]\d|309\d|3[689]\d\d)\d{10}"  # Diners Club
    rb"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    rb"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    rb"|62\d{14,17}"  # UnionPay
    rb"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def has_card(text: bytes) -> bool:
    """Whether there is a number of a payment card: of a brand's range and length, with its check digit."""
    return any(_holds_card(found.group()) for found in looked_at(_within(_CARD_RUN, _CARD, text)))


def _holds_card(run: bytes) -> bool:
    groups = _SEPARATORS.split(run)
    if any(_is_card(group) for group in groups):
        return True
    lengths = tuple(map(len, groups))
    return any(
        lengths[at : at + len(shape)] == shape and _is_card(b"".join(groups[at : at + len(shape)]))
        for at in range(len(groups) - 1)
        for shape in _CARD_GROUPS
    )


def _is_card(digits: bytes) -> bool:
    if len(digits) < 12 or _BRANDS.fullmatch(digits) is None or len(set(digits)) < 2:
        return False
    numbers = [digit - 48 for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10 == 0


_LENGTHS = (
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29"
    "ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20"
    "LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29"
    "PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20"
    "YE30"
)
_IBAN_LENGTHS: Mapping[str, int] = {
    _LENGTHS[at : at + 2]: int(_LENGTHS[at + 2 : at + 4]) for at in range(0, len(_LENGTHS), 4)
}
_IBAN = compile_pattern(r"(?:^|[^A-Za-z0-9+/])([A-Za-z]{2})\d\d")
_LONGEST_IBAN = 33
_BLANKS = b" -."


def has_iban(text: bytes) -> bool:
    """Whether there is an international account number: of a country's length, with its check digits."""
    return any(_is_iban(text, found.start(1)) for found in looked_at(_IBAN.finditer(text)))


def _is_iban(text: bytes, start: int) -> bool:
    length = _IBAN_LENGTHS.get(text[start : start + 2].decode().upper())
    if length is None:
        return False
    written = text[start : start + 2 * _LONGEST_IBAN]
    number = written.translate(None, _BLANKS)[:length].upper()
    if len(number) < length or not number.isalnum() or not number[2:4].isdigit():
        return False
    return int("".join(str(int(chr(character), 36)) for character in number[4:] + number[:4])) % 97 == 1


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
_PRIVATE = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|[a-z][a-z0-9+]*://[^\s:/@]+:[^\s:/@]{3,}@"
_KEY = compile_pattern(r"(?:^|[^\w+/-])(?:" + "|".join(_KEYS) + ")|" + _PRIVATE)
_NAMED = compile_pattern(
    r"(?i)(?:passw(?:or)?d|passwort|passphrase|\bpwd|secret|api[_-]?key|access[_-]?key|token)"
    r"""["'`]?\s{0,3}(?::|=|:=|=>)\s{0,3}["'`]?([^\s"'`<>{}()\[\],;]{8,200})"""
)
_DIGIT, _LETTER = re.compile(rb"[0-9]"), re.compile(rb"[A-Za-z]")
_PLACEHOLDER = re.compile(rb"[$*%]|.*(?:\.\.\.|xxxx|\*\*\*|your|example|redacted|environ)", re.IGNORECASE)


def has_secret(text: bytes) -> bool:
    """Whether there is a key, a token, a private key, or a password that is called one."""
    if _KEY.search(text) is not None:
        return True
    return any(map(_is_password, (found.group(1) for found in looked_at(_NAMED.finditer(text)))))


def _is_password(value: bytes) -> bool:
    if _DIGIT.search(value) is None or _LETTER.search(value) is None:
        return False
    return _PLACEHOLDER.match(value) is None


DETECTORS: Mapping[Detector, Callable[[bytes], bool]] = {
    "email": has_email,
    "phone": has_phone,
    "card": has_card,
    "iban": has_iban,
    "secret": has_secret,
}

_SUSPECT: Mapping[Detector, str] = {
    "email": "@",
    "phone": r"\d(?:[ ./()-]{0,3}\d){7}",
    "card": r"\d(?:[ .-]?\d){11}",
    "iban": r"[A-Za-z]{2}\d\d(?:[ .-]?[A-Za-z0-9]){11}",
    "secret": (
        r"sk-|[sr]k_|AKIA|ASIA|gh[pousr]_|github_|glpat-|xox|xapp|AIza|ya29|hf_|gsk_|npm_|SG\.|eyJ|PRIVATE|:/"
        r"|(?i:passw|passphrase|pwd|secret|api[_-]?key|access[_-]?key|token)"
    ),
}
"""What is in every text in which the detector finds something, and hardly ever in another."""


def finds(kind: Detector, text: bytes) -> bool:
    """Whether a detector finds something. A text with too many places to look at counts as if it did."""
    try:
        return DETECTORS[kind](text)
    except TooMany:
        return True


def suspect(kinds: frozenset[Detector], *more: str) -> Callable[[bytes], object]:
    """Return a function that gives None for a text in which none of `kinds` can find anything.

    Nor `more` patterns: a further one costs little beside the look itself.
    """
    parts = [*(_SUSPECT[kind] for kind in sorted(kinds)), *more]
    return compile_pattern("|".join(parts)).search
