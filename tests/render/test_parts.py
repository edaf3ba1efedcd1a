from __future__ import annotations

import dataclasses

import pytest

from parse_engine.render.parts import by_author, kept_characters, pieces

from .samples import BOUNDARIES, DRAFT, ENDS, KEPT, REWRITTEN, parse_answer, plain_answer


@pytest.mark.parametrize("kept", [0, 1, 31, 60, len(KEPT), len(DRAFT) - 1, len(DRAFT)])
def test_pieces_are_the_draft_and_the_kept_ones_are_its_kept_part(kept: int) -> None:
    cut = list(pieces(DRAFT, kept, ENDS, BOUNDARIES))
    assert "".join(piece.text for piece in cut) == DRAFT
    assert "".join(piece.text for piece in cut if piece.kept) == DRAFT[:kept]
    assert [piece.boundary for piece in cut if piece.boundary] == list(BOUNDARIES)


def test_a_draft_longer_than_its_last_boundary_keeps_its_tail() -> None:
    cut = list(pieces("one two three four", 13, (3,), BOUNDARIES[:1]))
    assert [(piece.text, piece.kept) for piece in cut] == [("one", True), (" two three", True), (" four", False)]


def test_authors_of_an_answer() -> None:
    assert by_author(parse_answer()) == (KEPT, REWRITTEN)
    assert by_author(plain_answer("draft", "mine")) == ("mine", "")
    assert by_author(plain_answer("target", "mine")) == ("", "mine")


def test_text_that_does_not_begin_with_the_commit_is_not_cut_at_a_wrong_place() -> None:
    answer = parse_answer()
    odd = dataclasses.replace(answer, trace=dataclasses.replace(answer.trace, committed_text="Something else"))
    assert by_author(odd) == ("", odd.text)
    assert kept_characters(odd.trace) == 0
