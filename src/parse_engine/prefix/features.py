"""What one pass tells of every prefix, as numbers that a judge can weigh.

    prompt                 draft
    x x x x x x            y_1 .. y_b1 | .. y_b2 | ...  y_L
                           `segment` of b_2: (b_1, b_2]; its `prefix`: (0, b_2]

All features are free once the draft has gone through the target, but for `verdict`, which costs the suffixes. N is the
number of prefixes, L that of draft tokens, d the target's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from parse_engine.backends.base import Scores, Signal
from parse_engine.prefix.draft import Draft

Values = NDArray[np.float64]
Features = Mapping[str, Values]
"""Name -> [N], and [N, d] for hidden states."""

VERDICT = "verdict"
"""Log-odds of Correct against Incorrect after the suffix."""
HIDDEN = ("hidden.last", "hidden.mean")
"""Hidden states at two thirds of the depth: of the prefix's last token, and the mean over the prefix."""
PLACE = ("place.share", "place.tokens")
"""The prefix's share of the draft's tokens, and the logarithm of their number."""
_MOST_ODDS = 12.0  # beyond this the log-odds are rounding
_LEAST = 10  # tokens
_SURPRISE = -2.0  # log-probability, in nats


def _minus_log(total: float) -> float:
    """Of what adds up over tokens, with 1 added: the first doubt says more than the tenth."""
    return -float(np.log1p(total))


# What is said of the tokens of a stretch, by their log-probabilities. All grow with the target's trust.
_OF_LOGPROBS: Mapping[str, Callable[[Values], float]] = {
    "mean": lambda values: float(values.mean()),
    "sum": lambda values: _minus_log(-values.sum()),
    "least": lambda values: float(np.sort(values)[:_LEAST].mean()),
    "surprises": lambda values: _minus_log(int(np.count_nonzero(values < _SURPRISE))),
}
_STRETCHES = ("segment", "prefix")
TARGET = tuple(f"{stretch}.{name}" for stretch in _STRETCHES for name in (*_OF_LOGPROBS, "agree"))
"""Of the target's log-probabilities of the draft tokens: the mean, the logarithm of the sum, the mean of the ten least,
the logarithm of the number below -2; and the share of the tokens that are its greedy choice."""
ENTROPY = tuple(f"{stretch}.entropy" for stretch in _STRETCHES)
DRAFTER = tuple(f"{stretch}.gap" for stretch in _STRETCHES)
"""How far the target's log-probabilities lie below the drafter's own, where they do: the logarithm of the sum."""

LIKELIHOOD = (*TARGET, *ENTROPY, *DRAFTER, *PLACE)
_WANTED: Mapping[Signal, tuple[str, ...]] = {
    "logprobs": (*TARGET, *DRAFTER),
    "entropy": ENTROPY,
    "hidden": HIDDEN,
    "sampled": DRAFTER,
}


def signals_for(names: Iterable[str]) -> frozenset[Signal]:
    """What has to be asked for, to have these features."""
    asked = set(names)
    return frozenset(signal for signal, told in _WANTED.items() if asked & {*told})


def names_with(signals: frozenset[Signal]) -> tuple[str, ...]:
    """The features that can be had with `signals`, the verdict's and the place included."""
    lacking = {name for signal, told in _WANTED.items() if signal not in signals for name in told}
    return tuple(name for name in (VERDICT, *LIKELIHOOD, *HIDDEN) if name not in lacking)


def features(boundaries: Sequence[int], draft: Draft, scores: Scores) -> Features:
    """All that the scores of a pass allow.

    Args:
        boundaries: draft tokens in each prefix, as they were judged; segments lie between them.
    """
    ends = np.array(boundaries)
    found: dict[str, Values] = {"place.share": ends / len(draft.tokens), "place.tokens": np.log(ends)}
    if scores.labels is not None:
        right, wrong = np.array(scores.labels, dtype=np.float64).T
        tiny = np.finfo(np.float64).tiny
        odds = np.log(np.maximum(right, tiny)) - np.log(np.maximum(wrong, tiny))
        found[VERDICT] = np.clip(odds, -_MOST_ODDS, _MOST_ODDS)
    stretches = {"segment": [0, *boundaries[:-1]], "prefix": [0] * len(boundaries)}
    for stretch, starts in stretches.items():
        spans = [slice(start, end) for start, end in zip(starts, boundaries, strict=True)]
        for name, values in _of_stretch(spans, draft, scores).items():
            found[f"{stretch}.{name}"] = values
    if scores.hidden is not None:
        found |= {name: scores.hidden[:, place].astype(np.float64) for place, name in enumerate(HIDDEN)}
    return found


def matrix(found: Features, names: Sequence[str]) -> Values:
    """[N, F] of the named features side by side; hidden states take d columns each."""
    return np.concatenate([values if (values := found[name]).ndim == 2 else values[:, None] for name in names], axis=1)


def _of_stretch(spans: Sequence[slice], draft: Draft, scores: Scores) -> dict[str, Values]:
    """Of each span of draft tokens what the names above promise."""

    def over(values: ArrayLike, say: Callable[[Values], float]) -> Values:
        own = np.asarray(values, dtype=np.float64)
        return np.array([say(own[span]) for span in spans])

    said: dict[str, Values] = {}
    mean = _OF_LOGPROBS["mean"]
    if scores.logprobs is not None and scores.agrees is not None:
        said = {name: over(scores.logprobs, say) for name, say in _OF_LOGPROBS.items()}
        said["agree"] = over(scores.agrees, mean)
    if scores.entropy is not None:
        said["entropy"] = over(scores.entropy, mean)
    if scores.logprobs is not None and draft.logprobs is not None:
        below = np.maximum(np.asarray(draft.logprobs) - np.asarray(scores.logprobs), 0)
        said["gap"] = over(below, lambda values: _minus_log(values.sum()))
    return said
