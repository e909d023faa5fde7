"""A whole message, of a request or of an answer, in both directions.

Thoughts are carried in three ways, and a message may use several at once: `reasoning_content` (DeepSeek,
Qwen, Z.ai, xAI), `reasoning` (Groq, Cerebras, vLLM, OpenRouter), both plain text; and OpenRouter's
`reasoning_details`, which alone has room for signatures and for thoughts that only the provider can read.

What the neutral parts cannot carry of it is its `raw`: members of single hosts, and members put in another
way than our own. The latter go back as they came while they still say the same.

Must not know requests, answers or streams.
Sources: OpenAI API reference, "Chat Completions: messages"; DeepSeek API reference, "Reasoning model";
OpenRouter, "Reasoning tokens"; Google, "OpenAI compatibility: thought signatures"; Perplexity API reference,
"Chat completions": search_results; xAI, "Live search": citations (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.formats.chat.content import ValueAt, converted, read_content, write_content, write_part
from gateway.formats.chat.thoughts import read_thoughts
from gateway.formats.chat.types import (
    Annotation,
    Audio,
    ContentPart,
    HostsOfAnswer,
    HostsOfMessage,
    Message,
)
from gateway.formats.chat.types import ToolCall as WireCall
from gateway.formats.neutral.parts import Citation, Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.neutral.seals import seal

_BETWEEN = "\n\n"
"""Between two thoughts where they are written as one text."""

_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")

LISTED = "listed"
"""The `raw` of a source that stands in a list beside the choices, and goes back there, not into a message."""

_NO_SPAN = 0
"""OpenAI's SDKs want numbers where a citation tells no span: an empty one at the beginning."""

_PASSED_ON = HostsOfMessage.__struct_fields__
NO_ARGUMENTS = "{}"
"""What OpenAI's models write for a function without arguments: clients and hosts parse whatever is there."""


def read_parts(message: Message, where: str, value_at: ValueAt, legacy_id: str) -> tuple[Part, ...]:
    """Read what a message says: thoughts, content, refusal, media, calls, in this order.

    What has all its members empty is not there: Snowflake writes so whatever it has nothing to say of.
    `legacy_id` names the call of a `function_call`, which has no id. Raises BadRequest.
    """
    parts: list[Part] = [*read_thoughts(message)]
    parts += _cited(read_content(message.content, f"{where}.content", value_at), message.annotations or ())
    if message.refusal:
        parts.append(Refusal(message.refusal))
    parts += read_content(message.images, f"{where}.images", lambda _: None)
    if (audio := message.audio) is not None and (audio.id or audio.data or audio.transcript):
        parts.append(read_audio(audio))
    parts += [read_call(call) for call in message.tool_calls or ()]
    if (legacy := message.function_call) is not None and legacy.name:
        parts.append(ToolCall(legacy_id, legacy.name or "", read_arguments(legacy.arguments)))
    return tuple(parts)


def read_raw(message: Message) -> dict[str, Any]:
    """Read what the parts do not carry; empty for nearly all messages."""
    raw = {name: value for name in _PASSED_ON if (value := getattr(message, name)) is not None}
    if message.reasoning or message.reasoning_details:
        raw |= {name: value for name in _THOUGHTS if (value := getattr(message, name)) is not None}
    if isinstance(message.content, list) and any(part.type == "thinking" for part in message.content):
        raw["content"] = message.content
    if message.function_call is not None and message.function_call.name:
        raw["function_call"] = True
    return {name: msgspec.to_builtins(value) for name, value in raw.items()}


def write_message(parts: Sequence[Part], raw: Any, *, answer: bool) -> dict[str, Any]:
    """Write the members of an assistant's message but its role.

    In an answer the content is one text, and images have a member of their own.
    """
    raw = raw if isinstance(raw, dict) else {}
    said = [part for part in parts if isinstance(part, Text | Media | Opaque) and not _has_own_member(part)]
    if answer:
        images = [part for part in said if isinstance(part, Media)]
        said = [part for part in said if not isinstance(part, Media)]
    else:
        images = []
    message = {"content": _joined(said) if answer else write_content(said)}
    message |= _as_it_came(parts, raw) or write_thoughts([p for p in parts if isinstance(p, Reasoning)])
    if refusal := "".join([part.text for part in parts if isinstance(part, Refusal)]):
        message["refusal"] = refusal
    if images:
        message["images"] = [write_part(image) for image in images]
    if answer:
        signature = next((part.signature for part in said if isinstance(part, Text) and part.signature), "")
        message |= write_signature(signature, "gemini")
    message |= _write_sound(parts, answer=answer)
    if annotations := write_annotations(parts, answer=answer):
        message["annotations"] = annotations
    message |= _write_calls([part for part in parts if isinstance(part, ToolCall)], raw)
    return message | {name: raw[name] for name in _PASSED_ON if name in raw}


def _has_own_member(part: Part) -> bool:
    if isinstance(part, Opaque):
        return part.format != "chat" or part.kind == "annotation"
    return isinstance(part, Media) and part.kind == "audio"


def _joined(said: Sequence[Part]) -> str | list[dict[str, Any]] | None:
    if any(isinstance(part, Opaque) for part in said):
        return write_content(said)
    return "".join([part.text for part in said if isinstance(part, Text)]) if said else None


def _as_it_came(parts: Sequence[Part], raw: dict[str, Any]) -> dict[str, Any]:
    """Return the members that held the thoughts, if they still say what the parts say."""
    written = {name: raw[name] for name in _THOUGHTS if name in raw}
    if written and (message := converted(written, Message)) is not None:
        thoughts = [part for part in parts if isinstance(part, Reasoning)]
        return written if read_thoughts(message) == thoughts else {}
    content = converted(raw.get("content"), list[ContentPart])
    if content is None:
        return {}
    again = read_content(content, "content", raw["content"].__getitem__)
    said = [part for part in parts if isinstance(part, Text | Reasoning | Media | Opaque)]
    return {"content": raw["content"]} if again == said else {}


def write_thoughts(thoughts: Sequence[Reasoning]) -> dict[str, Any]:
    """Write thoughts as members of a message: text for everyone, details where text alone loses something."""
    words = [thought.text or _BETWEEN.join(thought.summary) for thought in thoughts]
    members: dict[str, Any] = {}
    if text := _BETWEEN.join(filter(None, words)):
        members["reasoning_content"] = text
    if len(thoughts) > 1 or any(needs_details(thought) for thought in thoughts):
        members["reasoning_details"] = [
            detail for index, thought in enumerate(thoughts) for detail in write_details(thought, index)
        ]
    return members


def needs_details(thought: Reasoning) -> bool:
    """Tell whether a thought has more to it than its text."""
    return bool(thought.signature or thought.encrypted or thought.summary or thought.id)


def write_details(thought: Reasoning, index: int) -> list[dict[str, Any]]:
    """Write a thought as details of one index; values of another provider are sealed."""
    named: dict[str, Any] = {"id": thought.id, "index": index} if thought.id else {"index": index}
    details: list[dict[str, Any]] = []
    if thought.text or thought.signature:
        proof = {"signature": seal(thought.signature, thought.origin, "chat")} if thought.signature else {}
        details.append({"type": "reasoning.text", "text": thought.text, **proof, **named})
    if thought.summary:
        details.append({"type": "reasoning.summary", "summary": _BETWEEN.join(thought.summary), **named})
    if thought.encrypted:
        data = seal(thought.encrypted, thought.origin, "chat")
        details.append({"type": "reasoning.encrypted", "data": data, **named})
    return details


def read_call(call: WireCall) -> ToolCall:
    """Read a tool call; what is missing is empty."""
    if call.custom is not None and call.custom.name:
        return ToolCall(call.id or "", call.custom.name, call.custom.input or "", custom=True)
    name = (call.function and call.function.name) or ""
    arguments = read_arguments(call.function and call.function.arguments)
    signature = read_signature(call.extra_content)
    return ToolCall(call.id or "", name, arguments, signature=signature, origin="chat" if signature else "")


def read_arguments(arguments: Any) -> str:
    """Return arguments as JSON text: some hosts write the object itself."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


def read_signature(extra_content: Any) -> str:
    """Return Gemini's thought signature, where Google's OpenAI-compatible endpoint puts it; else ""."""
    google = extra_content.get("google") if isinstance(extra_content, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else ""


def write_signature(signature: str, origin: str) -> dict[str, Any]:
    """Write a thought signature as a member; nothing where there is none."""
    if not signature:
        return {}
    return {"extra_content": {"google": {"thought_signature": seal(signature, origin, "chat")}}}


def write_call(call: ToolCall, nothing: str = NO_ARGUMENTS) -> dict[str, Any]:
    """Write a tool call; `nothing` stands for the arguments where the model wrote none."""
    if call.custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments or nothing}
    signature = write_signature(call.signature, call.origin)
    return {"id": call.id, "type": "function", "function": function, **signature}


def _write_calls(calls: Sequence[ToolCall], raw: dict[str, Any]) -> dict[str, Any]:
    if not calls:
        return {}
    if raw.get("function_call") is True and len(calls) == 1:
        return {"function_call": {"name": calls[0].name, "arguments": calls[0].arguments or NO_ARGUMENTS}}
    return {"tool_calls": [write_call(call) for call in calls]}


def read_audio(audio: Audio) -> Media:
    """Read a spoken answer; of an earlier one only its id is sent back."""
    if audio.data is None and audio.transcript is None:
        return Media("audio", file_id=audio.id or "")
    raw = {"id": audio.id or "", "expires_at": audio.expires_at or 0}
    return Media("audio", data=audio.data or "", transcript=audio.transcript or "", raw=raw)


def write_audio(media: Media) -> dict[str, Any]:
    """Write a spoken answer; OpenAI's SDKs want all four members."""
    known = media.raw if isinstance(media.raw, dict) else {}
    return {
        "id": known.get("id") or "audio_0",
        "data": media.data,
        "transcript": media.transcript,
        "expires_at": known.get("expires_at") or 0,
    }


def _write_sound(parts: Sequence[Part], *, answer: bool) -> dict[str, Any]:
    for part in parts:
        if isinstance(part, Media) and part.kind == "audio":
            if answer:
                return {"audio": write_audio(part)}
            id_ = part.file_id or (isinstance(part.raw, dict) and part.raw.get("id"))
            return {"audio": {"id": id_}} if id_ else {}
    return {}


class SearchResult(msgspec.Struct):
    """A page that Perplexity found; the numbers in its answer's text count them from 1."""

    url: str = ""
    title: str | None = None
    snippet: str | None = None


def read_annotation(annotation: Annotation) -> Citation | Opaque:
    """Read a source; one that is no address (OpenRouter's parsed file) is Opaque."""
    raw = msgspec.to_builtins(annotation)
    raw.pop("index", None)
    cited = annotation.url_citation
    if cited is None:
        return Opaque("chat", "annotation", raw)
    return Citation(
        cited.url, cited.title or "", cited.content or "", cited.start_index, cited.end_index, "chat", raw
    )


def _cited(content: list[Part], annotations: Sequence[Annotation]) -> list[Part]:
    """Give the sources to the first text; those that are no citations stay parts of their own."""
    sources = [read_annotation(annotation) for annotation in annotations]
    citations = tuple(source for source in sources if isinstance(source, Citation))
    others = [source for source in sources if isinstance(source, Opaque)]
    for i, part in enumerate(content):
        if isinstance(part, Text) and citations:
            content[i] = msgspec.structs.replace(part, citations=citations)
            return [*content, *others]
    return [*content, *[Opaque("chat", "annotation", citation.raw) for citation in citations], *others]


def write_citation(citation: Citation) -> dict[str, Any]:
    """Write a source as an annotation."""
    if citation.origin == "chat" and isinstance(citation.raw, dict):
        return citation.raw
    cited = {
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start if citation.start is not None else _NO_SPAN,
        "end_index": citation.end if citation.end is not None else _NO_SPAN,
        **({"content": citation.text} if citation.text else {}),
    }
    return {"type": "url_citation", "url_citation": cited}


def write_annotations(parts: Sequence[Part], *, answer: bool) -> list[dict[str, Any]]:
    """Write all sources of an answer; in a request only those that stood in such a message before."""
    annotations: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            cited = [each for each in part.citations if each.raw != LISTED]
            annotations += [write_citation(each) for each in cited if answer or each.origin == "chat"]
        elif isinstance(part, Opaque) and part.format == "chat" and part.kind == "annotation":
            annotations.append(part.value)
    return annotations


def read_listed(told: HostsOfAnswer) -> tuple[Citation, ...]:
    """Read the sources that Perplexity and xAI list beside the choices: with titles, or bare addresses."""
    if isinstance(told.search_results, list) and told.search_results:
        found = [converted(each, SearchResult) for each in told.search_results]
        results = [each for each in found if each is not None and each.url]
        return tuple(
            Citation(each.url, each.title or "", each.snippet or "", origin="chat", raw=LISTED)
            for each in results
        )
    urls = told.citations if isinstance(told.citations, list) else []
    return tuple(Citation(url, origin="chat", raw=LISTED) for url in urls if isinstance(url, str) and url)


def cite_listed(parts: tuple[Part, ...], sources: tuple[Citation, ...]) -> tuple[Part, ...]:
    """Give listed sources to the first text, where no text names its own."""
    texts = [part for part in parts if isinstance(part, Text)]
    if not sources or not texts or any(part.citations for part in texts):
        return parts
    first = parts.index(texts[0])
    return (*parts[:first], msgspec.structs.replace(texts[0], citations=sources), *parts[first + 1 :])


class OpenCall(msgspec.Struct, frozen=True, gc=False):
    """A call that has begun: its id, the number of its part, the pieces of its arguments."""

    id: str
    part: int
    said: list[str]

    def is_whole(self) -> bool:
        """Tell whether the arguments are whole JSON."""
        try:
            msgspec.json.decode("".join(self.said))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        return True
