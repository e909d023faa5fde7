"""Media in the Converse format: their formats, their names, where their content is."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Unsupported
from gateway.formats.converse.media import KINDS, MEDIA_TYPES, MediaWriter, decode_media
from gateway.formats.converse.types import MediaBlock
from gateway.formats.neutral.parts import Media

DATA = "UE5H"
ALLOWED = re.compile(r"[A-Za-z0-9()\[\]-]+( [A-Za-z0-9()\[\]-]+)*")
EVERY_FORMAT = [
    (member, word) for member, kind in KINDS.items() for word in [*MEDIA_TYPES[kind], "video/mp4", "new"]
]


def written(media: Media) -> Any:
    return MediaWriter().encode(media, "place")


def read(block: dict[str, Any]) -> Media:
    member, value = next(iter(block.items()))
    return decode_media(member, msgspec.convert(value, MediaBlock))


def names(*given_names: str) -> list[str]:
    writer = MediaWriter()
    documents = [Media("file", "application/pdf", data=DATA, name=name) for name in given_names]
    return [writer.encode(document, "place")["document"]["name"] for document in documents]


@pytest.mark.parametrize(("member", "word"), EVERY_FORMAT)
def test_each_format_goes_back_as_it_came(member: str, word: str) -> None:
    block: dict[str, Any] = {member: {"format": word, "source": {"bytes": DATA}}}
    if member == "document":
        block[member]["name"] = "a"
    assert written(read(block)) == block


@pytest.mark.parametrize(
    "value",
    [
        {"format": "pdf", "name": "a", "source": {"s3Location": {"uri": "s3://b/k", "bucketOwner": "1"}}},
        {"format": "txt", "name": "a", "source": {"text": "words"}, "citations": {"enabled": True}},
        {"name": "a", "source": {"bytes": DATA}, "format": "md", "context": "why"},
        {"format": "txt", "name": "a", "source": {"content": [{"text": "a"}, {"text": "b"}]}},
    ],
)
def test_documents_go_back_as_they_came(value: dict[str, Any]) -> None:
    assert written(read({"document": value})) == {"document": value}


@pytest.mark.parametrize(
    ("media", "format_"),
    [
        (Media("image", "image/png", data=DATA), "png"),
        (Media("image", "image/jpg", data=DATA), "jpeg"),
        (Media("image", "IMAGE/JPEG", data=DATA), "jpeg"),
        (Media("file", "text/plain; charset=utf-8", data=DATA), "txt"),
        (Media("file", text="words"), "txt"),
        (Media("file", data=DATA, name="report.PDF"), "pdf"),
        (Media("video", "video/quicktime", data=DATA), "mov"),
        (Media("video", "video/mpeg", data=DATA), "mpeg"),
        (Media("audio", "audio/mpeg", data=DATA), "mp3"),
    ],
)
def test_media_types_are_written_as_formats(media: Media, format_: str) -> None:
    assert next(iter(written(media).values()))["format"] == format_


@pytest.mark.parametrize(
    "media",
    [
        Media("image", "image/tiff", data=DATA),
        Media("image", data=DATA),
        Media("file", data=DATA, name="report.pages"),
        Media("file", "application/zip", data=DATA, name="a.pdf"),
        Media("image", "image/png", url="https://a/b.png"),
    ],
)
def test_what_bedrock_does_not_take_is_refused(media: Media) -> None:
    with pytest.raises(Unsupported) as refusal:
        written(media)
    assert refusal.value.param == "place"


def test_what_others_keep_of_a_medium_is_not_written() -> None:
    media = Media("image", "image/png", data=DATA, raw={"format": "x", "context": "y"})
    assert written(media) == {"image": {"format": "png", "source": {"bytes": DATA}}}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("report.pdf", "report"),
        ("report.final.pdf", "report-final"),
        ("report.v2", "report-v2"),
        ("my_file (1) [x].docx", "my-file (1) [x]"),
        ("  a \t\n b  ", "a b"),
        ("", "document"),
        (".pdf", "document"),
        ("\u6587\u4ef6.pdf", "document"),
        ("x" * 300, "x" * 200),
    ],
)
def test_names_have_only_what_is_allowed(name: str, allowed: str) -> None:
    assert names(name) == [allowed]


def test_no_two_documents_of_a_request_have_one_name() -> None:
    assert names("a.pdf", "a.csv", "a (2).pdf", "", "") == [
        "a",
        "a (2)",
        "a (2) (2)",
        "document",
        "document (2)",
    ]
    assert [len(name) for name in names("x" * 300, "x" * 300)] == [200, 200]


@given(st.lists(st.text(max_size=250), max_size=5))
def test_any_names_become_allowed_ones_that_differ(given_names: list[str]) -> None:
    made = names(*given_names)
    assert len(set(made)) == len(given_names)
    assert all(ALLOWED.fullmatch(name) and len(name) <= 200 for name in made)
    assert made == names(*given_names)
