"""A small model that tells the kind of task: what it is asked, when, and what it may see."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from rig import chat
from unit.attempts.scenes import HANG, Script, Upstream, on_skipping_clock, record, refusal
from unit.stand_ins import CALLER, call, plan_of, routing
from unit.stand_ins import route as route_to

from gateway.attempts.classifying import Classifier, Ways
from gateway.config.signals import ClassifierSpec, LabelSpec, SensitivitySpec, TaskSpec
from gateway.exchange import Call, Caller, Record
from gateway.routing.plans import Plan
from gateway.routing.signals.readers import compile_readers
from gateway.routing.signals.signals import Signals

MAIL = "bob@example.com"
SPEC = ClassifierSpec(route="tiny", timeout_s=2.0)
READERS = compile_readers(
    {"code": TaskSpec(keywords=("python",))},
    SensitivitySpec(labels={"restricted": LabelSpec(detect=("email",)), "noted": LabelSpec()}),
)


def saying(word: str) -> Script:
    return Script(json.dumps(chat.completion(content=word)).encode())


class Case:
    """A classifier for the route `fast`, which asks `tiny`; what it asked and what was settled."""

    def __init__(self, *scripts: Script) -> None:
        self.tiny = Upstream("tiny", *scripts)
        self.asked: list[Call] = []
        self.settled: list[Record] = []
        decided = msgspec.structs.replace(routing(route_to("fast"), route_to("other")), readers=READERS)
        ways = Ways(decided, self._plan, self.settled.append)
        self.classifier = Classifier(SPEC, {"code": "Programs."}, frozenset({"fast"}), ways)

    def _plan(self, asking: Call) -> Plan:
        self.asked.append(asking)
        return plan_of(asking, self.tiny.candidate)

    async def task_of(self, text: str = "sort a list", **members: Any) -> str | None:
        """Return what the call's header says once it was classified."""
        turns = [*members.pop("before", ()), {"role": "user", "content": text}]
        labelled = await self.classifier.label(call(messages=turns, **members), record())
        return labelled.headers.get("x-forebay-task")


def played(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    on_skipping_clock(scene())


@pytest.mark.parametrize(
    ("said", "task"), [("code", "code"), (" `Code`.", "code"), ("none", None), ("x", None)]
)
def test_what_the_model_says_is_the_task_where_there_is_such_a_one(said: str, task: str | None) -> None:
    async def scene() -> None:
        case = Case(saying(said))
        assert await case.task_of() == task
        assert await case.task_of() == task
        assert len(case.asked) == 1, "once for each distinct turn"
        assert [own.purpose for own in case.settled] == ["classify"]

    played(scene)


def test_a_keyword_a_header_or_a_route_without_tasks_leaves_nothing_to_ask() -> None:
    async def scene() -> None:
        case = Case(saying("code"))
        assert await case.task_of("python please") is None
        assert await case.task_of(headers={"x-forebay-task": "code"}) == "code"
        assert await case.task_of(model="other") is None
        assert case.asked == []

    played(scene)


@pytest.mark.parametrize("failing", [refusal(500), Script(HANG)])
def test_a_failed_question_is_no_answer_for_the_next_call(failing: Script) -> None:
    async def scene() -> None:
        case = Case(failing, saying("code"))
        assert await case.task_of() is None
        assert await case.task_of() == "code"

    played(scene)


@pytest.mark.parametrize(
    "members",
    [
        {"before": [{"role": "user", "content": MAIL}, {"role": "assistant", "content": "Noted."}]},
        {"before": [{"role": "system", "content": MAIL}]},
        {"text": "x " * 1992 + MAIL},
        {"headers": {"x-forebay-sensitivity": "restricted"}},
    ],
    ids=["in an earlier turn", "in the instructions", "cut off", "by its header"],
)
def test_a_question_carries_the_labels_of_the_whole_call(members: dict[str, Any]) -> None:
    async def scene() -> None:
        case = Case(saying("code"))
        await case.task_of(**members)
        (asking,) = case.asked
        assert Signals(asking, READERS).labels == {"restricted"}

    played(scene)


def test_a_key_for_one_route_only_is_asked_about_by_the_classifiers_route_and_no_other_key_is() -> None:
    async def scene() -> None:
        case = Case(saying("code"))
        assert await case.task_of(caller=narrow("fast")) == "code"
        assert case.asked[0].caller.routes == ()
        assert await case.task_of("another turn", caller=narrow("other")) is None
        assert len(case.asked) == 1

    played(scene)


def narrow(route: str) -> Caller:
    return msgspec.structs.replace(CALLER, routes=((route,),))
