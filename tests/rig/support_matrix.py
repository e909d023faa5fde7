"""What every client's format can ask of every upstream's: tried, and written down as Markdown.

`PYTHONPATH=tests python -m rig.support_matrix` writes docs/support-matrix.md; a test holds it to the truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from gateway.errors import Unsupported
from gateway.exchange import Format
from gateway.formats.neutral.conversation import (
    Conversation,
    CustomTool,
    FunctionTool,
    JsonOutput,
    Thinking,
    ToolChoice,
    Turn,
)
from gateway.formats.neutral.fields import FIELDS
from gateway.formats.neutral.lifting import TEXT_RESULTS
from gateway.formats.neutral.losses import features, fit
from gateway.formats.neutral.parts import Media, MediaKind, Reasoning, Text
from rig.conversations import CITY, PARIS, PDF, PERSON, PNG, WAV, WEATHER, ask, result, user
from rig.translation.formats import CLIENTS, FORMATS, codec, members
from rig.translation.gist import holds
from rig.translation.structure import as_json

Cell = Literal["yes", "dropped", "400"]
PLACE = Path(__file__).resolve().parents[2] / "docs" / "support-matrix.md"
BEGIN, END = "<!-- support-matrix: written by tests/rig/support_matrix.py -->", "<!-- /support-matrix -->"

_CALLED = (user("How is Paris?"), Turn("assistant", (PARIS,)))


def _media(kind: MediaKind, media_type: str, **more: Any) -> Conversation:
    return ask(user("What is this?", Media(kind, media_type, **more)))


PROBES: dict[str, Conversation] = {
    "max_tokens": ask("Hi", max_tokens=77),
    "temperature": ask("Hi", temperature=0.25),
    "top_p": ask("Hi", top_p=0.75),
    "top_k": ask("Hi", top_k=23),
    "min_p": ask("Hi", min_p=0.125),
    "seed": ask("Hi", seed=4711),
    "presence_penalty": ask("Hi", presence_penalty=0.5),
    "frequency_penalty": ask("Hi", frequency_penalty=0.5),
    "repetition_penalty": ask("Hi", repetition_penalty=1.25),
    "stop": ask("Hi", stop=("END",)),
    "choices": ask("Hi", choices=2),
    "logprobs": ask("Hi", logprobs=True),
    "top_logprobs": ask("Hi", logprobs=True, top_logprobs=2),
    "logit_bias": ask("Hi", logit_bias={"50256": -100}),
    "modalities": ask("Hi", modalities=("text", "audio"), audio={"voice": "alloy", "format": "wav"}),
    "audio": ask("Hi", modalities=("text", "audio"), audio={"voice": "alloy", "format": "wav"}),
    "json_object": ask("Give JSON", output=JsonOutput()),
    "json_schema": ask("Who?", output=JsonOutput(PERSON, "person")),
    "thinking": ask("Think", thinking=Thinking("high"), max_tokens=40_000),
    "verbosity": ask("Hi", verbosity="low"),
    "user": ask("Hi", user="user-0815"),
    "metadata": ask("Hi", metadata={"team": "red"}),
    "service_tier": ask("Hi", service_tier="flex"),
    "cache_key": ask("Hi", cache_key="key-1"),
    "store": ask("Hi", store=True),
    "parallel_tool_calls": ask("Hi", tools=(WEATHER,), parallel_tool_calls=False),
    "tool_choice": ask("Hi", tools=(WEATHER,), tool_choice=ToolChoice("required", ("get_weather",))),
    "strict_tool": ask(
        "Hi", tools=(FunctionTool("f", "F", CITY | {"additionalProperties": False}, strict=True),)
    ),
    "custom_tool": ask("Hi", tools=(CustomTool("shell", "Run it"),)),
    "image": _media("image", "image/png", data=PNG),
    "image_url": _media("image", "image/png", url="https://example.com/a.png"),
    "image_detail": _media("image", "image/png", data=PNG, detail="low"),
    "audio_in": _media("audio", "audio/wav", data=WAV),
    "audio_url": _media("audio", "audio/wav", url="https://example.com/a.wav"),
    "file": _media("file", "application/pdf", data=PDF, name="a.pdf"),
    "file_url": _media("file", "application/pdf", url="https://example.com/a.pdf"),
    "video": _media("video", "video/mp4", data="AAAA"),
    "video_url": _media("video", "video/mp4", url="https://example.com/a.mp4"),
    "media_in_tool_result": ask(
        *_CALLED, result(Text("see"), Media("image", "image/png", data=PNG)), tools=(WEATHER,)
    ),
    "tool_error": ask(*_CALLED, result(Text("no such city"), failed=True), tools=(WEATHER,)),
    "citations": _media("file", "application/pdf", data=PDF, name="a.pdf", cite=True),
    "cache_marks": ask(Turn("system", (Text("A long rule.", cache="default"),)), "Hi"),
    "message_name": ask(Turn("user", (Text("Hi"),), name="ada")),
    "prefill": ask("Count.", Turn("assistant", (Text("1, 2,"),))),
    "late_system": ask(
        "Hi", Turn("assistant", (Text("Hello"),)), Turn("system", (Text("Be brief."),)), "Go on."
    ),
    "reasoning_kept": ask(*_CALLED, result(Text("18 degrees")), tools=(WEATHER,)),
}
"""The smallest conversation that uses each row of the table of losses."""


BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("audio", "gemini"): {
        "generationConfig": {
            "responseModalities": ["TEXT", "AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        }
    },
}
"""Where a client says it in words that no other provider has: members to add to its body."""


def cell(row: str, client: Format, target: Format) -> Cell | None:
    """What becomes of a row on its way; None where the client's format cannot ask for it.

    Fails where something is lost without being named.
    """
    if not FIELDS[row].name_in(client) or (row == "late_system" and row not in _rows(PROBES[row], client)):
        return None
    if client == target:
        return "yes"
    if row == "reasoning_kept":
        return _kept_reasoning(client, target)
    body = as_json(codec(client).encode_request(PROBES[row])) | {"model": "route-1"}
    body |= BODIES.get((row, client), {})
    asked = codec(client).decode_request(members(body))
    assert asked.extra or row in _rows(asked, client, target), f"{client} cannot ask for {row}: {asked}"
    try:
        kept, dropped = fit(asked, client, target)
    except Unsupported:
        return "400"
    if target not in FIELDS[row].says:
        assert dropped
        return "dropped"
    arrived = codec(target).decode_request(members(as_json(codec(target).encode_request(kept))))
    found = _rows(arrived, target)
    of_any_kind = row.endswith("_url") and any(one.endswith("_url") for one in found)
    lifted = row == "media_in_tool_result" and target in TEXT_RESULTS and "image" in found
    assert row in found or of_any_kind or lifted, f"{row} of {client} does not arrive in {target}: {arrived}"
    return "yes"


def _kept_reasoning(client: Format, target: Format) -> Cell:
    """What becomes of sealed thoughts that the client's own provider made: few can read each other's."""
    call = Turn("assistant", (Reasoning("Look it up.", signature="c2ln", origin=client), PARIS))
    asked = ask(user("How is Paris?"), call, result(Text("18 degrees")), tools=(WEATHER,))
    kept, dropped = fit(asked, client, target)
    arrived = holds(as_json(codec(target).encode_request(kept)), "c2ln")
    assert arrived != bool(dropped)
    return "yes" if arrived else "dropped"


def _rows(conversation: Conversation, source: Format, target: Format | None = None) -> set[str]:
    return {row for row, _ in features(conversation, source, target or source)}


def table(client: Format) -> dict[str, list[Cell]]:
    """The rows that a client's format can ask for, with a cell for each upstream's format."""
    found: dict[str, list[Cell]] = {}
    for row in FIELDS:
        cells = [cell(row, client, cast("Format", target)) for target in FORMATS]
        known = [one for one in cells if one is not None]
        if known:
            found[row] = known
    return found


def document() -> str:
    """The whole of docs/support-matrix.md."""
    lines = [
        "# What works from which API to which provider",
        "",
        "Written by `tests/rig/support_matrix.py` from tries with every codec; a test keeps it true.",
        "Text, system instructions, several turns, function tools, their calls and results, streaming,",
        "usage, reasons for the end and errors work from every API to every provider.",
        "",
        "**yes**: it arrives. **dropped**: it is left out, and named in `x-forebay-dropped`.",
        "**400**: the call is refused, naming the field: the answer would not be what was asked for.",
        "A call whose API the provider speaks itself is passed on as it is.",
    ]
    for client in CLIENTS:
        lines += [
            "",
            f"## Clients of {_TITLES[client]}",
            "",
            _row("", *FORMATS),
            _row(*["---"] * (len(FORMATS) + 1)),
        ]
        for row, cells in table(cast("Format", client)).items():
            lines.append(_row(f"`{FIELDS[row].name_in(cast('Format', client))}` ({row})", *cells))
    return "\n".join([*lines, ""])


def summary() -> str:
    """The block for the README: what can be asked of each provider's API by clients of the others."""
    lines = [BEGIN, _row("asked for", *_UPSTREAMS.values()), _row(*["---"] * (len(_UPSTREAMS) + 1))]
    lines.append(_row("text, streams, tools, usage", *["yes"] * len(_UPSTREAMS)))
    for label, row in _NOTABLE.items():
        lines.append(_row(label, *(_worst(row, cast("Format", target)) for target in _UPSTREAMS)))
    return "\n".join([*lines, END])


def _worst(row: str, target: Format) -> Cell:
    """What becomes of a row for the least lucky of the clients that speak another format."""
    cells = {cell(row, cast("Format", client), target) for client in CLIENTS if client != target}
    return next(kind for kind in _FROM_WORST if kind in cells)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


_FROM_WORST: tuple[Cell, ...] = ("400", "dropped", "yes")

_UPSTREAMS = {
    "chat": "OpenAI Chat",
    "responses": "OpenAI Responses",
    "messages": "Anthropic",
    "gemini": "Gemini",
    "converse": "Bedrock",
    "cohere": "Cohere",
    "ollama": "Ollama",
}

_NOTABLE = {
    "forced tool": "tool_choice",
    "one call at a time": "parallel_tool_calls",
    "JSON schema": "json_schema",
    "JSON mode": "json_object",
    "reasoning effort": "thinking",
    "stop sequences": "stop",
    "images": "image",
    "images by URL": "image_url",
    "PDF": "file",
    "sound": "audio_in",
    "images in tool results": "media_in_tool_result",
    "log probabilities": "logprobs",
    "several choices": "choices",
    "seed": "seed",
    "cache marks": "cache_marks",
}
"""What people ask for most, with its row."""

_TITLES = {
    "chat": "OpenAI Chat Completions",
    "responses": "OpenAI Responses",
    "messages": "Anthropic Messages",
    "gemini": "Google generateContent",
}

if __name__ == "__main__":
    PLACE.write_text(document())
    print(summary())
