"""Tokens are counted by the vocabulary that ships with the package, whoever unpacks it first."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from gateway.embedded import tokenizer
from gateway.embedded.tokenizer import token_counter

AT_ONCE = 4


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is set for the encoder is not left to other tests."""
    with monkeypatch.context() as context:
        context.setenv("TIKTOKEN_CACHE_DIR", "")
        yield


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("Hello, world", 3), (" " * 250_000, 1956)])
def test_a_text_has_its_tokens_however_long_it_is(tmp_path: Path, text: str, tokens: int) -> None:
    assert token_counter(tmp_path)(text) == tokens


def test_many_may_unpack_the_vocabulary_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    all_have_it = Barrier(AT_ONCE, timeout=60)
    decompress = tokenizer.gzip.decompress

    def decompress_together(packed: bytes) -> bytes:
        vocabulary = decompress(packed)
        all_have_it.wait()
        return vocabulary

    monkeypatch.setattr(tokenizer.gzip, "decompress", decompress_together)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        counts = [token_counter(tmp_path) for _ in range(AT_ONCE)]
        assert list(pool.map(lambda count: count("Hello, world"), counts)) == [3] * AT_ONCE
    [unpacked] = (tmp_path / "tiktoken").iterdir()
    assert unpacked.suffix == ""
