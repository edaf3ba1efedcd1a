"""The `mbpp+` task: 378 short Python functions, run on EvalPlus's base and plus inputs."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

from parse_engine.bench.graders.code import Judge, same
from parse_engine.bench.tasks.evalplus import EvalPlusTask

# JSON knows lists only. Where the functions want tuples: which arguments, and how deep the lists are that
# become tuples (0: the argument itself), for these problems.
ALL, FIRST, SECOND, EVERY_DEPTH = range(9), range(1), range(1, 2), range(99)
TUPLES: tuple[tuple[range, Collection[int], str], ...] = (
    (ALL, {0}, "2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809"),
    (ALL, {1}, "63 64 70 94 120 237 272 299 400 409 417 438 473 614 722 780"),
    (ALL, {0, 1}, "259 278 401 445"),
    (ALL, EVERY_DEPTH, "580 615 791"),
    (FIRST, {0}, "250 307 405 446 617 720 763 808"),
    (FIRST, {1}, "75 413 444 753"),
    (SECOND, {0}, "106 750"),
)
SETS, FLOAT_AND_COMPLEX, COMPLEX = "115", "124", "252"  # problems whose arguments are of these types

# The functions whose output's order does not matter, and those that return a match object or its truth.
UNORDERED = (
    "similar_elements",
    "find_char_long",
    "common_in_nested_lists",
    "extract_singly",
    "larg_nnum",
    "intersection_array",
    "find_dissimilar",
    "Diff",
)
MATCHES = ("check_str", "text_match_three", "text_starta_endb")


def make_task(name: str = "mbpp+") -> EvalPlusTask:
    return EvalPlusTask(name, "mbppplus.jsonl.gz", JUDGES, typed)


def typed(task_id: str, arguments: list[Any]) -> list[Any]:
    """The arguments of one call with the types that JSON lost."""
    number = task_id.rpartition("/")[2]
    if number == SETS:
        return [[set(item) if isinstance(item, list) and item else {} for item in arguments[0]]]
    if number == FLOAT_AND_COMPLEX:
        return [float(arguments[0]), complex(arguments[1])]
    if number == COMPLEX:
        return [complex(arguments[0])]
    for chosen, depths, problems in TUPLES:
        if number in problems.split():
            return [
                with_tuples(argument, depths) if index in chosen else argument
                for index, argument in enumerate(arguments)
            ]
    return arguments


def with_tuples(value: Any, depths: Collection[int], depth: int = 0) -> Any:
    """The value with the lists at these depths made tuples; what a dictionary holds is one deeper than itself."""
    if isinstance(value, dict):
        return {key: with_tuples(item, depths, depth + 1) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    items = (with_tuples(item, depths, depth + 1) for item in value)
    return tuple(items) if depth in depths else list(items)


def same_items(arguments: Sequence[Any], got: Any, wanted: Any, atol: float) -> bool:
    """Whether the same things are in both, in any order and number."""
    try:
        return set(got) == set(wanted)
    except TypeError:
        return False


def same_match(arguments: Sequence[Any], got: Any, wanted: Any, atol: float) -> bool:
    """Whether both found something; True and False say so as well."""
    found = got if isinstance(got, bool) else got is not None
    return bool(found == (wanted is not None))


def runs(arguments: Sequence[Any], got: Any, wanted: Any, atol: float) -> bool:
    """`are_equivalent`: its text does not say what makes numbers equivalent, so EvalPlus lets every output pass."""
    return True


def same_or_zero(arguments: Sequence[Any], got: Any, wanted: Any, atol: float) -> bool:
    """`sum_div`: EvalPlus lets 0 pass as well."""
    return same(got, wanted, atol) or bool(got == 0)


def same_or_upright(arguments: Sequence[Any], got: Any, wanted: Any, atol: float) -> bool:
    """`surface_Area`: the height of a square pyramid may be the slant height or the distance of apex and base."""
    edge, height = arguments
    area = round(edge**2 + 2 * edge * math.hypot(edge / 2, height))
    return same(got, wanted, atol) or (isinstance(got, int | float) and abs(got - area) <= atol)


def same_or_aligned(arguments: Sequence[Any], got: Any, wanted: Any, atol: float) -> bool:
    """`digit_distance_nums`: the digits of the difference, or the differences of digits aligned at the last."""
    first, second = (str(number) for number in arguments)
    width = max(len(first), len(second))
    pairs = zip(first.zfill(width), second.zfill(width), strict=True)
    return same(got, wanted, atol) or bool(got == sum(abs(int(a) - int(b)) for a, b in pairs))


JUDGES: dict[str, Judge] = {
    **dict.fromkeys(UNORDERED, same_items),
    **dict.fromkeys(MATCHES, same_match),
    "are_equivalent": runs,
    "sum_div": same_or_zero,
    "surface_Area": same_or_upright,
    "digit_distance_nums": same_or_aligned,
}
