"""What a call is like, as far as decisions ask: nothing is read before it is asked for, or twice.

Pure. Must not know rules, routes or deployments.

Cost: 0.4 us to make one; a fact that was read before is an attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Generic, Self, TypeVar, overload

import msgspec

from gateway.errors import BadRequest
from gateway.exchange import Call, Caller, Feature, Format, Priority, short_name
from gateway.quotas.estimates import Prompt
from gateway.routing.signals import body, features, size
from gateway.routing.signals.language import language_of
from gateway.routing.signals.readers import Readers
from gateway.routing.signals.task import task_of

USER_HEADER, CONVERSATION_HEADER = "x-forebay-user", "x-forebay-conversation"
PRIORITY_HEADER, TASK_HEADER = "x-forebay-priority", "x-forebay-task"
_LONGEST_NAME = 200
_MOST_PROMPT_BYTES = 1 << 20
_DIGESTED_BYTES = 1024
"""Of the instructions, and of the first turn: with their lengths, enough to tell conversations apart."""

_NAMING = frozenset({"safety_identifier", "user", *body.METADATA})
"""Members that may name the end user. Most requests have none of them."""

_CONVERSING = frozenset({"conversation", "prompt_cache_key", "previous_response_id"})
"""Members that may name the conversation."""

T = TypeVar("T")


class Unrecorded(LookupError):
    """A decision on recorded facts asks for one that was not recorded."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was not recorded")
        self.name = name


class Fact(Generic[T]):
    """An attribute that is read when it is first asked for; from then on it is a plain one."""

    __slots__ = ("_read", "name")

    def __init__(self, read: Callable[[Signals], T]) -> None:
        self._read = read
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, signals: None, owner: type) -> Self: ...
    @overload
    def __get__(self, signals: Signals, owner: type) -> T: ...
    def __get__(self, signals: Signals | None, owner: type) -> Self | T:
        if signals is None:
            return self
        if signals.recalled:
            raise Unrecorded(self.name)
        value = signals.__dict__[self.name] = self._read(signals)
        return value


class Signals:
    """Of one call."""

    recalled = False
    """It is of recorded facts, without the call's content."""

    def __init__(self, call: Call, readers: Readers) -> None:
        self.call = call
        self.readers = readers
        self.caller: Caller = call.caller
        self.model: str = call.envelope.model
        """As requested."""
        self.format: Format = call.format
        self.stream: bool = call.envelope.stream
        self.headers: Mapping[str, str] = call.headers
        """Lower-case names; those that rules name, and the gateway's own."""
        if not call.translated:
            self.__dict__["_members"] = call.members  # no need to work it out when it is first asked for

    @Fact
    def size_bytes(self) -> int:
        """How long its members are, as they stand in the request."""
        form = self.call.form
        size_bytes = sum(map(len, self._members.values()))
        return size_bytes + sum([len(field.content) for field in form]) if form else size_bytes

    @Fact
    def prompt_tokens(self) -> int:
        """Estimated, roughly."""
        if (plain := self._plain) is not None:
            return size.tokens_roughly(self._members, plain, body.plain_contents_of(plain))
        return size.tokens_roughly(self._members, self._turns, self._contents) + self._form_tokens

    @Fact
    def said(self) -> Prompt:
        """What there is to count of its prompt, for whoever knows how a provider counts."""
        return size.as_asked(self._written, self.format, self.features)

    @Fact
    def _written(self) -> Prompt:
        if (plain := self._plain) is not None:
            return size.prompt_of(self._members, plain, body.plain_contents_of(plain))
        prompt = size.prompt_of(self._members, self._turns, self._contents)
        beside = self._form_tokens
        return msgspec.structs.replace(prompt, tokens=prompt.tokens + beside) if beside else prompt

    @property
    def _form_tokens(self) -> int:
        return sum(size.tokens_of_text(field.content) for field in self._form_texts) if self.call.form else 0

    @Fact
    def max_tokens(self) -> int | None:
        """As requested."""
        return features.max_tokens_of(self._members)

    @Fact
    def features(self) -> frozenset[Feature]:
        """What the call holds or asks for."""
        members = self._members
        plain = None if self.call.form else body.plain_turns_of(members)
        self.__dict__["_plain"] = plain  # as if it had been asked for, which would take 0.3 us more
        return features.features_of(members, self._contents.media if plain is None else ())

    @Fact
    def metadata(self) -> Mapping[str, str]:
        """What the request says of itself; values that are no text in JSON."""
        return body.texts_of(self._members, *body.METADATA)

    @Fact
    def user(self) -> str:
        """The end user that the call names; empty: none. Whoever counts by users keeps the name."""
        if named := self.headers.get(USER_HEADER):
            return short_name(named, _LONGEST_NAME)
        # Where conditions ask for metadata, that it is empty is worth a record, too.
        if _NAMING.isdisjoint(self._members) and not self.readers.reads_metadata:
            return ""
        return (
            _name(body.value_of(self._members, "safety_identifier"))
            or _name(body.value_of(self._members, "user"))
            or _name(self.metadata.get("user_id", ""))
        )

    @Fact
    def conversation(self) -> str:
        """What names the conversation; else what its first turns are."""
        return self.named_conversation or self._first_turns

    @Fact
    def named_conversation(self) -> str:
        """What the call names its conversation; empty: it does not."""
        if named := self.headers.get(CONVERSATION_HEADER):
            return short_name(named, _LONGEST_NAME)
        if _CONVERSING.isdisjoint(self._members):
            return ""
        given = body.value_of(self._members, "conversation")
        given = given.get("id") if isinstance(given, dict) else given
        return (
            _name(given)
            or _name(body.value_of(self._members, "prompt_cache_key"))
            or _name(body.value_of(self._members, "previous_response_id"))
        )

    @Fact
    def prompt(self) -> bytes:
        """The beginning of instructions, tools and turns, as they stand in the request: for its prefix."""
        names = (*body.INSTRUCTIONS, "tools", *body.TURNS)
        return b"".join(self._members[name] for name in names if name in self._members)[:_MOST_PROMPT_BYTES]

    @Fact
    def language(self) -> str:
        """Of the last user turn, ISO 639-1; empty: unknown."""
        return language_of(self._said)

    @Fact
    def task(self) -> str:
        """A name under `tasks`, told by a header or by the rules; empty: none holds.

        Raises BadRequest for a header that names none of them.
        """
        if not (named := self.headers.get(TASK_HEADER, "")):
            return task_of(self, self.readers.tasks)
        names = [task.name for task in self.readers.tasks.every]
        if named not in names:
            raise BadRequest(f"the header {TASK_HEADER} must be one of {', '.join(names)}", param=TASK_HEADER)
        return named

    @Fact
    def labels(self) -> frozenset[str]:
        """Of sensitive data. Raises BadRequest for a label in the header that there is not."""
        return self.readers.labels.of(self.call)

    @Fact
    def priority(self) -> Priority:
        """The header's, but never better than the caller may have. Raises BadRequest for other words."""
        asked = self.headers.get(PRIORITY_HEADER, "").strip().lower()
        if asked not in {"", "interactive", "batch"}:
            raise BadRequest(
                f"the header {PRIORITY_HEADER} must be interactive or batch", param=PRIORITY_HEADER
            )
        return "batch" if asked == "batch" else self.caller.priority

    @Fact
    def turn(self) -> bytes:
        """The last turn of the user, in UTF-8."""
        return self._said.encode(errors="replace")

    @Fact
    def instructions(self) -> bytes:
        """All instructions, in UTF-8."""
        said = body.instructions_of(self._members, self._turns)
        return "\n".join(map(body.words_of, said)).encode(errors="replace")

    @Fact
    def _members(self) -> Mapping[str, msgspec.Raw]:
        """As in JSON; of a call that is not translated they are there from its beginning."""
        members = self.call.members.items()
        return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members}

    @Fact
    def _form_texts(self) -> Sequence[Any]:
        return [field for field in self.call.form if field.name in {"prompt", "input"}]

    @Fact
    def _plain(self) -> list[body.PlainTurn] | None:
        return None if self.call.form else body.plain_turns_of(self._members)

    @Fact
    def _turns(self) -> list[body.UnreadTurn]:
        return body.turns_of(self._members)

    @Fact
    def _contents(self) -> body.Contents:
        contents = body.contents_of(self._members, self._turns)
        for field in self.call.form:
            if b"filename" in field.head:
                contents.media.append("images" if self.format == "image_edits" else "audio")
        return contents

    @Fact
    def _said(self) -> str:
        for turn in reversed(self._turns):
            if body.is_users(turn) and (words := body.words_of(turn.held)):
                return words
        return "\n".join(field.content.decode(errors="replace") for field in self._form_texts)

    @Fact
    def _first_turns(self) -> str:
        digest = blake2b(digest_size=12)
        for raw in body.instructions_of(self._members, self._turns):
            digest.update(b"%d:%b" % (len(raw), bytes(memoryview(raw)[:_DIGESTED_BYTES])))
        first = next((turn.held for turn in self._turns if body.is_users(turn)), body.ABSENT)
        digest.update(b"%d:%b" % (len(first), bytes(memoryview(first)[:_DIGESTED_BYTES])))
        return digest.hexdigest()


def _name(value: object) -> str:
    return short_name(value, _LONGEST_NAME) if isinstance(value, str) else ""
