"""See numbers that are grouped by other spaces and hyphens than ASCII's: places in a text.

Web pages, documents and models group numbers with a space that breaks no line, or a hyphen that does not.
Must not know what is looked for.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

from gateway.texts.patterns import Place, compile_pattern, looked_at

_SIGNS = r"[\x{a0}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}\x{2010}-\x{2013}\x{2212}]"
SUSPECT = rf"[\d)]{_SIGNS}[\d(]\d"
"""What is in every number that is grouped so, and hardly ever elsewhere."""
_suspect = compile_pattern(SUSPECT).search
_SPACE = rb"\xc2\xa0|\xe2\x80[\x80-\x8a\xaf]|\xe2\x81\x9f|\xe3\x80\x80"
_HYPHEN = rb"\xe2\x80[\x90-\x93]|\xe2\x88\x92"
_SIGN = re.compile(rb"(?:(%b)|%b)(?=[0-9A-Za-z(])" % (_SPACE, _HYPHEN))


def with_any_spaces(look: Callable[[bytes], Iterator[Place]]) -> Callable[[bytes], Iterator[Place]]:
    """Have `look` see each such space as ` ` and each hyphen as `-`; places are those of the text given."""

    def find(text: bytes) -> Iterator[Place]:
        if text.isascii() or _suspect(text) is None:
            return look(text)
        return _found_in_ascii(look, text)

    return find


def _found_in_ascii(look: Callable[[bytes], Iterator[Place]], text: bytes) -> Iterator[Place]:
    pieces, done = list[bytes](), 0
    ends, lost = [0], [0]  # from where on in the new text, and how many bytes fewer there are before
    seen = 0
    for sign in looked_at(_SIGN.finditer(text)):
        pieces += [text[done : sign.start()], b" " if sign.group(1) else b"-"]
        seen += sign.start() - done + 1
        done = sign.end()
        ends.append(seen)
        lost.append(done - seen)
    pieces.append(text[done:])
    for start, end in look(b"".join(pieces)):
        yield start + lost[bisect_right(ends, start) - 1], end + lost[bisect_right(ends, end) - 1]
