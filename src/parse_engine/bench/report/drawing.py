"""What the plots share: axes, direct labels that keep out of each other's way, and SVG in the page's own colours."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Bbox, BboxBase, IdentityTransform

Box = tuple[float, float, float, float]
"""Left, bottom, right and top."""
Place = tuple[float, float, str, str]
"""Points to the right and up from what is named, and how the text is aligned there."""

WIDTH = 340  # points; a phone shows about as many pixels, so text stays readable
FONT = 12
LINE_HEIGHT = 1.25 * FONT
LEFT, RIGHT, TOP, BOTTOM = 42, 12, 28, 40  # margins around the axes, in points

# Colours that matplotlib draws with -> variables of the page's style sheet, which has light and dark ones.
COLOURS = {
    "#000001": "--ink",
    "#000002": "--muted",
    "#000003": "--line",
    "#000004": "--card",
    "#000005": "--kept-line",
    "#000006": "--verify",
    "#000007": "--target-line",
    "#000008": "--other",
    **{f"#00001{number}": f"--series-{number}" for number in range(8)},
}
INK, MUTED, LINE, CARD = list(COLOURS)[:4]
PHASES = dict(zip(("draft", "verify", "continue", "other"), list(COLOURS)[4:8], strict=True))
_SERIES = list(COLOURS)[8:]
_MARKERS = "oDs^vPXp"
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))

_PLACES: Sequence[Place] = tuple(
    (across * radius, up * radius, ("right", "center", "left")[across + 1], ("top", "center", "bottom")[up + 1])
    for radius in (9, 24, 40, 60)
    for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))
)

_LEADER = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3}

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "parse-engine",
    "text.parse_math": False,
    "font.size": FONT,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": FONT - 0.5,
    "ytick.labelsize": FONT - 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": FONT,
    "axes.titlecolor": MUTED,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


def make_axes(height: float, y_name: str = "", right: float = RIGHT) -> tuple[Figure, Axes]:
    """A figure with margins fixed in points, and its axes; the vertical one is named above itself."""
    chart = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)  # a pixel is a point
    FigureCanvasAgg(chart)
    left = LEFT if y_name else 8
    axes = chart.add_axes((left / WIDTH, BOTTOM / height, 1 - (left + right) / WIDTH, 1 - (TOP + BOTTOM) / height))
    axes.tick_params(length=0, pad=5)
    axes.set_title(y_name, loc="left", x=(8 - left) / (WIDTH - left - right), pad=9)
    return chart, axes


def speed_axis(axes: Axes) -> None:
    """Make the horizontal axis one of ratios: twice as fast is as far from 1 as half as fast."""
    axes.set_xscale("log")
    axes.autoscale_view()
    low, high = axes.get_xlim()
    steps = (1, 1.5, 2, 3, 4, 5, 7) if high > 2 * low else (1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def look(method: str, methods: Iterable[str]) -> dict[str, Any]:
    """A method's own colour, marker and line; the same in all plots of a task. They repeat after eight."""
    number = list(methods).index(method)
    return {
        "color": _SERIES[number % len(_SERIES)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": _DASHES[number % len(_DASHES)],
    }


def folded(method: str, width: int = 18) -> str:
    """A method's name in lines of about `width` characters, broken before its settings; the third and later go."""
    lines = [""]
    for part in re.split(r"(?=[:+])", method):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    lines = [line if len(line) <= width + 4 else f"{line[: width + 3]}…" for line in lines]
    return "\n".join([*lines[:2], *(["…"] if len(lines) > 2 else [])])


def label_points(
    axes: Axes, points: Mapping[str, tuple[float, float]], bars: Sequence[Box], colours: Mapping[str, str]
) -> None:
    """Name the points, each beside itself where the least is in the way.

    `bars` are the boxes of the error bars in the axes' own units.
    """
    chart, renderer = _measure(axes)
    to_points = axes.transData.transform
    marks = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in to_points([*points.values()])]
    lines = [Bbox(to_points([(left, low), (right, high)])).padded(1) for left, low, right, high in bars]
    frame = Bbox.from_extents(axes.bbox.x0, axes.bbox.y0, chart.bbox.x1, axes.bbox.y1)  # the ticks' names are outside
    placed: list[Bbox] = []
    for method, point in points.items():
        text = axes.annotate(
            folded(method),
            point,
            xytext=(0, 0),
            textcoords="offset points",
            linespacing=1.05,
            color=colours[method],
            arrowprops=dict(_LEADER),
        )
        tried = []
        for number, place in enumerate(_PLACES):
            _move(text, place)
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer)  # an annotation's own holds the leader too
            outside = _area(box) - _overlap(box, frame)
            cost = 10 * outside + sum(3 * _overlap(box, other) for other in [*placed, *marks])
            cost += sum(_overlap(box, line) for line in lines) + 2 * max(map(abs, place[:2]))
            tried.append((cost, number, place, box))
        _, _, place, box = min(tried, key=lambda one: one[:2])
        _move(text, place)
        if text.arrow_patch is not None:
            text.arrow_patch.set_visible(max(map(abs, place[:2])) > 9)
        placed.append(box.padded(1))


def label_beside(axes: Axes, name: str, point: tuple[float, float], colour: str) -> None:
    """Name a curve to the right of one of its points, or to the left where there is no room."""
    chart, renderer = _measure(axes)
    text = axes.annotate(name, point, (6, 0), textcoords="offset points", va="center", color=colour)
    text.update_positions(renderer)
    if Text.get_window_extent(text, renderer).x1 > chart.bbox.x1:
        _move(text, (-6, 0, "right", "center"))


def label_ends(axes: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str]) -> None:
    """Name curves to the right of the axes, each at the height of its end as far as there is room."""
    wanted = {
        method: axes.transData.transform(end)[1] - axes.bbox.y0
        for method, end in sorted(ends.items(), key=lambda item: item[1][1])
    }
    sizes = [LINE_HEIGHT * (folded(method).count("\n") + 1) for method in wanted]
    for method, spot in zip(wanted, spread([*wanted.values()], sizes, axes.bbox.height), strict=True):
        axes.annotate(
            folded(method),
            ends[method],
            xytext=(axes.bbox.x1 + 8, axes.bbox.y0 + spot),
            textcoords="figure points",
            va="center",
            linespacing=1.05,
            color=colours[method],
            arrowprops=_LEADER,
        )


def spread(wanted: Sequence[float], sizes: Sequence[float], height: float) -> list[float]:
    """Centres near the wanted ones (in ascending order) at which labels of these sizes do not overlap.

    They stay within [0, height] as long as there is room for them all.
    """
    spots: list[float] = []
    for centre, size in zip(wanted, sizes, strict=True):
        low = spots[-1] + (sizes[len(spots) - 1] + size) / 2 if spots else size / 2
        spots.append(max(centre, low))
    top = height
    for number in reversed(range(len(spots))):
        spots[number] = min(spots[number], top - sizes[number] / 2)
        top = spots[number] - sizes[number] / 2
    return spots


def name_swatches(axes: Axes, colours: Mapping[str, str]) -> None:
    """Names with their colours in one row, right above the axes."""
    chart, renderer = _measure(axes)
    x, y = axes.bbox.x0, axes.bbox.y1 + 12
    for name, colour in colours.items():
        chart.add_artist(Rectangle((x, y - 4.5), 9, 9, transform=IdentityTransform(), facecolor=colour))
        text = chart.text((x + 13) / chart.bbox.width, y / chart.bbox.height, name, va="center_baseline")
        x = text.get_window_extent(renderer).x1 + 16


def to_svg(chart: Figure) -> str:
    """The drawing as an `svg` element for use in a page."""
    written = io.StringIO()
    chart.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<style type=\"text/css\">.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>",
        r'<svg xmlns="http://www.w3.org/2000/svg" class="plot" \1 role="img">',
        svg,
        count=1,
    )
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace("xlink:href", "href")
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    return re.sub("#0000[01][0-9]", lambda found: f"var({COLOURS[found[0]]})", svg)


def _measure(axes: Axes) -> tuple[Figure, Any]:
    """The figure, with all limits settled, and what measures texts on it."""
    axes.autoscale_view()
    chart = axes.get_figure(root=True)
    assert chart is not None
    return chart, chart.canvas.get_renderer()  # type: ignore[attr-defined]


def _move(text: Annotation, place: Place) -> None:
    across, up, horizontal, vertical = place
    text.set_position((across, up))
    text.set(ha=horizontal, va=vertical, multialignment=horizontal)


def _area(box: Bbox) -> float:
    return float(box.width * box.height)


def _overlap(one: Bbox, other: BboxBase) -> float:
    both = Bbox.intersection(one, other)
    return _area(both) if both else 0.0
