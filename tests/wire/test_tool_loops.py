"""The loops that SDKs run by themselves: call the model, run its tools, call it again, until it answers.

The upstream is a fake that plays its turns in its own format; what it got in the second turn is read back
with that format's decoder. The functions are run by the SDKs, never by the test, where an SDK can do that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types as google_types
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from rig.conversations import answer
from rig.gateway import CREDENTIALS, KEY, Gateway, running_gateway
from rig.script import Answer, events, plain
from rig.translation.formats import codec, heading, members, stream_of
from rig.upstream import Seen, Upstream

from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import whole
from gateway.formats.neutral.parts import Part, Reasoning, Text, ToolCall, ToolResult

TARGETS = ("chat", "responses", "messages", "gemini")
ENDS = {
    "/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "Content": "gemini",
}
REPORT = "18 degrees and mild in Paris"
SAID = "It is mild in Paris."
SEAL = "c2VhbA=="
NO_SEAL = base64.b64encode(b"skip_thought_signature_validator").decode()
"""What Google takes in place of a seal that was lost."""


class Report(BaseModel):
    """What the weather is."""

    city: str
    degrees: int


class Weather(BaseModel):
    """Look up the weather of a city."""

    city: str


def look_up(city: str) -> str:
    """Look up the weather of a city.

    Args:
        city: The name of the city.
    """
    assert city == "Paris"
    return REPORT


@pytest.fixture(scope="module")
def looping(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    root = shared_upstream.base_url.removesuffix("/v1")
    providers = {
        "chat": {"base_url": f"{root}/v1", "formats": ["chat"]},
        "responses": {"base_url": f"{root}/v1", "formats": ["responses"]},
        "messages": {"provider": "anthropic", "base_url": root},
        "gemini": {"provider": "gemini", "base_url": root},
    }
    routing = {
        "backends": {name: {**one, "credentials": CREDENTIALS} for name, one in providers.items()},
        "routes": {f"to-{name}": {"targets": [{"backend": name, "model": "up"}]} for name in providers},
    }
    with running_gateway(tmp_path_factory.mktemp("loops"), routing) as gateway:
        yield gateway


def format_of(seen: Seen) -> str:
    path = seen.path.partition("?")[0]
    return next(format_ for end, format_ in ENDS.items() if path.endswith(end))


def is_stream(seen: Seen) -> bool:
    return "stream" in seen.path or bool(seen.json().get("stream"))


def turns(*parts: tuple[Part, ...]) -> Callable[[Seen], Answer]:
    """Script an upstream that says these parts, one tuple a turn, in the format it is asked in."""
    left = list(parts)

    def play(seen: Seen) -> Answer:
        said = left.pop(0)
        called = any(isinstance(part, ToolCall) for part in said)
        completion, target = answer(*said, finish="tool_calls" if called else "stop"), format_of(seen)
        if is_stream(seen):
            return events([stream_of(target, whole(completion), heading())])
        return plain(codec(target).encode_answer(completion, heading()))

    return play


def called(name: str, target: str) -> ToolCall:
    """A call as a model of the target writes it: Google's seals it."""
    signature = SEAL if target == "gemini" else ""
    return ToolCall("call_1", name, '{"city":"Paris"}', signature=signature, origin=target)


def scripted(name: str, target: str, said: str = SAID) -> Callable[[Seen], Answer]:
    """Two turns: a call, and a text."""
    return turns((called(name, target),), (Text(said),))


def read(seen: Seen) -> Conversation:
    """What an upstream was asked."""
    return codec(format_of(seen)).decode_request(members(seen.json()))


def check_loop(upstream: Upstream, name: str, target: str, *, sealed: bool = True) -> None:
    """The second turn brings back the call as it was made, and its result.

    Google refuses a call without its seal; `sealed` False tells that the client lost it.
    """
    first, second = (read(seen) for seen in upstream.seen)
    assert [getattr(tool, "name", "") for tool in first.tools] == [name]
    parts = [part for turn in second.turns for part in turn.parts]
    (call,) = (part for part in parts if isinstance(part, ToolCall))
    (result,) = (part for part in parts if isinstance(part, ToolResult))
    assert (call.name, json.loads(call.arguments)) == (name, {"city": "Paris"})
    assert REPORT in "".join(part.text for part in result.parts if isinstance(part, Text))
    if target == "gemini":
        assert call.signature == (SEAL if sealed else NO_SEAL)
    else:
        assert result.call_id == call.id


def openai_sdk(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


def anthropic_sdk(gateway: Gateway) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_openais_chat_with_a_parsed_tool_and_a_parsed_answer(
    looping: Gateway, upstream: Upstream, target: str, *, stream: bool
) -> None:
    upstream.answer_with(scripted("Weather", target, '{"city": "Paris", "degrees": 18}'))
    asked: list[Any] = [{"role": "user", "content": "How is Paris?"}]
    tools = [openai.pydantic_function_tool(Weather)]
    with openai_sdk(looping) as sdk:

        def ask() -> Any:
            given: dict[str, Any] = {"model": f"to-{target}", "messages": asked, "tools": tools}
            if not stream:
                return sdk.chat.completions.parse(**given, response_format=Report).choices[0].message
            with sdk.chat.completions.stream(**given, response_format=Report) as answers:
                return answers.get_final_completion().choices[0].message

        message = ask()
        (call,) = message.tool_calls
        assert call.function.parsed_arguments == Weather(city="Paris")
        asked += [message, {"role": "tool", "tool_call_id": call.id, "content": look_up("Paris")}]
        assert ask().parsed == Report(city="Paris", degrees=18)
    check_loop(upstream, "Weather", target)
    output = read(upstream.seen[1]).output
    assert output is not None
    assert set(output.schema["properties"]) == {"city", "degrees"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_openais_responses_in_a_loop_that_sends_everything_back(
    looping: Gateway, upstream: Upstream, target: str, *, stream: bool
) -> None:
    """As agents do it: all items of the output become input again, thoughts included."""
    thought = Reasoning("The user wants the weather.", signature=SEAL, origin=target)
    upstream.answer_with(
        turns((thought, called("Weather", target)), (Text('{"city": "Paris", "degrees": 18}'),))
    )
    asked: list[Any] = [{"role": "user", "content": "How is Paris?"}]
    given: dict[str, Any] = {
        "model": f"to-{target}",
        "tools": [openai.pydantic_function_tool(Weather)["function"] | {"type": "function"}],
        "text_format": Report,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    with openai_sdk(looping) as sdk:

        def ask() -> Any:
            if not stream:
                return sdk.responses.parse(**given, input=asked)
            with sdk.responses.stream(**given, input=asked) as answers:
                return answers.get_final_response()

        response = ask()
        (call,) = (item for item in response.output if item.type == "function_call")
        assert json.loads(call.arguments) == {"city": "Paris"}
        asked += response.output
        asked.append({"type": "function_call_output", "call_id": call.call_id, "output": look_up("Paris")})
        assert ask().output_parsed == Report(city="Paris", degrees=18)
    check_loop(upstream, "Weather", target)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_anthropics_tool_runner(looping: Gateway, upstream: Upstream, target: str, *, stream: bool) -> None:
    """It asks the provider to keep the conversation: only Anthropic's own does, elsewhere it sends it all."""
    upstream.answer_with(scripted("look_up", target))
    with anthropic_sdk(looping) as sdk:
        runner: Any = sdk.beta.messages.tool_runner(
            model=f"to-{target}",
            max_tokens=2000,
            messages=[{"role": "user", "content": "How is Paris?"}],
            tools=[anthropic.beta_tool(look_up)],
            betas=["interleaved-thinking-2025-05-14", "context-management-2025-06-27"],
            stream=stream,
        )
        last = runner.until_done()
    assert [block.text for block in last.content if block.type == "text"] == [SAID]
    assert last.stop_reason == "end_turn"
    if target != "messages":
        check_loop(upstream, "look_up", target)
        return
    first, second = (seen.json() for seen in upstream.seen)
    assert first["thread"] == {"type": "create"}
    assert second["thread"]["type"] == "continue"
    assert second["messages"][0]["content"][0]["type"] == "tool_result"
    betas = upstream.seen[0].headers["anthropic-beta"]
    assert {"message-threads-2026-08-12", "interleaved-thinking-2025-05-14"} <= set(betas.split(","))


def test_anthropics_structured_answer(looping: Gateway, upstream: Upstream, target: str) -> None:
    upstream.answer_with(turns((Text('{"city": "Paris", "degrees": 18}'),)))
    with anthropic_sdk(looping) as sdk:
        parsed = sdk.messages.parse(
            model=f"to-{target}",
            max_tokens=2000,
            messages=[{"role": "user", "content": "How is Paris?"}],
            output_format=Report,
        )
    assert parsed.parsed_output == Report(city="Paris", degrees=18)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_googles_chat_with_automatic_function_calling(
    looping: Gateway, upstream: Upstream, target: str, *, stream: bool
) -> None:
    upstream.answer_with(scripted("look_up", target))
    sdk = genai.Client(api_key=KEY, http_options=google_types.HttpOptions(base_url=looping.url))
    chat = sdk.chats.create(model=f"to-{target}", config={"tools": [look_up]})
    if stream:
        text = "".join(piece.text or "" for piece in chat.send_message_stream("How is Paris?"))
    else:
        text = chat.send_message("How is Paris?").text or ""
    assert text == SAID
    check_loop(upstream, "look_up", target)


def langchain(gateway: Gateway, target: str, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=f"to-{target}", base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, **settings
    )


@pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_langchain_with_bound_tools(
    looping: Gateway, upstream: Upstream, target: str, *, responses: bool, stream: bool
) -> None:
    upstream.answer_with(scripted("look_up", target))
    settings: dict[str, Any] = {"reasoning": {"effort": "low", "summary": "auto"}} if responses else {}
    plain_model = langchain(looping, target, use_responses_api=responses, streaming=stream, **settings)
    model = plain_model.bind_tools([langchain_tool(look_up)])
    asked: list[AnyMessage] = [HumanMessage("How is Paris?")]
    message = model.invoke(asked)
    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("look_up", {"city": "Paris"})
    asked += [message, ToolMessage(look_up(**call["args"]), tool_call_id=call["id"])]
    assert model.invoke(asked).text == SAID
    check_loop(upstream, "look_up", target, sealed=responses)  # of chat calls LangChain keeps what it knows


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_with_structured_output(
    looping: Gateway, upstream: Upstream, target: str, method: Any
) -> None:
    given = '{"city": "Paris", "degrees": 18}'
    said = ToolCall("call_1", "Report", given) if method == "function_calling" else Text(given)
    upstream.answer_with(turns((said,)))
    model = langchain(looping, target).with_structured_output(Report, method=method)
    assert model.invoke("How is Paris?") == Report(city="Paris", degrees=18)
