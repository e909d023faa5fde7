"""Where the spending of a period is going, if it goes on as it did since its beginning.

Pure. A straight line, and no more: it knows neither nights nor weekends. Amounts and times are integers, and
both answers err on the side of too much, too soon.
"""

from __future__ import annotations

_UNSURE = 50
"""Before this part of the period (a fiftieth) is over, its pace says nothing."""


def ends_at_ms(taken: int, limit: int, starts_ms: int, ends_ms: int, now_ms: int) -> int | None:
    """Return when the limit will be reached at the present pace (Unix ms); None: not within the period.

    It is `now_ms` once it is reached, and None as long as too little of the period is over to tell.
    """
    if taken >= limit:
        return now_ms
    passed_ms = now_ms - starts_ms
    if taken <= 0 or passed_ms * _UNSURE < ends_ms - starts_ms:
        return None
    at_ms = max(starts_ms + limit * passed_ms // taken, now_ms)
    return at_ms if at_ms < ends_ms else None


def expected(taken: int, starts_ms: int, ends_ms: int, now_ms: int) -> int:
    """Return what will have been taken at the end of the period.

    As long as too little of it is over to tell, it is taken to be over by that little.
    """
    span_ms = ends_ms - starts_ms
    if taken <= 0 or now_ms >= ends_ms:
        return taken
    passed_ms = now_ms - starts_ms
    if passed_ms * _UNSURE < span_ms:
        return taken * _UNSURE
    return -(-taken * span_ms // passed_ms)
