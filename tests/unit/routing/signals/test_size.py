"""The estimate of a request's tokens, against a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.embedded.tokenizer import token_counter
from gateway.formats.envelope import decode_members
from gateway.formats.http import multipart
from gateway.routing.signals.body import contents_of, turns_of
from gateway.routing.signals.size import tokens_of

TEXTS = {
    "English": "The committee met on Tuesday afternoon to discuss whether the library should extend its "
    "opening hours. Several members argued that students need a quiet place to read in the evening. ",
    "German": "Der Ausschuss traf sich am Dienstagnachmittag, um zu besprechen, ob die Bücherei ihre "
    "Öffnungszeiten verlängern soll. Mehrere Mitglieder sorgten sich um die Kosten für Heizung. ",
    "French": "Le comité s'est réuni mardi après-midi pour discuter de l'opportunité de prolonger les "
    "heures d'ouverture de la bibliothèque. Les étudiants ont besoin d'un endroit calme le soir. ",
    "Chinese": "委员会于星期二下午开会讨论图书馆是否应该延长开放时间几位成员认为学生需要安静",
    "Japanese": "委員会は火曜日の午後に集まり図書館の開館時間を話し合いました",
    "Korean": "위원회는 도서관이 개관 시간을 연장해야 하는지 논의하기 위해 모였다. ",
    "Russian": "Комитет собрался во вторник днём, чтобы обсудить, следует ли библиотеке продлить часы. ",
    "code": Path(multipart.__file__).read_text(encoding="utf-8"),
    "log": "".join(
        f"2026-11-21T12:{n:02d}:11.{n * 7:03d}Z INFO id=5f2c{n:04x} status=200 {n}\n" for n in range(60)
    ),
}


@pytest.fixture(scope="module")
def count(tmp_path_factory):
    return token_counter(tmp_path_factory.mktemp("vocabulary"))


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_the_estimate_is_within_a_quarter_of_what_a_tokenizer_counts(kind, escaped, count):
    text = TEXTS[kind] * 12
    body = json.dumps({"messages": [{"role": "user", "content": text}]}, ensure_ascii=escaped)
    members = decode_members(body.encode())
    turns = turns_of(members)
    estimate = tokens_of(members, turns, contents_of(members, turns))
    assert estimate == pytest.approx(count(text), rel=0.25)
