"""Find numbers of payment cards and of bank accounts: places in a text.

Both have check digits, so that hardly anything else is taken for one. All is linear in the text. Must not
know why somebody looks.

Sources: ISO/IEC 7812 and the issuers' ranges (cards); ISO 13616, SWIFT IBAN registry (lengths by country).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gateway.texts.patterns import Pattern, Place, compile_pattern, looked_at, within

_DIGITS = rb"\d{4,19}(?:[ .-]\d{3,7}){0,8}"
_CARD = re.compile(rb"(?<![\w.,+#-])" + _DIGITS + rb"(?![\w]|[.,-]\d)")
_WRITTEN_CARD = re.compile(
    rb"(?:(?<![A-Za-z0-9+])(?<!\d\.)|(?<=\\[nrt]))" + _DIGITS + rb"(?![A-Za-z0-9]|\.\d)"
)
"""Also in a list, in an address, behind a sign."""
_CARD_RUN = compile_pattern(r"\d[\d .-]{10,}\d")
_GROUP = re.compile(rb"\d+")
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


def cards(text: bytes) -> Iterator[Place]:
    """Find numbers of payment cards: of a brand's range and length, with their check digit."""
    return _cards(_CARD, text)


def written_cards(text: bytes) -> Iterator[Place]:
    """Find the same, whatever is written around them."""
    return _cards(_WRITTEN_CARD, text)


def _cards(form: re.Pattern[bytes], text: bytes) -> Iterator[Place]:
    for run in looked_at(within(_CARD_RUN, form, text)):
        groups = [group.span() for group in _GROUP.finditer(text, *run.span())]
        yield from _cards_among(groups, text)


def _cards_among(groups: list[Place], text: bytes) -> Iterator[Place]:
    """Find cards among neighbouring groups of digits: whole in one, or in groups as they are printed."""
    for start, end in groups:
        if _is_card(text[start:end]):
            yield start, end
    lengths = tuple(end - start for start, end in groups)
    for at in range(len(groups) - 1):
        for shape in _CARD_GROUPS:
            parts = groups[at : at + len(shape)]
            if lengths[at : at + len(shape)] == shape and _is_card(b"".join(text[a:b] for a, b in parts)):
                yield parts[0][0], parts[-1][1]


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
_WRITTEN_IBAN = compile_pattern(r"(?:^|[^A-Za-z0-9_]|\\[nrt])([A-Za-z]{2})\d\d")
"""Not behind `_`: ids are written so, `call_ba45...`."""
_LONGEST_IBAN = 33
_BLANKS = b" -."


def ibans(text: bytes) -> Iterator[Place]:
    """Find international account numbers: of a country's length, with their check digits."""
    return _ibans(_IBAN, text)


def written_ibans(text: bytes) -> Iterator[Place]:
    """Find the same, whatever is written around them."""
    return _ibans(_WRITTEN_IBAN, text)


def _ibans(form: Pattern, text: bytes) -> Iterator[Place]:
    for found in looked_at(form.finditer(text)):
        start = found.start(1)
        if end := _end_of_iban(text, start):
            yield start, end


def _end_of_iban(text: bytes, start: int) -> int:
    """Return where the account number that begins there ends; 0: it is none."""
    length = _IBAN_LENGTHS.get(text[start : start + 2].decode().upper())
    if length is None:
        return 0
    written = text[start : start + 2 * _LONGEST_IBAN]
    number = written.translate(None, _BLANKS)[:length].upper()
    if len(number) < length or not number.isalnum() or not number[2:4].isdigit():
        return 0
    if int("".join(str(int(chr(character), 36)) for character in number[4:] + number[:4])) % 97 != 1:
        return 0
    seen = 0
    for at, character in enumerate(written):
        seen += character not in _BLANKS
        if seen == length:
            end = start + at + 1
            return 0 if text[end : end + 1].isalnum() else end  # what goes on is an id, or a digest
    return 0
