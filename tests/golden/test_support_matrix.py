"""The table that users read says what the codecs do."""

from __future__ import annotations

import pytest
from rig.support_matrix import PLACE, PROBES, document, summary, table
from rig.translation.formats import CLIENTS

from gateway.formats.neutral.fields import FIELDS

README = PLACE.parents[1] / "README.md"


def test_each_row_of_the_table_of_losses_is_tried() -> None:
    assert PROBES.keys() == FIELDS.keys()


@pytest.mark.parametrize("client", CLIENTS)
def test_nothing_is_lost_without_being_named(client: str) -> None:
    assert table(client)


def test_the_document_is_up_to_date() -> None:
    assert PLACE.read_text() == document(), "run: PYTHONPATH=tests python -m rig.support_matrix"


def test_the_readme_has_the_summary() -> None:
    assert summary() in README.read_text(), "run: PYTHONPATH=tests python -m rig.support_matrix"
