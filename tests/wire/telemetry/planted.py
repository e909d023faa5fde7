"""Some six hundred strings that nobody may read: generated, always the same, and nobody's.

Keys in the forms of their providers, tokens, private keys, passwords, cards with check digits, accounts,
addresses, phones; some of them escaped as in JSON, or grouped by spaces and hyphens of Unicode.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

COUNT = 580
_DRAWN = Random(20261121)
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits
_ISSUERS = (("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("36", 14), ("3530", 16))
_COUNTRIES = (("DE", 18), ("GB", 4), ("FR", 23), ("NL", 4), ("ES", 20), ("CH", 17), ("AT", 16), ("PL", 24))
_BANKS = {"GB": ("WEST", 14), "NL": ("ABNA", 10)}


@dataclass(frozen=True)
class Planted:
    """A text as somebody would write it, and of it what may be found nowhere."""

    kind: str
    text: str
    secret: str

    @property
    def forms(self) -> list[bytes]:
        """How the secret may stand in a file: as it is, inside of JSON, in a URL."""
        forms = {self.secret, json.dumps(self.secret)[1:-1], quote(self.secret), quote(self.secret, safe="")}
        return sorted(form.encode() for form in forms)

    @property
    def fits_a_line(self) -> bool:
        """Whether a header can have it."""
        return "\n" not in self.text and self.text.isascii()


def _some(count: int, alphabet: str = _LETTERS_AND_DIGITS) -> str:
    """Draw characters, letters and digits among them."""
    return (
        _DRAWN.choice("abcdefgh") + _DRAWN.choice("23456789") + "".join(_DRAWN.choices(alphabet, k=count - 2))
    )


def _word() -> str:
    return "".join(_DRAWN.choices(string.ascii_lowercase, k=8))


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _jwt() -> str:
    head, claims = {"alg": "HS256", "typ": "JWT"}, {"sub": _word(), "exp": 1_800_000_000}
    return f"{_part(head)}.{_part(claims)}.{_some(43)}"


_KEYS: Sequence[Callable[[], str]] = (
    lambda: "sk-" + _some(48),
    lambda: "sk-proj-" + _some(64, _LETTERS_AND_DIGITS + "-_"),
    lambda: "sk-ant-api03-" + _some(80, _LETTERS_AND_DIGITS + "-_"),
    lambda: "sk-or-v1-" + _some(64, "0123456789abcdef"),
    lambda: "sk_live_" + _some(24),
    lambda: "AKIA" + "".join(_DRAWN.choices(string.ascii_uppercase + "234567", k=16)),
    lambda: "ghp_" + _some(36),
    lambda: "github_pat_" + _some(22) + "_" + _some(59),
    lambda: "glpat-" + _some(20),
    lambda: "xoxb-123456789012-" + _some(24),
    lambda: "AIza" + _some(35),
    lambda: "ya29." + _some(60),
    lambda: "hf_" + _some(34),
    lambda: "gsk_" + _some(52),
    lambda: "npm_" + _some(36),
    lambda: f"SG.{_some(22)}.{_some(43)}",
    lambda: "xai-" + _some(80),
    lambda: "pplx-" + _some(48),
    lambda: "nvapi-" + _some(64, _LETTERS_AND_DIGITS + "-_"),
    lambda: "r8_" + _some(37),
    lambda: "fb-" + _some(39),
)


def _card() -> str:
    start, length = _DRAWN.choice(_ISSUERS)
    digits = start + "".join(_DRAWN.choices(string.digits, k=length - len(start) - 1))
    doubled = [int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(digits))]
    whole = digits + str(-sum(sum(map(int, str(number))) for number in doubled) % 10)
    if length == 16 and _DRAWN.random() < 0.5:
        sign = _DRAWN.choice(" -")
        return sign.join(whole[at : at + 4] for at in range(0, 16, 4))
    return whole


def _iban() -> str:
    country, length = _DRAWN.choice(_COUNTRIES)
    bank, length = _BANKS.get(country, ("", length))
    account = bank + "".join(_DRAWN.choices(string.digits, k=length))
    number = int("".join(str(int(sign, 36)) for sign in f"{account}{country}00"))
    whole = f"{country}{98 - number % 97:02d}{account}"
    spaced = " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))
    return spaced if _DRAWN.random() < 0.5 else whole


def _phone() -> str:
    digits = "".join(_DRAWN.choices("23456789", k=10))
    return _DRAWN.choice(
        (
            f"+1{digits}",
            f"+49 30 {digits[:7]}",
            f"({digits[:3]}) {digits[3:6]}-{digits[6:]}",
            f"{digits[:3]}-{digits[3:6]}-{digits[6:]}",
            f"0{digits[:3]} {digits[3:]}",
        )
    )


def _password_in_url() -> Planted:
    secret = _some(14)
    scheme = _DRAWN.choice(("postgres", "redis", "https", "amqp", "mongodb+srv"))
    user = _DRAWN.choice((_word(), "")) if scheme == "redis" else _word()
    return Planted("secret", f"{scheme}://{user}:{secret}@{_word()}.internal/{_word()}", secret)


def _private_key() -> Planted:
    secret = _some(64)
    kind = _DRAWN.choice(("", "RSA ", "EC ", "OPENSSH "))
    lines = (f"-----BEGIN {kind}PRIVATE KEY-----", _some(64), secret, f"-----END {kind}PRIVATE KEY-----")
    return Planted("secret", "\n".join(lines), secret)


def _plain(kind: str, text: str) -> Planted:
    return Planted(kind, text, text)


def _letters(count: int) -> str:
    return "".join(_DRAWN.choices(string.ascii_lowercase, k=count))


def _named() -> Planted:
    """Draw a password or key that only its name tells: of letters alone, or of digits."""
    name = _DRAWN.choice(("password", "SECRET_KEY", "client_secret", "api_key", "passphrase"))
    secret = _DRAWN.choice(
        (_letters(20), f"{_letters(7)}-{_letters(5)}-{_letters(7)}", "".join(_DRAWN.choices("3456789", k=9)))
    )
    form = _DRAWN.choice(("{}={}", "{}: {}", '"{}": "{}"', '\\"{}\\":\\"{}\\"'))
    return Planted("secret", form.format(name, secret), secret)


def _escaped() -> Iterator[Planted]:
    """Draw what JSON need not escape, but some programs do."""
    secret, name, number = _some(14), f"{_word()}.{_word()}", "".join(_DRAWN.choices("23456789", k=10))
    yield Planted("secret", f"\\u0022password\\u0022:\\u0022{secret}\\u0022", secret)
    yield Planted("email", f"{name}\\u0040{_word()}.example.org", name)
    yield Planted("phone", f"\\u002B49{number}", number)


def _grouped() -> Iterator[Planted]:
    """Draw numbers as documents and web pages group them."""
    space, hyphen = _DRAWN.choice("\u00a0\u202f"), "\u2011"
    for sign in (space, hyphen):
        card = next(made for made in iter(_card, "") if len(made) > 16)
        yield _plain("card", card.replace(" ", sign).replace("-", sign))
    iban = next(made for made in iter(_iban, "") if " " in made)
    yield _plain("iban", iban.replace(" ", space))
    yield _plain("phone", f"+49{space}151{space}{''.join(_DRAWN.choices('23456789', k=8))}")


def _slashed() -> Planted:
    secret = f"{_some(4)}/{_some(8)}"
    return Planted("secret", f"redis://{_DRAWN.choice((_word(), ''))}:{secret}@{_word()}.internal/0", secret)


def _corpus() -> tuple[Planted, ...]:
    corpus = list[Planted]()
    for at in range(10):
        corpus += [_plain("secret", make()) for make in _KEYS]
        corpus += [_plain("secret", _jwt()) for _ in range(3)]
        corpus += [_password_in_url() for _ in range(4)]
        corpus += [_private_key()]
        corpus += [_plain("card", _card()) for _ in range(7)]
        corpus += [_plain("iban", _iban()) for _ in range(5)]
        corpus += [_plain("email", f"{_word()}.{_word()}{at}@{_word()}.example.org") for _ in range(5)]
        corpus += [_plain("phone", _phone()) for _ in range(4)]
    for _ in range(8):
        corpus += [_named(), _named(), *_escaped(), *_grouped(), _slashed()]
    return tuple(corpus)


CORPUS = _corpus()
