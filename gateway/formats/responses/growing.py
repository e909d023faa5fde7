"""What an item says while it grows in a stream: its events, from the first to the last.

Each class is one part under way. It says its beginning when it is made; `grow` and `close` say the rest.
`Output` numbers the events and keeps the items as they are when done, for the end repeats them.

Must not know the life of a response. Source: as in `types`.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from gateway.formats.neutral.completion import TokenLogprob
from gateway.formats.neutral.events import Grew
from gateway.formats.neutral.parts import Citation, Media, Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.responses.content import write_citation, write_logprobs
from gateway.formats.responses.items import NO_ARGUMENTS, write_call, write_reasoning
from gateway.formats.responses.output import Names, write_message, write_own_item, write_words

_encoder = msgspec.json.Encoder()


class Output:
    """The events that were said and not yet taken, and the items so far."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._said: list[bytes] = []
        self._number = 0
        self._items: list[dict[str, Any]] = []

    def say(self, kind: str, members: dict[str, Any]) -> None:
        """Write an event."""
        data = _encoder.encode({"type": kind, "sequence_number": self._number, **members})
        self._number += 1
        self._said.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))

    def taken(self) -> bytes:
        """Return what was said since the last time."""
        said = b"".join(self._said)
        self._said.clear()
        return said

    def add(self, item: dict[str, Any]) -> int:
        """Say that an item begins; returns its place in the output."""
        self._items.append(item)
        self.say("response.output_item.added", {"output_index": len(self._items) - 1, "item": item})
        return len(self._items) - 1

    def finish(self, index: int, item: dict[str, Any]) -> None:
        """Say that an item is whole."""
        self._items[index] = item
        self.say("response.output_item.done", {"output_index": index, "item": item})

    def items(self) -> list[dict[str, Any]]:
        """Return the items, those that are done as they are in the end."""
        return self._items


class GrowingPart(Protocol):
    """A part under way."""

    def grow(self, event: Grew) -> None:
        """Say what it got longer by."""

    def close(self, content: Part | None) -> None:
        """Say that it is whole; `content`, where given, is the whole part."""

    def sealed(self) -> Reasoning | None:
        """Return the reasoning for a signature that came after the beginning."""


class GrowingMessage:
    """A message: done when it was ended and all of its content is."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.id = output.names.new("msg")
        self.content: list[dict[str, Any]] = []
        self.open = 0
        self._ended = False
        self.index = output.add(write_message(self.id, "in_progress", []))

    def end(self) -> None:
        """Let nothing be added any more."""
        self._ended = True
        self.settle()

    def settle(self) -> None:
        """Say that it is whole, once it is."""
        if self._ended and not self.open:
            self.output.finish(self.index, write_message(self.id, "completed", self.content))


class GrowingWords:
    """A text or a refusal."""

    def __init__(self, output: Output, message: GrowingMessage, words: Text | Refusal) -> None:
        self._output = output
        self._message = message
        self._words = words
        self._told: list[str] = []
        self._citations: list[Citation] = []
        self._logprobs: list[TokenLogprob] = []
        self._signature = ""
        self._kind = "refusal" if isinstance(words, Refusal) else "output_text"
        self._delta = f"response.{self._kind}.delta"
        self._index = len(message.content)
        self._place = {
            "item_id": message.id,
            "output_index": message.index,
            "content_index": self._index,
        }
        empty = write_words(Refusal("") if isinstance(words, Refusal) else Text(""))
        message.content.append(empty)
        message.open += 1
        output.say("response.content_part.added", {**self._place, "part": empty})
        if words.text:
            self._say(words.text, None)
        for citation in words.citations if isinstance(words, Text) else ():
            self.cite(citation)

    def grow(self, event: Grew) -> None:
        """Say more words."""
        if event.what == "signature":
            self._signature += event.text
        else:
            self._say(event.text, event.logprobs)

    def _say(self, text: str, logprobs: tuple[TokenLogprob, ...] | None) -> None:
        self._told.append(text)
        members = {**self._place, "delta": text}
        if self._kind == "output_text":
            members["logprobs"] = write_logprobs(logprobs)
            self._logprobs += logprobs or ()
        self._output.say(self._delta, members)

    def cite(self, citation: Citation) -> None:
        """Say a source."""
        index = len(self._citations)
        self._citations.append(citation)
        members = {**self._place, "annotation_index": index, "annotation": write_citation(citation)}
        self._output.say("response.output_text.annotation.added", members)

    def close(self, content: Part | None) -> None:
        """Say that it is whole; what `content` has beyond what was told is told before."""
        text = "".join(self._told)
        if isinstance(content, Text | Refusal) and content.text.startswith(text) and content.text != text:
            self._say(content.text[len(text) :], None)
            text = content.text
        if isinstance(content, Text):
            for citation in content.citations[len(self._citations) :]:
                self.cite(citation)
        written = write_words(
            Refusal(text) if self._kind == "refusal" else Text(text, citations=tuple(self._citations))
        )
        done = {"refusal": text}
        if self._kind == "output_text":
            written["logprobs"] = write_logprobs(self._logprobs)
            done = {"text": text, "logprobs": written["logprobs"]}
        self._output.say(f"response.{self._kind}.done", {**self._place, **done})
        self._output.say("response.content_part.done", {**self._place, "part": written})
        self._message.content[self._index] = written
        self._message.open -= 1
        self._message.settle()

    def sealed(self) -> Reasoning | None:
        """Return the reasoning for a signature that came after the beginning."""
        return Reasoning(encrypted=self._signature, origin="gemini") if self._signature else None


class GrowingCall:
    """A call of a function or of a custom tool."""

    def __init__(self, output: Output, call: ToolCall) -> None:
        self._output = output
        self._call = call
        self._told: list[str] = []
        self._signature = ""
        self._id = call.item_id or output.names.new("ctc" if call.custom else "fc")
        self._event = "response.custom_tool_call_input" if call.custom else "response.function_call_arguments"
        self._name = "input" if call.custom else "arguments"
        self._index = output.add(write_call(call, self._id) | {self._name: "", "status": "in_progress"})
        if call.arguments:
            self._say(call.arguments)

    def grow(self, event: Grew) -> None:
        """Say more arguments."""
        if event.what == "signature":
            self._signature += event.text
        else:
            self._say(event.text)

    def _say(self, text: str) -> None:
        self._told.append(text)
        members = {"item_id": self._id, "output_index": self._index, "delta": text}
        self._output.say(f"{self._event}.delta", members)

    def close(self, content: Part | None) -> None:
        """Say that it is whole."""
        text = "".join(self._told)
        if isinstance(content, ToolCall) and content.arguments.startswith(text) and content.arguments != text:
            self._say(content.arguments[len(text) :])
            text = content.arguments
        if not text and not self._call.custom:
            text = NO_ARGUMENTS
            self._say(text)
        members: dict[str, Any] = {"item_id": self._id, "output_index": self._index, self._name: text}
        if not self._call.custom:
            members["name"] = self._call.name
        self._output.say(f"{self._event}.done", members)
        whole = write_call(msgspec.structs.replace(self._call, arguments=text), self._id)
        self._output.finish(self._index, whole | {"status": "completed"})

    def sealed(self) -> Reasoning | None:
        """Return the reasoning for a signature that came after the beginning."""
        origin = self._call.origin or "gemini"
        return Reasoning(encrypted=self._signature, origin=origin) if self._signature else None


class GrowingReasoning:
    """Thoughts, their summaries, and what proves or hides them."""

    def __init__(self, output: Output, part: Reasoning) -> None:
        self._output = output
        self._part = part
        self._text: list[str] = []
        self._summaries: list[list[str]] = []
        self._proofs = {"signature": part.signature, "encrypted": part.encrypted}
        self._id = part.id or output.names.new("rs")
        empty = write_reasoning(Reasoning(origin=part.origin), self._id)
        self._index = output.add(empty)
        self._place = {"item_id": empty["id"], "output_index": self._index}
        if part.text:
            self._say(part.text)
        for summary in part.summary:
            self._summarise(summary, new=True)

    def grow(self, event: Grew) -> None:
        """Say more of it."""
        if event.what == "text":
            self._say(event.text)
        elif event.what == "summary":
            self._summarise(event.text, new=event.new_summary)
        elif event.what in self._proofs:
            self._proofs[event.what] += event.text

    def _say(self, text: str) -> None:
        place = {**self._place, "content_index": 0}
        if not self._text:
            part = {"type": "reasoning_text", "text": ""}
            self._output.say("response.content_part.added", {**place, "part": part})
        self._text.append(text)
        self._output.say("response.reasoning_text.delta", {**place, "delta": text})

    def _summarise(self, text: str, *, new: bool) -> None:
        if new or not self._summaries:
            self._end_summary()
            self._summaries.append([])
            self._say_of_summary("part.added", {"part": {"type": "summary_text", "text": ""}})
        self._summaries[-1].append(text)
        self._say_of_summary("text.delta", {"delta": text})

    def _say_of_summary(self, event: str, members: dict[str, Any]) -> None:
        place = {**self._place, "summary_index": len(self._summaries) - 1}
        self._output.say(f"response.reasoning_summary_{event}", {**place, **members})

    def _end_summary(self) -> None:
        if self._summaries:
            text = "".join(self._summaries[-1])
            self._say_of_summary("text.done", {"text": text})
            self._say_of_summary("part.done", {"part": {"type": "summary_text", "text": text}})

    def close(self, content: Part | None) -> None:
        """Say that it is whole; what `content` has beyond what was told is told before."""
        whole = content if isinstance(content, Reasoning) else None
        for summary in whole.summary if whole and not self._summaries else ():
            self._summarise(summary, new=True)
        self._end_summary()
        text = "".join(self._text)
        if whole and whole.text.startswith(text) and whole.text != text:
            self._say(whole.text[len(text) :])
            text = whole.text
        if text:
            place = {**self._place, "content_index": 0}
            part = {"type": "reasoning_text", "text": text}
            self._output.say("response.reasoning_text.done", {**place, "text": text})
            self._output.say("response.content_part.done", {**place, "part": part})
        grown = Reasoning(
            text,
            tuple(map("".join, self._summaries)),
            signature=whole.signature if whole else self._proofs["signature"],
            encrypted=whole.encrypted if whole else self._proofs["encrypted"],
            origin=self._part.origin,
        )
        self._output.finish(self._index, write_reasoning(grown, self._id))

    def sealed(self) -> None:
        """Return nothing: its signature is its own."""


class GrowingItem:
    """An item that has no events of its own: it begins, and is whole."""

    def __init__(self, output: Output, part: Part) -> None:
        self._output = output
        item = write_own_item(part, output.names)
        self._item = item
        self._index = output.add(item)

    def grow(self, event: Grew) -> None:
        """Say nothing: the whole item comes with its end."""

    def close(self, content: Part | None) -> None:
        """Say that it is whole."""
        if content is not None:
            self._item = write_own_item(content, self._output.names)
        self._output.finish(self._index, self._item)

    def sealed(self) -> None:
        """Return nothing: it has no signature."""


class GrowingMedia:
    """A picture, a sound or a file: said when it is whole, for only then it is known as what."""

    def __init__(self, media: Media) -> None:
        self._media = media
        self._grown = {"data": [media.data], "transcript": [media.transcript], "text": [media.text]}

    def grow(self, event: Grew) -> None:
        """Keep what it got longer by."""
        if event.what in self._grown:
            self._grown[event.what].append(event.text)

    def whole(self, content: Part | None) -> Media:
        """Return the whole of it."""
        if isinstance(content, Media):
            return content
        grown = {name: "".join(texts) for name, texts in self._grown.items()}
        return msgspec.structs.replace(self._media, **grown)

    def close(self, content: Part | None) -> None:
        """Say nothing: its whole is said in another item's place."""

    def sealed(self) -> None:
        """Return nothing: its signature was said before it."""
