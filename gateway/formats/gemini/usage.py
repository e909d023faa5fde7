"""Google's usageMetadata, to the tokens that are metered and back.

`promptTokenCount` includes what came from a cache, but neither the prompts that tools of Google made nor
anything of the output; `candidatesTokenCount` leaves thoughts out.

Google searches are no part of it: each query of an answer is billed, by models before Gemini 3 the answer
once, however many queries it made. What is free each day is not known here, and counted all the same.

Source: Gemini API reference, "UsageMetadata"; "Grounding with Google Search: pricing" (checked 2026-11);
the totals of all recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.exchange import Usage
from gateway.formats.gemini.types import Answer, ModalityCount, UsageMetadata
from gateway.formats.neutral.completion import tier_of
from gateway.formats.neutral.reading import believed, count_in

MODALITIES = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}
"""The numbers that Vertex may write instead of the words."""

_BY_ANSWER = ("gemini-1", "gemini-2")


def billed_searches(queries: Iterable[object], model: str) -> int:
    """Say how many searches are billed, of the `webSearchQueries` of each candidate of an answer."""
    made = sum(bool(query) for of_one in queries if isinstance(of_one, list) for query in of_one)
    return min(made, 1) if any(name in model for name in _BY_ANSWER) else made


def searches_of(answer: Answer) -> int:
    """Say how many searches an answer is billed for."""
    grounds = [each.grounding_metadata for each in answer.candidates or ()]
    queries = [ground.web_search_queries for ground in grounds if ground is not None]
    return billed_searches(queries, answer.model_version or "") if queries else 0


def decode_usage(told: UsageMetadata, searches: int = 0) -> Usage | None:
    """Read the tokens; None where there are none (Vertex's first chunks) or they are nonsense."""
    prompt, candidates = told.prompt_token_count, told.candidates_token_count
    if prompt is None and candidates is None and told.total_token_count is None:
        return None
    thoughts, tool_use = told.thoughts_token_count or 0, told.tool_use_prompt_token_count or 0
    cached = told.cached_content_token_count or 0
    usage = Usage(
        input_tokens=(prompt or 0) + tool_use,
        output_tokens=(candidates or 0) + thoughts,
        cached_tokens=cached,
        reasoning_tokens=thoughts,
        tool_use_tokens=tool_use,
        searches=searches,
        tier=tier_of(told.service_tier or told.traffic_type),
    )
    inputs = [*(told.prompt_tokens_details or ()), *(told.tool_use_prompt_tokens_details or ())]
    outputs = told.candidates_tokens_details or ()
    if all(each.modality == "TEXT" for each in inputs) and all(each.modality == "TEXT" for each in outputs):
        return believed(usage, prompt, candidates)  # nearly always: a stream tells its usage with each word
    whole = msgspec.structs.replace(
        usage,
        audio_input_tokens=_count_of("AUDIO", inputs),
        audio_output_tokens=_count_of("AUDIO", outputs),
        image_input_tokens=_count_of("IMAGE", inputs),
        image_output_tokens=_count_of("IMAGE", outputs),
    )
    return believed(whole, prompt, candidates)


def _count_of(modality: str, details: Iterable[ModalityCount]) -> int:
    return sum(
        count_in(each.token_count)
        for each in details
        if (each.modality if isinstance(each.modality, str) else MODALITIES.get(each.modality or 0))
        == modality
    )


def encode_usage(usage: Usage) -> UsageMetadata:
    """Write the tokens; a kind of which there are none is left out.

    Some hosts report more tokens of reasoning than of output: here the output is the most there can be.
    """
    tool_use = min(usage.tool_use_tokens, usage.input_tokens)
    thoughts = min(usage.reasoning_tokens, usage.output_tokens)
    prompt, candidates = usage.input_tokens - tool_use, usage.output_tokens - thoughts
    return UsageMetadata(
        prompt_token_count=prompt,
        candidates_token_count=candidates,
        total_token_count=usage.input_tokens + usage.output_tokens,
        thoughts_token_count=thoughts or None,
        cached_content_token_count=usage.cached_tokens or None,
        tool_use_prompt_token_count=tool_use or None,
        prompt_tokens_details=_details(prompt, usage.audio_input_tokens, usage.image_input_tokens),
        candidates_tokens_details=_details(candidates, usage.audio_output_tokens, usage.image_output_tokens),
    )


def _details(total: int, audio: int, image: int) -> list[ModalityCount] | None:
    if not audio and not image:
        return None
    kinds = {"TEXT": max(0, total - audio - image), "AUDIO": audio, "IMAGE": image}
    return [ModalityCount(modality=kind, token_count=count) for kind, count in kinds.items() if count]
