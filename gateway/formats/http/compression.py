"""Decompress request bodies, never beyond a limit: a small body may unfold into a huge one.

Sources: RFC 9110 section 8.4, RFC 7932 (br), RFC 8878 (zstd).
"""

from __future__ import annotations

import sys
import zlib

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from gateway.errors import BadRequest, TooLarge

_STEP_BYTES = 256 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_MOST_CODINGS = 3
"""Nobody needs more, and each may unfold to the limit again."""


def decompress(body: bytes, content_encoding: str, limit_bytes: int) -> bytes:
    """Undo `content-encoding`, the last coding first.

    Raises BadRequest for an unknown coding or broken data, TooLarge beyond `limit_bytes`. What follows
    the end of the data is broken data too: dropped in silence it would be a part of a request lost.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in names if name not in {"", "identity"}]
    if len(codings) > _MOST_CODINGS:
        raise BadRequest(f"content-encoding may name at most {_MOST_CODINGS} codings", status=415)
    for coding in reversed(codings):
        body = _undo(body, coding, limit_bytes)
    return body


def _undo(body: bytes, coding: str, limit_bytes: int) -> bytes:
    decoder = _DECODERS.get(coding)
    if decoder is None:
        known = ", ".join(_DECODERS)
        raise BadRequest(f"content-encoding {coding!r} is not supported; use one of {known}", status=415)
    try:
        unfolded = decoder(body, limit_bytes)
    except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as error:
        raise BadRequest(f"the request's body is not valid {coding}: {error}") from None
    if len(unfolded) > limit_bytes:
        raise TooLarge(f"the request's body unfolds to more than the limit of {limit_bytes} bytes")
    return unfolded


def _gzip(body: bytes, limit_bytes: int) -> bytes:
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    unfolded = decoder.decompress(body, limit_bytes + 1)
    if len(unfolded) <= limit_bytes:
        _check_end(decoder.unused_data, eof=decoder.eof)
    return unfolded


def _check_end(unused: bytes, *, eof: bool) -> None:
    if not eof:
        raise EOFError("the data ends too early")
    if unused:
        raise EOFError("something follows the end of the data")


def _brotli(body: bytes, limit_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    pieces = [decoder.process(body, output_buffer_limit=_STEP_BYTES)]
    size_bytes = len(pieces[0])
    while not decoder.is_finished() and size_bytes <= limit_bytes:
        piece = decoder.process(b"", output_buffer_limit=_STEP_BYTES)
        if not piece and not decoder.is_finished():
            raise EOFError("the data ends too early")
        pieces.append(piece)
        size_bytes += len(piece)
    return b"".join(pieces)


def _zstd(body: bytes, limit_bytes: int) -> bytes:
    decoder = zstd.ZstdDecompressor()
    unfolded = decoder.decompress(body, max_length=limit_bytes + 1)
    if len(unfolded) <= limit_bytes:
        _check_end(decoder.unused_data, eof=decoder.eof)
    return unfolded


_DECODERS = {"gzip": _gzip, "deflate": _gzip, "br": _brotli, "zstd": _zstd}
