from __future__ import annotations

import itertools
import random

from parse_engine.prefix.segments import boundaries


def cut(text: str, delta: int, max_prefixes: int = 99) -> list[str]:
    """The pieces between boundaries, with every character a token."""
    ends = list(range(1, len(text) + 1))
    cuts = [0, *boundaries(text, ends, delta, max_prefixes)]
    return [text[a:b] for a, b in itertools.pairwise(cuts)]


def test_cuts_move_to_the_end_of_a_line() -> None:
    assert cut("one two three\nfour five six\nseven", 12) == ["one two three\n", "four five six\n", "seven"]


def test_cuts_move_to_the_end_of_a_sentence() -> None:
    assert cut("It is so. And so it goes. The end", 11) == ["It is so.", " And so it goes.", " The end"]


def test_without_a_natural_end_the_cut_stays_where_it_is() -> None:
    assert cut("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_no_cut_inside_a_number() -> None:
    for delta in range(1, 24):
        pieces = cut("abc 1,234,567.89 and 3.14159 xyz", delta)
        assert any("1,234,567.89" in piece for piece in pieces)
        assert any("3.14159" in piece for piece in pieces)


def test_a_list_marker_is_no_sentence() -> None:
    assert all(not piece.endswith("1.") for piece in cut("1. wash the dishes twice\n2. dry", 3) if len(piece) > 1)


def test_code_fences_are_cut_between_lines_only() -> None:
    text = "Here:\n```python\nx = 1. + 2. + f(3. , 4)\nprint(x)\n```\nDone. Yes."
    start, end = text.index("```"), text.rindex("```") + 3
    for delta in range(2, 40):
        position = 0
        for piece in cut(text, delta):
            position += len(piece)
            if start < position < end:
                assert text[position - 1] == "\n"


def test_an_open_fence_runs_to_the_end() -> None:
    pieces = cut("```\na = b + c + d\ne = f", 5)
    assert pieces == ["```\n", "a = b + c + d\n", "e = f"]


def test_at_most_max_prefixes_spread_over_the_draft() -> None:
    ends = list(range(1, 1001))
    cuts = boundaries("x" * 1000, ends, 16, 8)
    assert cuts == [125, 250, 375, 500, 625, 750, 875, 1000]


def test_cuts_never_fall_on_a_token_that_ends_inside_a_character() -> None:
    ends = [1, None, None, 2, 3, None, 4, 5]
    assert set(boundaries("aébcd", ends, 1, 99)) <= {1, 4, 5, 7, 8}


def test_empty_and_single_token_drafts() -> None:
    assert boundaries("", [], 4, 4) == []
    assert boundaries("x", [1], 4, 4) == [1]
    assert boundaries("xyz", [1, 2, 3], 1, 1) == [3]


def test_always_increasing_bounded_and_ending_with_the_full_draft() -> None:
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choice("ab1. \n`,") for _ in range(rng.randint(1, 80)))
        most, delta = rng.randint(1, 12), rng.randint(1, 20)
        cuts = boundaries(text, list(range(1, len(text) + 1)), delta, most)
        assert cuts == sorted(set(cuts))
        assert cuts[-1] == len(text)
        assert len(cuts) <= most
