from __future__ import annotations

import random

import pytest
import torch

from parse_engine.prefix.layout import Layout, mask_mod, pack, visible


def random_layout(rng: random.Random) -> tuple[Layout, list[int], list[int], list[list[int]]]:
    prompt, draft = rng.randint(1, 20), rng.randint(1, 30)
    base = [rng.randrange(256) for _ in range(prompt + draft)]
    ends = sorted({prompt + rng.randint(1, draft) for _ in range(rng.randint(1, 6))})
    suffixes = [[rng.randrange(256) for _ in range(rng.randint(1, 7))] for _ in ends]
    return pack(base, rng.randrange(prompt), ends, suffixes), base, ends, suffixes


def brute_force(layout: Layout, base: list[int], ends: list[int], suffixes: list[list[int]]) -> torch.Tensor:
    """Visibility written from the definition: every key has an owner (None for the base) and a place in it."""
    keys: list[tuple[int | None, int]] = [(None, i) for i in range(len(base))]
    keys += [(s, j) for s, suffix in enumerate(suffixes) for j in range(len(suffix))]
    seen = torch.zeros(len(keys) - layout.cached, len(keys), dtype=torch.bool)
    for q, (row_owner, row) in enumerate(keys[layout.cached :]):
        for k, (owner, key) in enumerate(keys):
            if owner is None:
                seen[q, k] = key <= row if row_owner is None else key < ends[row_owner]
            else:
                seen[q, k] = owner == row_owner and key <= row
    return seen


def test_visibility_and_positions_match_the_definition() -> None:
    rng = random.Random(0)
    for _ in range(100):
        layout, base, ends, suffixes = random_layout(rng)
        assert torch.equal(visible(layout), brute_force(layout, base, ends, suffixes))
        expected = [
            *range(layout.cached, len(base)),
            *(e + j for e, s in zip(ends, suffixes, strict=True) for j in range(len(s))),
        ]
        assert layout.positions.tolist() == expected
        assert layout.tokens[layout.reads].tolist() == [suffix[-1] for suffix in suffixes]
        assert layout.base == len(base) - layout.cached


def test_the_drawing_in_the_docstring_is_the_mask() -> None:
    from parse_engine.prefix import layout as module

    drawn = [
        line.split()[1:] for line in (module.__doc__ or "").splitlines() if line.strip()[:2] in {"x ", "y ", "s1", "s2"}
    ]
    rows = [row[:10] for row in drawn if len(row) >= 10 and set(row[:10]) <= {"#", "."}]
    mask = visible(pack([1, 2, 3, 4, 5, 6], 0, [4, 6], [[7, 8], [9, 10]]))
    assert rows == [["#" if seen else "." for seen in row] for row in mask.tolist()]


def test_mask_function_equals_the_mask() -> None:
    rng = random.Random(1)
    for _ in range(20):
        layout, *_ = random_layout(rng)
        rule = mask_mod(layout, torch.device("cpu"))
        zero = torch.tensor(0)
        rows, keys = torch.meshgrid(torch.arange(len(layout.tokens)), torch.arange(layout.keys), indexing="ij")
        assert torch.equal(rule(zero, zero, rows, keys), visible(layout))


@pytest.mark.parametrize(
    ("cached", "ends", "suffixes"),
    [(4, [2], [[1]]), (0, [0], [[1]]), (0, [4], [[1]]), (0, [1, 2], [[1]]), (0, [1], [[]])],
)
def test_impossible_layouts_are_refused(cached: int, ends: list[int], suffixes: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"cached|prefix|suffix"):
        pack([1, 2, 3], cached, ends, suffixes)
