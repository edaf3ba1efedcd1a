"""The plots of a task as SVG, in the page's own colours and fonts: `var(--ink)` and so on, which the page defines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

from parse_engine.bench.report import drawing
from parse_engine.bench.report.pairs import Group
from parse_engine.bench.report.sheets import seconds_form
from parse_engine.bench.report.summary import MethodSummary


@dataclass(frozen=True)
class Plot:
    """A drawing and what is to be said about it."""

    title: str
    svg: str
    caption: str


def plots(methods: Mapping[str, MethodSummary], answers: Mapping[str, Group]) -> list[Plot]:
    """The plots of one task; those that have nothing to show are left out."""
    with mpl.rc_context(drawing.STYLE):
        drawn = [
            accuracy_against_speed(methods),
            time_by_phase(methods),
            acceptance_along_the_answer(methods),
            latency_curves(answers),
        ]
    return [plot for plot in drawn if plot]


def accuracy_against_speed(methods: Mapping[str, MethodSummary]) -> Plot | None:
    """With the interval of the difference to the target around the accuracy; similarity where there is no key."""
    compared = all(figures.speed_ratio is not None for figures in methods.values())
    keyed = any(figures.accuracy is not None for figures in methods.values())
    points = {}
    for method, figures in methods.items():
        x = figures.speed_ratio if compared else figures.tokens_per_s
        y = figures.accuracy if keyed else figures.similarity
        if x is not None and y is not None:
            points[method] = (x, 100 * y if keyed else y)
    if not points:
        return None
    chart, axes = drawing.make_axes(290, "accuracy, %" if keyed else "similarity, nats per token")
    axes.grid(True)
    bars: list[drawing.Box] = []
    for method, (x, y) in points.items():
        figures = methods[method]
        left, right = (compared and figures.speed_ratio_ci) or (x, x)
        low = high = y
        if figures.accuracy_diff_ci and figures.accuracy_diff is not None:
            low, high = (y + 100 * (end - figures.accuracy_diff) for end in figures.accuracy_diff_ci)
        bars += [(left, y, right, y), (x, low, x, high)]
        style = drawing.look(method, methods)
        axes.plot([left, right, x, x, x], [y, y, y, low, high], color=style["color"], linewidth=1.3, zorder=3)
        axes.plot([x], [y], color=style["color"], marker=style["marker"], markersize=8, zorder=4)
    frontier = pareto(list(points.values()))
    axes.plot(*zip(*frontier, strict=True), color=drawing.MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=2)
    axes.margins(x=0.12, y=0.14)
    drawing.speed_axis(axes)
    if keyed:
        low, high = axes.get_ylim()
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 100])
        axes.set_ylim(max(low, -2), min(high, 102))
    axes.set_xlabel("times as fast as the target" if compared else "tokens per second")
    drawing.label_points(axes, points, bars, _colours(methods))
    caption = "Up and to the right is better; the dotted line joins the methods that none beats in both."
    intervals = (
        " Bars: 95 % intervals, of the accuracy's difference to the target and of the speed." if compared else ""
    )
    title = "Accuracy against speed" if keyed else "Similarity against speed"
    return Plot(title, drawing.to_svg(chart), caption + intervals)


def time_by_phase(methods: Mapping[str, MethodSummary]) -> Plot | None:
    """Mean seconds per answer, stacked."""
    totals = {method: figures.seconds_per_answer for method, figures in methods.items() if figures.seconds_per_answer}
    if not totals:
        return None
    chart, axes = drawing.make_axes(40 * len(totals) + drawing.TOP + drawing.BOTTOM)
    shown: dict[str, str] = {}
    form = seconds_form(methods)
    widest = max(totals.values())
    for place, (method, total) in enumerate(totals.items()):
        figures = methods[method]
        spent = {
            "draft": figures.draft_seconds or 0.0,
            "verify": figures.verify_seconds or 0.0,
            "continue": figures.continue_seconds or 0.0,
        }
        spent["other"] = max(0.0, total - sum(spent.values()))
        start = 0.0
        for phase, seconds in spent.items():
            if seconds > 0.002 * widest:
                colour = shown[phase] = drawing.PHASES[phase]
                axes.barh(place + 0.1, seconds, left=start, height=0.42, color=colour, edgecolor=drawing.CARD)
            start += seconds
        axes.text(0, place - 0.16, shortened(method), ha="left", va="bottom")
        axes.text(start, place + 0.1, f" {form.format(total)} s", ha="left", va="center", color=drawing.MUTED)
    axes.set_xlim(0, 1.2 * widest)
    axes.set_ylim(len(totals) - 0.6, -0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("seconds per answer")
    drawing.name_swatches(axes, {phase: shown[phase] for phase in drawing.PHASES if phase in shown})
    return Plot(
        "Time by phase", drawing.to_svg(chart), "Mean wall-clock seconds of an answer, by what they were spent on."
    )


def acceptance_along_the_answer(methods: Mapping[str, MethodSummary]) -> Plot | None:
    """Share of judged prefixes that were accepted, by relative length."""
    curves = {
        method: [
            ((tenth + 0.5) * 10, 100 * share) for tenth, share in enumerate(figures.acceptance) if share is not None
        ]
        for method, figures in methods.items()
        if figures.acceptance
    }
    if not curves:
        return None
    chart, axes = drawing.make_axes(270, "prefixes accepted, %", right=132)
    axes.grid(True, axis="y")
    for method, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), markersize=5, linewidth=1.8, **drawing.look(method, methods))
    axes.set_xlim(0, 100)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("length of the prefix, % of the draft")
    drawing.label_ends(axes, {method: curve[-1] for method, curve in curves.items()}, _colours(methods))
    caption = "Of the prefixes of each length, the share that was accepted."
    return Plot("Acceptance along the answer", drawing.to_svg(chart), caption)


def latency_curves(answers: Mapping[str, Group]) -> Plot | None:
    """Empirical distribution of the seconds per answer."""
    seconds = {
        method: sorted(timed.record.answer.trace.seconds.total for timed in compared)
        for method, group in answers.items()
        if (compared := [timed for timed in group.values() if timed.wall is not None])
    }
    if not seconds:
        return None
    chart, axes = drawing.make_axes(290, "answers finished, %")
    axes.grid(True)
    longest = max(values[-1] for values in seconds.values())
    order = sorted(seconds, key=lambda method: seconds[method][len(seconds[method]) // 2])
    named = {}
    for place, method in enumerate(order):
        values = seconds[method]
        style: dict[str, Any] = {**drawing.look(method, answers), "marker": None}
        shares = [0.0, *(100 * (number + 1) / len(values) for number in range(len(values))), 100.0]
        axes.step([0.0, *values, 1.03 * longest], shares, where="post", linewidth=1.8, **style)
        # Each name at a height of its own, beside its curve: the fastest highest.
        level = 92 - 84 * (place + 0.5) / len(order)
        named[method] = (values[int(level / 100 * len(values))], level)
    axes.set_xlim(0, 1.03 * longest)
    axes.set_ylim(0, 103)
    axes.set_xlabel("seconds to the end of the answer")
    for method, point in named.items():
        drawing.label_beside(axes, shortened(method), point, _colours(answers)[method])
    caption = "How many of the answers were finished after so many seconds: further left is faster."
    return Plot("Latency", drawing.to_svg(chart), caption)


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other one beats in both coordinates, from left to right."""
    best: list[tuple[float, float]] = []
    for point in sorted(set(points), reverse=True):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    return best[::-1]


def shortened(method: str) -> str:
    """A method's name for a single line of a plot."""
    return method if len(method) <= 34 else f"{method[:16]}…{method[-16:]}"


def _colours(methods: Iterable[str]) -> dict[str, str]:
    return {method: drawing.look(method, methods)["color"] for method in methods}
