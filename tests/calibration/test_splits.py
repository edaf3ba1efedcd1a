from __future__ import annotations

from population import draw
from splits import parts


def test_the_questions_for_fitting_are_drawn_anew_in_every_split() -> None:
    """They were parted by name, so that judges of all splits were fitted to the same quarter of the questions."""
    cases = draw(200, 3)
    fitted: set[tuple[str, str]] = set()
    for number in range(30):
        fitting, testing, held = parts(cases, number, 0.6, 0.25)
        assert [len(part) for part in (fitting, testing, held)] == [30, 90, 80]
        assert {case.key for case in (*fitting, *testing, *held)} == {case.key for case in cases}
        fitted |= {case.key for case in fitting}
    assert len(fitted) > 0.9 * len(cases)
    again, other = parts(cases, 1, 0.6, 0.25), parts(cases, 2, 0.6, 0.25)
    assert again == parts(cases, 1, 0.6, 0.25) != other
