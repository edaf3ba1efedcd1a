from __future__ import annotations

import pytest

from parse_engine.prefix.draft import Drafted


def test_the_same_tokens_keep_their_values() -> None:
    assert Drafted([-1.0, -2.0, -3.0], [2, 5, 9]).spread([2, 5, 9]) == pytest.approx((-1, -2, -3))


def test_other_tokens_take_their_characters_share() -> None:
    assert Drafted([-0.2, -1.0], [2, 12]).spread([4, 7, 12]) == pytest.approx((-0.4, -0.3, -0.5))


def test_a_character_of_several_tokens_counts_to_the_one_that_completes_it() -> None:
    """Bytes of one character have no end of their own, on either side."""
    assert Drafted([-1.0, -2.0, -4.0], [None, None, 1]).spread([1]) == pytest.approx((-7.0,))
    assert Drafted([-3.0, -4.0], [1, 2]).spread([None, 1, None, 2]) == pytest.approx((0.0, -3.0, 0.0, -4.0))


def test_a_token_without_text_is_not_lost() -> None:
    assert Drafted([-1.0, -0.5, -2.0], [2, 2, 4]).spread([2, 4]) == pytest.approx((-1.5, -2.0))


def test_a_draft_that_was_cut_short_takes_what_it_has() -> None:
    assert Drafted([-1.0, -2.0, -3.0], [2, 4, 6]).spread([2, 3]) == pytest.approx((-1.0, -1.0))
