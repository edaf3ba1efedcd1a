"""docs/frontier.svg: what speed costs in right answers, for every judge and every pair of models that was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parse_engine.bench.methods import parse_method
from parse_engine.bench.report import drawing
from parse_engine.bench.report.plots import pareto
from parse_engine.calibration.cases import Cases
from parse_engine.calibration.costs import Costs
from parse_engine.calibration.run import drawn
from parse_engine.calibration.search import Simulated, grid, score, simulate_all
from parse_engine.config import Judge, ParseConfig
from parse_engine.profile import Profile, Setting, Tried
from results_blocks import METHODS, RESULTS, real_figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Frontier = Mapping[str, list[tuple[float, float]]]
"""Judge -> speed as a multiple of the target's, and points of right answers against it, of the best settings."""

PROFILES: Mapping[str, str] = {
    "embedded.profile": "embedded pair, arithmetic: expected",
    "gsm8k.profile": "1.5B and 0.5B on vLLM, GSM8K: expected",
    "mbpp-llama.profile": "1.5B, 0.5B on llama.cpp, MBPP: expected",
}
MEASURED = "the same, HumanEval+ with MBPP's profile: measured"
JUDGES = {"prompt": "#0072b2", "likelihood": "#e69f00", "head": "#56b4e9", "fused": "#d55e00"}
INK, MUTED = "#24292f", "#57606a"
STYLE: Any = {
    "svg.hashsalt": "parse-engine",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#d0d7de",
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def write(path: Path) -> None:
    """Draw the frontiers of the committed profiles, and beside them what was measured on HumanEval+."""
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 7), facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        *panels, measured = figure.subplots(2, 2).flat
        for axes, (file, title) in zip(panels, PROFILES.items(), strict=True):
            for judge, points in expected(RESULTS / "records" / file).items():
                x, y = zip(*points, strict=True)
                axes.plot(x, y, marker="o", markersize=3.5, linewidth=1.4, color=JUDGES[judge], label=judge)
            axes.set_title(title)
        name_methods = _draw_measured(measured)
        for axes in (*panels, measured):
            axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
            axes.axvline(1, color=INK, linewidth=0.8, zorder=1)
            axes.set(xlabel="times as fast as the target", ylabel="points of right answers, against the target")
        panels[0].legend(loc="lower left")
        figure.draw_without_rendering()  # settles the layout, by which labels find their places
        name_methods()
        figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def expected(file: Path) -> Frontier:
    """Of every judge of a profile the settings that none of its others beats, on the tested questions.

    Of the whole grid where the cases lie beside the profile, else of the settings that were tried: those which on the
    questions for fitting were faster than the target.
    """
    profile = Profile.load(file)
    found: list[tuple[Setting, Tried | Simulated]] = [(tried.setting, tried) for tried in profile.tried]
    if cases := sorted(Cases(Path(f"{file}.cases")).done.values(), key=lambda case: drawn(*case.key)):
        deltas, costs, testing = [*cases[0].cuts], Costs(**profile.costs), slice(-profile.tested_on, None)
        found = []
        for judge, fitted in profile.fits.items():
            scored = [score(case, fitted, deltas) if case.judged else {} for case in cases]
            learnt = scored[: -profile.tested_on]
            settings = [*grid(cast(Judge, judge), learnt, deltas, ParseConfig().max_prefixes)]
            found += zip(settings, simulate_all(settings, cases[testing], scored[testing], fitted, costs), strict=True)
    points: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for setting, own in found:
        points[setting.judge].append((own.speed, 100 * (own.gains - own.losses) / profile.tested_on))
    return {judge: pareto(own) for judge, own in points.items()}


def _draw_measured(axes: Axes) -> Callable[[], None]:
    """HumanEval+: what the table in docs/results.md has, with the 95 % intervals of the difference in accuracy.

    What may lose answers is left out where it was not tried on all problems.

    Returns what names the methods once the layout is settled.
    """
    accuracy, alone, _ = real_figures("humaneval-llama")
    accuracy = {**real_figures("humaneval-ngrams")[0], **accuracy}
    points: dict[str, tuple[float, float]] = {}
    colours: dict[str, str] = {}
    bars: list[drawing.Box] = []
    for method, speed in alone.items():
        own = accuracy.get(method)
        parsed = parse_method(method)
        lossy = parsed.loop != "target"
        if method == "target" or own is None or (lossy and own["answers"] < accuracy["target"]["answers"]):
            continue
        x, y = speed["speed_ratio"], 100 * own["accuracy_diff"]
        low, high = (100 * end for end in own["accuracy_diff_ci"])
        judge = parsed.settings.get("judge", "")
        colour = JUDGES.get(judge, MUTED)
        if not lossy:
            name = f"{parsed.decoder}, {own['answers']} problems"
        else:
            name = f"{judge} from {parsed.settings['full_threshold']:.2f}" if judge else METHODS[method]
        axes.errorbar(x, y, [[y - low], [high - y]], fmt="o", markersize=4, linewidth=1, color=colour)
        points[name], colours[name] = (x, y), colour
        bars.append((x, low, x, high))
    axes.set_title(MEASURED)
    axes.set(xlim=(0, None), ylim=(None, 3))  # room for the names
    bars.append((0, 0, axes.get_xlim()[1], 0))  # the target's line
    return lambda: drawing.label_points(axes, points, bars, colours)
