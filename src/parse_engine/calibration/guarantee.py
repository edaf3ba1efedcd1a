"""What may be promised of a loss, given how often it was seen: p-values and fixed-sequence testing.

Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei, 2021): every setting of the engine is a hypothesis "its
risk is above `max_loss`". One that is rejected at level 1 - confidence may be promised. Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from scipy.stats import binom


def binomial_p_value(losses: int, questions: int, max_loss: float) -> float:
    """How likely so few losses are at a risk of `max_loss`, for losses of 0 and 1. Exact, and valid at any higher risk.

    Raises:
        ValueError: the numbers do not fit together.
    """
    _check(losses, questions, max_loss)
    return float(binom.cdf(losses, questions, max_loss)) if questions else 1.0


def fixed_sequence(p_values: Iterable[float], level: float) -> int:
    """How many hypotheses, in an order that was fixed without looking at these data, can be rejected together.

    All of the first that have p <= level. That any of them is true has a probability of at most `level`, however many
    they are: to reject a true one, the first true one has to be rejected, and that is one test.
    """
    rejected = 0
    for p in p_values:
        if p > level:
            break
        rejected += 1
    return rejected


def fewest_questions(max_loss: float, level: float) -> int:
    """The least number of questions with which anything can be promised: those on which no loss at all is enough."""
    return math.ceil(math.log(level) / math.log1p(-max_loss))


def _check(losses: int, questions: int, max_loss: float) -> None:
    if not 0 < max_loss < 1:
        raise ValueError(f"max_loss {max_loss} is not between 0 and 1")
    if not 0 <= losses <= questions:
        raise ValueError(f"{losses} losses in {questions} questions")
