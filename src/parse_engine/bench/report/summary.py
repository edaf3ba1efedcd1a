"""The figures of a run: the one place where each metric is defined."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from parse_engine.bench.records import Record
from parse_engine.bench.report import stats
from parse_engine.bench.report.pairs import Group, Pair, Timed, enough_questions, graded, group, paired, speed_groups
from parse_engine.trace import Trace

BASELINE = "target"
ALONE = ("target", "draft")
"""The methods in which one model answers by itself."""
DECILES = 10

Deciles = tuple[float | None, ...]
"""Ten values, one for each tenth of the draft."""


@dataclass(frozen=True)
class CategorySummary:
    """One method on one part of a task."""

    answers: int
    accuracy: float | None
    speed_ratio: float | None


@dataclass(frozen=True)
class MethodSummary:
    """One method on one task. Comparisons are with method `target` in the same run, None when it was not run.

    They count the questions and turns that both have answered. Seconds are of the answers whose times compare
    (`Record.finished`). A figure whose denominator is zero is None as well, and so is an interval of too few
    questions (`pairs.TOO_FEW`), or of the target against itself. Answers that wait for their grade count in `ungraded`
    alone.
    """

    answers: int
    ungraded: int
    """Answers left out since they are not graded yet."""
    accuracy: float | None
    """Share of right answers; None in tasks without a key."""
    accuracy_diff: float | None
    """Accuracy less the target's, as a fraction."""
    accuracy_diff_ci: stats.Interval | None
    """95 % interval over questions alone: by a score test, paired (`stats.score_interval`)."""
    gained: int | None
    """Answers right where the target's are wrong."""
    lost: int | None
    """Answers wrong where the target's are right."""
    mcnemar_p: float | None
    """p-value of the exact McNemar test: how likely so uneven a split of `gained` and `lost` is at equal accuracy."""
    unparsed: float | None
    """Share of answers in which no final answer was found; they count as wrong."""
    mixed_wrong: float | None
    """Share of answers that are wrong where target and drafter alone, both in the run, are right."""
    similarity: float | None
    """In tasks without a key: the target's mean log-likelihood of the answers, in nats per token. Not an accuracy."""
    tokens_per_s: float | None
    """Completion tokens of all answers over the wall-clock seconds of all answers."""
    seconds_per_answer: float | None
    """From the prompt to the finished answer; answers in flight at once have each their own."""
    latency_p50: float | None
    """Percentiles of the same seconds."""
    latency_p95: float | None
    latency_p99: float | None
    ttft_mean: float | None
    """Seconds to the first final text: for `parse` what is committed, else the first token."""
    ttft_p50: float | None
    ttft_p95: float | None
    speed_ratio: float | None
    """The target's wall-clock seconds over this method's, for the same questions. Answers may differ in length."""
    speed_ratio_ci: stats.Interval | None
    """95 % interval over questions alone: jackknife, paired, by batch (`pairs.speed_groups`)."""
    throughput_ratio: float | None
    """Tokens per second over the target's."""
    kept_share: float | None
    """Committed draft tokens over completion tokens."""
    computed_tokens: float | None
    """Token rows through the target per answer."""
    verify_passes: float | None
    """Per answer, as are the seconds of the phases below."""
    draft_seconds: float | None
    verify_seconds: float | None
    continue_seconds: float | None
    overhead: float | None
    """Share of the total seconds that lies outside the three phases."""
    cut: float | None
    """Share of answers cut by max_tokens."""
    total_rejections: float | None
    """Share of judged drafts of which nothing was kept."""
    rejection_seconds: float | None
    """Seconds spent on drafting and judging one of them, on average."""
    rejection_cost: float | None
    """Share of the method's total seconds spent on drafting and judging them."""
    acceptance: Deciles | None
    """Share of judged prefixes that were accepted, by the length of the prefix over that of the draft: (0, 0.1] and so
    on; the full draft is in the last one."""
    judged: tuple[int, ...] | None
    """Prefixes judged, in the same tenths."""
    categories: dict[str, CategorySummary]
    """By category, where the task has any."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


Summary = dict[str, dict[str, MethodSummary]]
"""Task -> method -> figures."""


def summarize(records: Sequence[Record]) -> Summary:
    """Summarize a run, tasks and methods in the order in which they first occur."""
    return {
        task: {method: _summarize_method(method, methods) for method in methods}
        for task, methods in group(records).items()
    }


def to_plain(summary: Summary) -> dict[str, dict[str, dict[str, Any]]]:
    """The summary as plain data: the object that `parse-engine bench run --json` prints."""
    return {task: {method: row.to_dict() for method, row in methods.items()} for task, methods in summary.items()}


def _summarize_method(method: str, methods: Mapping[str, Group]) -> MethodSummary:
    own = graded(methods[method])
    records = [timed.record for timed in own.values()]
    traces = [record.answer.trace for record in records]
    seconds = [timed.record.answer.trace.seconds for timed in own.values() if timed.wall is not None]
    totals = [spent.total for spent in seconds]
    firsts = [spent.first for spent in seconds]
    total = sum(totals)
    draft, verify, continue_ = (
        sum(getattr(spent, phase) for spent in seconds) for phase in ("draft", "verify", "continue_")
    )
    pairs = paired(own, graded(methods.get(BASELINE, {})))
    against_target = {**_accuracy_against_target(pairs), **_speed_against_target(pairs)}
    if method == BASELINE:  # it equals itself for certain
        against_target |= {"accuracy_diff_ci": None, "speed_ratio_ci": None}
    return MethodSummary(
        answers=len(records),
        ungraded=len(methods[method]) - len(records),
        accuracy=accuracy(own.values()),
        **against_target,
        unparsed=_mean(
            [not record.grade.parsed for record in records if record.grade and record.grade.right is not None]
        ),
        mixed_wrong=_mixed_wrong(method, methods),
        similarity=_mean([record.similarity for record in records if record.similarity is not None]),
        tokens_per_s=tokens_per_s(list(own.values())),
        seconds_per_answer=_mean(totals),
        latency_p50=_percentile(totals, 50),
        latency_p95=_percentile(totals, 95),
        latency_p99=_percentile(totals, 99),
        ttft_mean=_mean(firsts),
        ttft_p50=_percentile(firsts, 50),
        ttft_p95=_percentile(firsts, 95),
        kept_share=_over(
            sum(trace.committed_tokens for trace in traces), sum(record.answer.completion_tokens for record in records)
        ),
        computed_tokens=_mean([trace.computed_tokens for trace in traces]),
        verify_passes=_mean([trace.verify_passes for trace in traces]),
        draft_seconds=_over(draft, len(seconds)),
        verify_seconds=_over(verify, len(seconds)),
        continue_seconds=_over(continue_, len(seconds)),
        overhead=_over(total - draft - verify - continue_, total),
        cut=_mean([record.answer.finish_reason == "length" for record in records]),
        **_rejections(own.values()),
        **_acceptance(records),
        categories=_categories(own, pairs),
    )


def accuracy(answers: Iterable[Timed]) -> float | None:
    """Share of right answers of those that have a key."""
    return _mean([timed.right for timed in answers if timed.right is not None])


def tokens_per_s(answers: Sequence[Timed]) -> float | None:
    """Completion tokens of all answers over the wall-clock seconds of all answers."""
    timed = [(t.record.answer.completion_tokens, t.wall) for t in answers if t.wall is not None]
    return _over(sum(tokens for tokens, _ in timed), sum(wall for _, wall in timed))


def speed(pairs: Sequence[Pair]) -> tuple[float | None, stats.Interval | None]:
    """How many times faster the first of each pair is, with its interval; see `pairs.speed_groups`."""
    walls = [(mine.wall, theirs.wall) for mine, theirs in pairs if mine.wall is not None and theirs.wall is not None]
    own, other = [mine for mine, _ in walls], [theirs for _, theirs in walls]
    if not own or min(*own, *other) <= 0:
        return None, None
    groups = speed_groups([pair for pair in pairs if pair[0].wall is not None and pair[1].wall is not None])
    interval = None if groups is None else stats.speed_ratio_interval(own, other, groups)
    return stats.speed_ratio(own, other), interval


def accuracy_difference(pairs: Sequence[Pair]) -> tuple[float | None, stats.Interval | None]:
    """Accuracy of the first of each pair less that of the second, with its interval, by question."""
    keyed = _keyed(pairs)
    if not keyed:
        return None, None
    own, other = [mine for _, mine, _ in keyed], [theirs for _, _, theirs in keyed]
    questions = [question for question, _, _ in keyed]
    enough = enough_questions(pairs)
    interval = stats.accuracy_difference_interval(own, other, questions) if enough else None
    return stats.accuracy_difference(own, other), interval


def is_judged(trace: Trace) -> bool:
    """Whether there is a draft that a pass has gone over. An unfinished one is judged too, an empty one is not."""
    return trace.verify_passes > 0 and trace.draft_tokens > 0


def is_total_rejection(trace: Trace) -> bool:
    """Whether no prefix of a judged draft was accepted; tokens that equal the target's own choice may yet be kept."""
    return is_judged(trace) and not any(boundary.accepted for boundary in trace.boundaries)


def _keyed(pairs: Sequence[Pair]) -> list[tuple[str, bool, bool]]:
    """Question and whether each of the two is right, where the task has a key."""
    return [
        (own.record.question, own.right, other.right)
        for own, other in pairs
        if own.right is not None and other.right is not None
    ]


def _accuracy_against_target(pairs: Sequence[Pair]) -> dict[str, Any]:
    difference, interval = accuracy_difference(pairs)
    keyed = _keyed(pairs)
    gained = sum(own and not other for _, own, other in keyed)
    lost = sum(other and not own for _, own, other in keyed)
    return {
        "accuracy_diff": difference,
        "accuracy_diff_ci": interval,
        "gained": gained if keyed else None,
        "lost": lost if keyed else None,
        "mcnemar_p": stats.mcnemar(gained, lost) if keyed else None,
    }


def _speed_against_target(pairs: Sequence[Pair]) -> dict[str, Any]:
    ratio, interval = speed(pairs)
    throughput = _over(tokens_per_s([own for own, _ in pairs]), tokens_per_s([other for _, other in pairs]))
    return {"speed_ratio": ratio, "speed_ratio_ci": interval, "throughput_ratio": throughput}


def _mixed_wrong(method: str, methods: Mapping[str, Group]) -> float | None:
    if method in ALONE or not all(name in methods for name in ALONE):
        return None
    own, target, draft = (graded(methods[name]) for name in (method, *ALONE))
    rights = [
        [own[place].right, target[place].right, draft[place].right]
        for place in own
        if place in target and place in draft
    ]
    return _mean([right == [False, True, True] for right in rights if None not in right])


def _rejections(answers: Collection[Timed]) -> dict[str, Any]:
    judged = [timed for timed in answers if is_judged(timed.record.answer.trace)]
    rejected = [timed for timed in judged if is_total_rejection(timed.record.answer.trace)]
    lost = [timed.record.answer.trace.seconds for timed in rejected if timed.wall is not None]
    spent = [seconds.draft + seconds.verify for seconds in lost]
    total = sum(timed.record.answer.trace.seconds.total for timed in answers if timed.wall is not None)
    return {
        "total_rejections": _over(len(rejected), len(judged)),
        "rejection_seconds": _mean(spent),
        "rejection_cost": _over(sum(spent), total) if judged else None,
    }


def _acceptance(records: Sequence[Record]) -> dict[str, Any]:
    accepted, judged = [0] * DECILES, [0] * DECILES
    for record in records:
        trace = record.answer.trace
        for boundary in trace.boundaries:
            tenth = (DECILES * boundary.end - 1) // trace.draft_tokens
            accepted[tenth] += boundary.accepted
            judged[tenth] += 1
    if not any(judged):
        return {"acceptance": None, "judged": None}
    return {"acceptance": tuple(map(_over, accepted, judged)), "judged": tuple(judged)}


def _categories(own: Group, pairs: Sequence[Pair]) -> dict[str, CategorySummary]:
    names = dict.fromkeys(timed.record.category for timed in own.values() if timed.record.category)
    summaries = {}
    for name in names:
        answers = [timed for timed in own.values() if timed.record.category == name]
        ratio, _ = speed([pair for pair in pairs if pair[0].record.category == name])
        summaries[name] = CategorySummary(answers=len(answers), accuracy=accuracy(answers), speed_ratio=ratio)
    return summaries


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return stats.percentile(values, percent) if values else None


def _over(numerator: float | None, denominator: float | None) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None
