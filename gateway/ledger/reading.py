"""Read the spool: batches of rows in their order, each exactly once where its token is honoured.

Which bytes a batch has is written down before it is handed out, so that after any end of this process the
same batch, with the same token, comes again; and that it was taken once it was, so that it does not come
when its token is long forgotten. A segment is removed once all of it was taken and nobody writes it. It must
not know who takes the batches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gateway.ledger.entries import Entry
from gateway.ledger.ledger import MARKS, PriceRow, Table
from gateway.ledger.segments import MAGIC, Damage, Part, read_part
from gateway.ledger.spool import SUFFIX, is_written

QUARANTINE = "quarantine"
BATCH_BYTES = 4 << 20
_CURSOR = ".cur"

_decoders: dict[Table, Any] = {
    "ledger": msgspec.json.Decoder(list[Entry]),
    "prices": msgspec.json.Decoder(list[PriceRow]),
}
COLUMNS: dict[Table, tuple[str, ...]] = {
    "ledger": Entry.__struct_fields__,
    "prices": PriceRow.__struct_fields__,
}


class Batch(NamedTuple):
    """A stretch of a segment: its rows by table, and what in it is none."""

    segment: Path
    start: int
    end: int
    rows: dict[Table, list[Any]]
    damages: list[Damage]
    is_last: bool
    """Nothing follows it in its segment, ever."""

    @property
    def token(self) -> str:
        """Names it, for ever the same."""
        return f"{self.segment.stem}:{self.start}-{self.end}"


class SpoolReader:
    """Of one spool; only one may read it at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._done: dict[str, int] = {}
        """How far each segment was taken."""

    def batches(self) -> Iterator[Batch]:
        """Give what there is, segment by segment; each is to be taken (`taken`) before the next."""
        for segment in segments(self.folder):
            while (batch := self._next(segment)) is not None:
                yield batch
                if batch.is_last or self._done.get(segment.name, 0) < batch.end:  # taken whole, or not at all
                    break

    def taken(self, batch: Batch) -> None:
        """A batch is where it belongs: durably, and never before, or a power cut would lose it.

        Without a sync of its own it would be safe with the next promise: a second later, or much. A power cut
        before that brings the batch again, and its token may be forgotten when the machine is back.
        """
        self._done[batch.segment.name] = batch.end  # first: where the disk is full this reader knows it yet
        if not batch.is_last:
            self._write_down(batch.segment, batch.end, batch.end)
            return
        batch.segment.unlink(missing_ok=True)
        self._sync_folder()  # in between: without its cursor a segment that came back would begin anew
        batch.segment.with_suffix(_CURSOR).unlink(missing_ok=True)
        del self._done[batch.segment.name]

    def set_aside(self, name: str, content: bytes) -> Path:
        """Keep what cannot be taken, for somebody to look at."""
        folder = self.folder / QUARANTINE
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / name
        path.write_bytes(content)
        return path

    def stretch(self, segment: Path, start: int, end: int) -> bytes:
        """Return the bytes of a part of a segment."""
        with segment.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def _next(self, segment: Path) -> Batch | None:
        is_final = not is_written(segment)  # asked before it is read: what came until then is in it
        try:
            text = segment.read_bytes()
        except FileNotFoundError:
            return None
        start, promised = self._cursor(segment)
        if promised > start:
            part = read_part(text[:promised], start, is_final=True, most_bytes=promised - start)
            part = part._replace(end=promised, closed=False)
        else:
            part = read_part(text, start, is_final=is_final, most_bytes=BATCH_BYTES)
        if part.end == start and not part.closed:
            return None
        if part.end > promised:
            self._write_down(segment, start, part.end)
        return _batch(segment, start, part)

    def _cursor(self, segment: Path) -> tuple[int, int]:
        """Return how far a segment was taken, and to where the batch goes that was handed out last."""
        try:
            start, end = map(int, segment.with_suffix(_CURSOR).read_text(encoding="ascii").split())
        except (FileNotFoundError, ValueError):
            start = end = len(MAGIC)
        done = self._done.get(segment.name, start)
        return done, max(end, done)

    def _write_down(self, segment: Path, taken: int, end: int) -> None:
        """Write down, durably, how far a segment was taken, and to where it is handed out.

        The file is synced before it gets its name: else a power cut could leave it empty, and the segment
        would begin anew.
        """
        path = segment.with_suffix(_CURSOR)
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(b"%d %d\n" % (taken, end))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def segments(folder: Path) -> Sequence[Path]:
    """Name the segments, the oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def left_behind(folder: Path) -> int:
    """Count the segments that nobody writes any more and that were not taken yet."""
    return sum(not is_written(segment) for segment in segments(folder))


def _batch(segment: Path, start: int, part: Part) -> Batch:
    rows: dict[Table, list[Any]] = {"ledger": [], "prices": []}
    damages = list(part.damages)
    for record in part.records:
        table = MARKS.get(record.payload[:1])
        try:
            if table is None:
                damages.append(Damage(record.start, record.end))
            else:
                rows[table] += _decoders[table].decode(memoryview(record.payload)[1:])
        except msgspec.MsgspecError:
            damages.append(Damage(record.start, record.end))
    return Batch(segment, start, part.end, rows, damages, part.closed)
