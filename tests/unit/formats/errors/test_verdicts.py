"""What the errors of every provider mean: as recorded, as documented, and as nobody would write them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import recordings
from rig.recordings import Recording

from gateway.errors import (
    ContextTooLong,
    Failed,
    Filtered,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    UnknownModel,
    UpstreamError,
)
from gateway.formats.errors.verdicts import Sign, fault, judge

SHAPES: dict[str, tuple[Any, str]] = {
    "openai": ({"error": {"message": "no", "type": "t", "param": None, "code": None}}, "no"),
    "azure": ({"error": {"code": "429", "message": "slow down", "innererror": {"code": "x"}}}, "slow down"),
    "anthropic": ({"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}, "model: x"),
    "gemini": ([{"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT"}}], "bad"),
    "xai": ({"code": "Client error", "error": "Incorrect API key"}, "Incorrect API key"),
    "ollama": ({"error": "model 'x' not found"}, "model 'x' not found"),
    "voyage": ({"detail": "Provided API key is invalid."}, "Provided API key is invalid."),
    "cohere": ({"id": "9f", "message": "invalid request"}, "invalid request"),
    "bedrock": ({"message": "The security token is invalid."}, "The security token is invalid."),
    "amazon": ({"__type": "com.amazon#AccessDeniedException", "Message": "no"}, "no"),
    "mistral": ({"object": "error", "message": {"detail": [{"msg": "field"}]}, "detail": "422"}, "422"),
    "sglang": (
        {"object": "error", "message": "too long", "type": "BadRequest", "param": None, "code": 400},
        "too long",
    ),
    "sglang 401": ({"error": "Unauthorized"}, "Unauthorized"),
    "sglang 404": ({"detail": "Not Found"}, "Not Found"),
    "fastapi": (
        {"detail": [{"loc": ["body"], "msg": "field required"}]},
        '[{"loc":["body"],"msg":"field required"}]',
    ),
    "list": ({"error": {"message": ["a", "b"]}, "message": "c"}, '["a","b"]'),
    "empty first": ({"error": {}, "message": "", "detail": "here"}, "here"),
    "several": ([{"error": {}}, 5, {"error": {"message": "second"}}], "second"),
}


def written(body: Any) -> bytes:
    return json.dumps(body).encode()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_message_is_found_in_every_shape(shape: str) -> None:
    body, message = SHAPES[shape]
    assert judge(400, [], written(body)).message == message


UNREADABLE = [
    b"",
    b"<html>502 Bad Gateway</html>",
    b"{",
    b'"text"',
    b"12",
    b"[]",
    b"[1]",
    b'{"error": "\xff"}',
    b'{"error": {"message": "\xff"}}',
    b'{"error": {"message": "\\ud800"}}',
    b'{"error": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize("body", UNREADABLE)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, Refused),
        (402, QuotaSpent),
        (403, Refused),
        (404, Rejected),
        (408, TimedOut),
        (413, Rejected),
        (429, RateLimited),
        (500, Failed),
        (502, Failed),
        (503, Overloaded),
        (504, TimedOut),
        (529, Overloaded),
    ],
)
def test_where_the_body_says_nothing_the_status_decides(
    body: bytes, status: int, kind: type[UpstreamError]
) -> None:
    error = judge(status, [(b"Retry-After", b"3")], body)
    assert type(error) is kind
    assert error.message == f"the upstream answered {status} without a readable error"
    assert (error.status, error.raw, error.retry_after_s) == (status, body, 3.0)
    assert error.headers == [(b"Retry-After", b"3")]


@pytest.mark.parametrize("body", [{}, {"error": None}, {"error": ""}, {"error": {"message": None}}, [{}]])
def test_a_message_is_never_empty(body: Any) -> None:
    assert judge(500, [], written(body)).message == "the upstream answered 500"


def test_a_message_is_never_a_book() -> None:
    assert len(judge(400, [], written({"error": "x" * 100_000})).message) == 2000


RECORDED: dict[str, type[UpstreamError]] = {
    "anthropic/anthropic.count_tokens-json-test_anthropic_count_tokens_error-bf628b": UnknownModel,
    "anthropic/anthropic.messages-json-anthropic_completion_invalid_api_key-6eb9ee": Refused,
    "anthropic/anthropic.messages-json-chat_real_error_scenarios_anthropic": ContextTooLong,
    "anthropic/anthropic.messages-stream-claude_agent_sdk_v1_messages_beta_true_post_3f7425c4": Refused,
    "anthropic/anthropic.messages-stream-test_model_not_found_stream_anthropic": UnknownModel,
    "azure/openai.chat-json-azure_openai_openai_deployments_gpt_4_1_chat_completions_api": Refused,
    "azure/openai.chat-json-chat_real_error_scenarios_azure_grok": RateLimited,
    "azure/openai.chat-json-test_openai_is_default_provider_without_explicit_llm_set": UnknownModel,
    "azure/openai.embeddings-json-test_azure_openai_embeddings-3745e3": Refused,
    "bedrock/bedrock.converse-json-bedrock_converse_error-afb83a": Refused,
    "bedrock/bedrock.converse-json-test_multimodal_tool_return_matrix_direct_uploaded_file": Rejected,
    "bedrock/bedrock.converse-json-test_multimodal_tool_return_matrix_tool_return_content": Rejected,
    "bedrock/bedrock.converse-stream-test_bedrock_streaming_error-127387": UnknownModel,
    "bedrock/bedrock.count_tokens-json-test_bedrock_count_tokens_error-203ca2": UnknownModel,
    "bedrock/bedrock.invoke-json-testamazonoutput-4d9a8a": Refused,
    "bedrock/bedrock.invoke-stream-test_anthropic_images-124ba0": Rejected,
    "cohere/cohere.chat.v2-json-chat_error_handling_with_cohere": Refused,
    "deepseek/openai.chat-json-chat_error_handling_with_deepseek": Refused,
    "deepseek/openai.chat-json-chat_real_error_scenarios_deepseek": ContextTooLong,
    "deepseek/openai.responses-json-test_deepseek_responses_rejects": Rejected,
    "gemini/gemini.embed-json-testgoogle_test_embed_error-c85a04": UnknownModel,
    "gemini/gemini.generate-json-chat_real_error_scenarios_gemini": RateLimited,
    "gemini/gemini.generate-json-testcrewmultimodalgemini_test_image_file_gemini": UnknownModel,
    "gemini/gemini.generate-stream-test_authentication_error_stream_google": Refused,
    "gemini/gemini.generate-stream-test_model_not_found_stream_google": UnknownModel,
    "groq/openai.chat-json-test_tool_regular_error-1dc86c": UnknownModel,
    "ollama/ollama.chat-json-test_chat_error_records_model_name-252f85": UnknownModel,
    "ollama/openai.chat-json-chat_real_error_scenarios_ollama_cloud": ContextTooLong,
    "openai/openai.chat-json-test_call_with_params_openai_gpt_5_mini": Rejected,
    "openai/openai.chat-json-test_llm_call_with_error-a9ff32": UnknownModel,
    "openai/openai.chat-stream-test_agents_and_tools-effdf0": UnknownModel,
    "openai/openai.chat-stream-test_authentication_error_stream_openai": Refused,
    "openai/openai.completions-json-openai_completions_post_df4d2c81-648ba2": Refused,
    "openai/openai.embeddings-json-embeddings_bad_request-8eb0a2": Rejected,
    "openai/openai.embeddings-json-embeddings_unknown_model-abd66e": UnknownModel,
    "openai/openai.embeddings-json-openai_embeddings_post_cd7b3e2b-4f55eb": Refused,
    "openai/openai.responses-json-test_multimodal_tool_return_matrix_direct_url_audio": Rejected,
    "openai/openai.responses-json-test_parallel_chat_error_stop_mode-5b0633": Refused,
    "openai/openai.responses-stream-openai_responses_post_c4a90328-e0718e": Rejected,
    "openai/openai.responses-stream-test_authentication_error_stream_openai": Refused,
    "openrouter/openai.chat-json-test_agent_knowledege_with_crewai_knowledge-e84fb5": Refused,
    "openrouter/openai.chat-json-testopenrouterstreaming-e5de46": RateLimited,
    "perplexity/openai.chat-json-chat_error_handling_with_perplexity": Refused,
    "together/openai.chat-json-openai_compatibility_makes_successful_api_call-791c56": Refused,
    "vertex/gemini.generate-json-test_generate_content_missing_model-667016": UnknownModel,
    "vertex/gemini.generate-json-test_multimodal_tool_return_matrix_tool_return": Rejected,
    "voyage/voyage.embeddings-json-testvoyageai_test_embed_error-78fdf6": UnknownModel,
    "xai/openai.responses-json-chat_error_handling_with_xai": Refused,
}
"""By the beginning of the recording's name."""


def recorded_errors() -> list[Recording]:
    apis = {
        path.name.rsplit("-stream-")[0].rsplit("-json-")[0] for path in recordings.FOLDER.glob("*/*.json")
    }
    return [recording for recording in recordings.load(*sorted(apis)) if recording.status >= 400]


@pytest.mark.wire
@pytest.mark.parametrize("recording", recordings.parameters(recorded_errors()))
def test_every_recorded_error_is_understood(recording: Recording) -> None:
    (kind,) = (kind for name, kind in RECORDED.items() if recording.name.startswith(name))
    headers = [(name.encode(), value.encode()) for name, value in recording.headers.items()]
    error = judge(recording.status, headers, recording.body)
    assert type(error) is kind
    assert error.status == recording.status
    assert "the upstream answered" not in error.message
    said = json.loads(recording.body)
    assert error.message in (said.get("error"), said.get("detail"), said.get("message")) or (
        error.message == said["error"]["message"]
    )


@pytest.mark.wire
def test_every_expectation_has_its_recording() -> None:
    names = [recording.name for recording in recorded_errors()]
    assert [begin for begin in RECORDED if not any(name.startswith(begin) for name in names)] == []


def openai(message: str, type_: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def anthropic(type_: str, message: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type_, "message": message, **more}, "request_id": "req_1"}


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def flat(message: str, type_: str, code: int) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": type_, "param": None, "code": code}


def daily(quota: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]}


FILTERED_BY_AZURE = {
    "error": {
        "message": "The response was filtered",
        "code": None,
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
    }
}
BEHIND_OPENROUTER = {
    "error": {
        "message": "Provider returned error",
        "code": 400,
        "metadata": {"raw": '{"message":"Input is too long for requested model."}', "provider_name": "X"},
    }
}
VLLM_LENGTH = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
GROQ_SIZE = "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000"
XAI_CREDITS = "Your team has used all available credits or reached its monthly spending limit."
QUOTA = "You exceeded your current quota, please check your plan and billing details."

DOCUMENTED: list[tuple[int, Any, type[UpstreamError]]] = [
    # OpenAI
    (429, openai("Rate limit reached for gpt-4o", "requests", "rate_limit_exceeded"), RateLimited),
    (429, openai(QUOTA, "insufficient_quota", "insufficient_quota"), QuotaSpent),
    (429, openai("Request too large for gpt-4o", "tokens", "rate_limit_exceeded"), ContextTooLong),
    (400, openai("Your input exceeds the context window of this model."), ContextTooLong),
    (400, openai("...", "invalid_request_error", "context_length_exceeded"), ContextTooLong),
    (400, openai("Your request was rejected by our safety system.", code="moderation_blocked"), Filtered),
    (400, openai("Invalid prompt: flagged", "invalid_request_error", "invalid_prompt"), Filtered),
    (500, openai("The server had an error", "server_error"), Failed),
    (503, openai("The engine is currently overloaded"), Overloaded),
    (404, openai("Item with id 'rs_1' not found.", "invalid_request_error"), Rejected),
    # Azure
    (404, {"error": {"code": "DeploymentNotFound", "message": "The API ... not exist."}}, UnknownModel),
    (400, FILTERED_BY_AZURE, Filtered),
    (400, openai("The response was filtered", code="content_filter"), Filtered),
    # Anthropic
    (429, anthropic("rate_limit_error", "This request would exceed your rate limit"), RateLimited),
    (
        429,
        anthropic("rate_limit_error", "x", details={"error_code": "enforced_spend_limit_reached"}),
        QuotaSpent,
    ),
    (400, anthropic("invalid_request_error", "Your credit balance is too low to access"), QuotaSpent),
    (402, anthropic("billing_error", "Payment required"), QuotaSpent),
    (
        400,
        anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit"),
        ContextTooLong,
    ),
    (400, anthropic("invalid_request_error", "Output blocked by content filtering policy"), Filtered),
    (404, anthropic("not_found_error", "Not Found"), Rejected),
    (413, anthropic("request_too_large", "Request exceeds the maximum size"), Rejected),
    (500, anthropic("api_error", "Internal server error"), Failed),
    (504, anthropic("timeout_error", "The request timed out"), TimedOut),
    (529, anthropic("overloaded_error", "Overloaded"), Overloaded),
    # Google
    (429, google(429, "RESOURCE_EXHAUSTED", QUOTA), RateLimited),
    (429, google(429, "RESOURCE_EXHAUSTED", QUOTA, daily("GenerateRequestsPerDayPerProject")), QuotaSpent),
    (429, google(429, "RESOURCE_EXHAUSTED", QUOTA, daily("GenerateRequestsPerMinute")), RateLimited),
    (400, google(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum"), ContextTooLong),
    (400, google(400, "INVALID_ARGUMENT", "API key expired.", {"reason": "API_KEY_INVALID"}), Refused),
    (400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), Refused),
    (403, google(403, "PERMISSION_DENIED", "x", {"reason": "BILLING_DISABLED"}), QuotaSpent),
    (403, google(403, "PERMISSION_DENIED", "x", {"reason": "SERVICE_DISABLED"}), Refused),
    (503, google(503, "UNAVAILABLE", "The model is overloaded."), Overloaded),
    (504, google(504, "DEADLINE_EXCEEDED", "Deadline expired"), TimedOut),
    (
        400,
        [google(400, "INVALID_ARGUMENT", "Please pass a valid API key.", {"reason": "API_KEY_INVALID"})],
        Refused,
    ),
    # Bedrock
    (400, {"message": "Input is too long for requested model."}, ContextTooLong),
    (429, {"message": "Too many tokens per day, please wait before trying again."}, QuotaSpent),
    (429, {"message": "Too many requests, please wait before trying again."}, RateLimited),
    (
        400,
        {"message": "Invocation of model ID x with on-demand throughput isn\u2019t supported."},
        UnknownModel,
    ),
    (404, {"message": "Could not resolve the foundation model from the model identifier."}, UnknownModel),
    (400, {"__type": "com.amazon.coral#ThrottlingException", "message": "Rate exceeded"}, RateLimited),
    # vLLM, SGLang, llama.cpp, Ollama
    (400, openai(VLLM_LENGTH, "BadRequestError"), ContextTooLong),
    (400, flat(VLLM_LENGTH, "BadRequestError", 400), ContextTooLong),
    (
        400,
        flat("The decoder prompt (length 9) is longer than the maximum model length of 4.", "x", 400),
        ContextTooLong,
    ),
    (
        400,
        flat("The input (9 tokens) is longer than the model's context length (4 tokens).", "x", 400),
        ContextTooLong,
    ),
    (404, flat("The model `x` does not exist.", "NotFoundError", 404), UnknownModel),
    (503, flat("The request queue is full.", "SERVICE_UNAVAILABLE", 503), Overloaded),
    (401, {"error": "Unauthorized"}, Refused),
    (404, {"detail": "Not Found"}, Rejected),
    (400, {"error": {"code": 400, "message": "...", "type": "exceed_context_size_error"}}, ContextTooLong),
    (500, {"error": {"code": 500, "message": "input (600 tokens) is too large to process."}}, ContextTooLong),
    (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, Overloaded),
    (400, {"error": "the input length exceeds the context length"}, ContextTooLong),
    # Others
    (413, openai(GROQ_SIZE, "tokens", "rate_limit_exceeded"), ContextTooLong),
    (400, openai("Failed to call a function.", "invalid_request_error", "tool_use_failed"), Failed),
    (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), QuotaSpent),
    (400, openai("Content Exists Risk", "invalid_request_error", "invalid_request_error"), Filtered),
    (400, openai("Model Not Exist", "invalid_request_error", "invalid_request_error"), UnknownModel),
    (403, {"code": "x", "error": "Content violates usage guidelines."}, Filtered),
    (429, {"code": "x", "error": XAI_CREDITS}, QuotaSpent),
    (400, BEHIND_OPENROUTER, ContextTooLong),
    (402, {"error": {"message": "Insufficient credits", "code": 402}}, QuotaSpent),
    (403, {"error": {"message": "Your input was flagged for violence", "code": 403}}, Filtered),
    (400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}, UnknownModel),
    (
        400,
        {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
        UnknownModel,
    ),
    (429, {"message": "no", "type": "service_tier_capacity_exceeded", "code": "3505"}, Overloaded),
    (
        400,
        {"message": "Prompt contains 9 tokens, too large for model with 4 maximum context length"},
        ContextTooLong,
    ),
    (400, {"message": "too many tokens: size limit exceeded by 11326 tokens."}, ContextTooLong),
    (
        404,
        {"id": "1", "message": "model 'x' not found, make sure the correct model ID was used"},
        UnknownModel,
    ),
    (429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}, QuotaSpent),
    (422, {"error": "`inputs` must have less than 4097 tokens. Given: 5000"}, ContextTooLong),
]


@pytest.mark.parametrize(("status", "body", "kind"), DOCUMENTED)
def test_every_documented_error_is_understood(status: int, body: Any, kind: type[UpstreamError]) -> None:
    error = judge(status, [], written(body))
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, openai("Unknown parameter: 'context_length'.", "invalid_request_error", "unknown_parameter")),
        (
            400,
            openai("Invalid 'messages': array too long.", "invalid_request_error", "array_above_max_length"),
        ),
        (400, openai("messages[0].name: 'model' is required", "invalid_request_error")),
        (400, openai("'filter' is not of type 'object'", "invalid_request_error")),
        (400, {"message": "Unknown model_kwargs"}),
        (422, {"detail": [{"loc": ["body", "model_kwargs"], "msg": "extra fields not permitted"}]}),
        (400, {"message": "The model returned the following errors: temperature: range: 0..1"}),
    ],
)
def test_a_plain_bad_request_is_not_taken_for_more(status: int, body: Any) -> None:
    assert type(judge(status, [], written(body))) is Rejected


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", RateLimited),
        (b"com.amazon.bedrock#ServiceUnavailableException", Overloaded),
        (b"ModelTimeoutException", TimedOut),
        (b"ServiceQuotaExceededException:", QuotaSpent),
        (b"ValidationException", Rejected),
    ],
)
def test_amazon_names_its_errors_in_a_header(line: bytes, kind: type[UpstreamError]) -> None:
    assert type(judge(400, [(b"x-amzn-ErrorType", line)], b'{"message":"no"}')) is kind


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}


@pytest.mark.parametrize(
    ("headers", "delay", "wait_s"),
    [
        ([], "17s", 17.0),
        ([], "0.5s", 0.5),
        ([(b"retry-after", b"3")], "17s", 3.0),
        ([(b"retry-after-ms", b"250")], "17s", 0.25),
        ([], "soon", None),
        ([], "nans", None),
        ([], "-1s", None),
        ([], 17, None),
    ],
)
def test_the_wait_is_read_from_headers_or_from_googles_body(
    headers: list[tuple[bytes, bytes]], delay: Any, wait_s: float | None
) -> None:
    body = google(429, "RESOURCE_EXHAUSTED", "slow", {**RETRY_INFO, "retryDelay": delay})
    assert judge(429, headers, written(body)).retry_after_s == wait_s


def test_a_backends_own_signs_are_read_first() -> None:
    own = Sign(Overloaded, frozenset({400}), frozenset({"busy_here"}), re.compile("come back"))
    body = written(openai("model overloaded, come back", code="BUSY_HERE"))
    assert type(judge(400, [], body, [own])) is Overloaded
    assert type(judge(400, [], body)) is Rejected
    for changed in (openai("come back"), openai("gone", code="BUSY_HERE")):
        assert type(judge(400, [], written(changed), [own])) is Rejected
    assert type(judge(422, [], body, [own])) is Rejected


@pytest.mark.parametrize(
    ("code", "message", "status", "kind", "told"),
    [
        ("overloaded_error", "Overloaded", 0, Overloaded, 503),
        ("rate_limit_error", "slow", 0, RateLimited, 429),
        ("insufficient_quota", QUOTA, 0, QuotaSpent, 429),
        ("server_error", "The server had an error", 0, Failed, 502),
        ("api_error", "Internal server error", 0, Failed, 502),
        ("authentication_error", "no", 0, Refused, 400),
        ("invalid_request_error", "prompt is too long: 9 tokens > 4 maximum", 0, ContextTooLong, 400),
        ("invalid_request_error", "no", 0, Rejected, 400),
        ("invalid_prompt", "no", 0, Filtered, 400),
        ("INVALID_ARGUMENT", "no", 0, Rejected, 400),
        ("UNAVAILABLE", "no", 0, Overloaded, 503),
        ("throttlingException", "no", 0, RateLimited, 429),
        ("throttlingException", "Too many tokens, please wait before trying again.", 0, RateLimited, 429),
        ("modelStreamErrorException", "no", 424, Failed, 424),
        ("validationException", "no", 0, Rejected, 400),
        ("tool_use_failed", "no", 400, Failed, 400),
        ("INVALID_TOOL_GENERATION", "no", 0, Failed, 502),
        ("503", "The request queue is full.", 0, Overloaded, 503),
        ("400", "Token limit reached", 0, Rejected, 400),
        ("NOT_FOUND", "no", 404, UnknownModel, 404),
        ("not_found_error", "model: x", 0, UnknownModel, 404),
        ("", "", 0, Failed, 502),
        ("3505", "no", 1300, Failed, 502),
        ("\u00b2\u00b2\u00b2", "no", 0, Failed, 502),
    ],
)
def test_an_error_inside_a_stream_is_understood(
    code: str, message: str, status: int, kind: type[UpstreamError], told: int
) -> None:
    error = fault(code, message, status)
    assert type(error) is kind
    assert error.status == told
    assert error.message == (message or "the upstream reports an error without saying which")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ("error", "message", "detail", "details", "code", "type", "metadata", "raw", "retryDelay")
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(JSON.map(written), st.binary(max_size=80)), st.integers(400, 599))
def test_any_body_gives_an_error_with_a_message_that_can_be_sent(body: bytes, status: int) -> None:
    error = judge(status, [], body)
    assert error.status == status
    assert 0 < len(error.message.encode()) <= 8000


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text(), st.integers())
def test_any_fault_gives_an_error_with_a_status_for_clients(code: str, message: str, status: int) -> None:
    error = fault(code, message, status)
    assert 400 <= error.status < 600
    assert error.message


def test_a_huge_body_takes_no_longer_than_reading_it() -> None:
    body = written([{"error": {"details": [{"message": "model " * 50}] * 50}}] * 3000)
    assert judge(400, [], body).message == "the upstream answered 400"
