from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.text import Text

from parse_engine.bench.records import Record
from parse_engine.bench.report import drawing
from parse_engine.bench.report.pairs import group
from parse_engine.bench.report.plots import Plot, pareto, plots
from parse_engine.bench.report.summary import summarize
from parse_engine.trace import Seconds

from .samples import record, small_run

SVG = "{http://www.w3.org/2000/svg}"


def drawn(records: list[Record]) -> dict[str, Plot]:
    groups = group(records)["sums"]
    return {plot.title: plot for plot in plots(summarize(records)["sums"], groups)}


def texts(plot: Plot) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(plot.svg).iter(f"{SVG}text")]


def test_all_plots_name_what_they_show_beside_it() -> None:
    made = drawn(small_run())
    assert list(made) == ["Accuracy against speed", "Time by phase", "Acceptance along the answer", "Latency"]
    for title in ("Accuracy against speed", "Time by phase", "Latency"):
        assert {"target", "draft", "parse"} <= set(texts(made[title])), title
    assert "parse" in texts(made["Acceptance along the answer"])
    assert "target" not in texts(made["Acceptance along the answer"])


def test_time_by_phase_shows_the_phases_that_took_time() -> None:
    shown = texts(drawn(small_run())["Time by phase"])
    assert set(drawing.PHASES) <= set(shown)
    assert {"5.00 s", "1.00 s", "3.35 s"} <= {text.strip() for text in shown}
    alone = texts(drawn([record("q/0", "target")])["Time by phase"])
    assert [text for text in alone if text in drawing.PHASES] == ["continue"]


@pytest.mark.parametrize("methods", [["target"], ["parse"], ["target", "parse"]])
def test_one_question_or_one_method_can_be_drawn(methods: list[str]) -> None:
    made = drawn([record("q/0", method, drafted=4, boundaries=[(4, True)], kept=4) for method in methods])
    assert len(made) == 4
    for plot in made.values():
        assert methods[0] in texts(plot)


def test_an_interval_of_one_method_only() -> None:
    """Accuracy is known, its difference is not: the target did not answer alone."""
    made = drawn([record(f"q/{n}", "parse", right=n > 1) for n in range(5)])
    assert "tokens per second" in texts(made["Accuracy against speed"])
    assert "Bars" not in made["Accuracy against speed"].caption


def test_no_accuracy_above_all_is_on_the_axis() -> None:
    shown = texts(drawn([record(f"q/{n}", "parse") for n in range(3)])["Accuracy against speed"])
    numbers = [float(text) for text in shown if re.fullmatch(r"[\d.]+", text)]
    assert 100 in numbers
    assert 102 not in numbers


def test_without_a_key_the_similarity_takes_the_place_of_the_accuracy() -> None:
    made = drawn([record(f"q/{n}", "target", right=None, similarity=-0.5) for n in range(3)])
    assert "similarity, nats per token" in texts(made["Similarity against speed"])


def test_nothing_graded_means_nothing_drawn() -> None:
    waiting = [record("q/0", "parse", graded=False)]
    assert plots(summarize(waiting)["sums"], {"parse": {}}) == []


def test_colours_are_the_page_s_own_in_light_and_dark() -> None:
    for plot in drawn(small_run()).values():
        assert "var(--ink)" in plot.svg or "var(--muted)" in plot.svg
        assert set(re.findall(r"#[0-9a-f]{6}\b", plot.svg)) <= {"#ffffff"}
        assert not re.search(r"<style|<\?xml|<!DOCTYPE|<metadata", plot.svg)
        assert not re.search(r'(?:href|src|url)\s*[=(]\s*"?\s*https?:', plot.svg)


def test_names_are_neither_formulas_nor_tags() -> None:
    made = drawn([record(f"q/{n}", "$a_1$<script>", seconds=Seconds(total=1.0 + n)) for n in range(3)])
    for plot in made.values():
        assert "$a_1$<script>" in texts(plot)
        assert "<script" not in plot.svg


def test_drawing_twice_gives_the_same_bytes() -> None:
    assert drawn(small_run()) == drawn(small_run())


def test_each_method_looks_the_same_in_every_plot_and_unlike_the_others() -> None:
    methods = [f"m{n}" for n in range(8)]
    looks = [tuple(map(str, drawing.look(method, methods).values())) for method in methods]
    assert len(set(looks)) == 8
    assert drawing.look("m3", methods) == drawing.look("m3", [*methods, "m8"])


def test_pareto_against_brute_force() -> None:
    grid = [(float(x), float(y)) for x, y in itertools.product(range(4), range(4))]
    for points in itertools.combinations(grid, 4):
        unbeaten = {
            one
            for one in points
            if not any(other != one and other[0] >= one[0] and other[1] >= one[1] for other in points)
        }
        found = pareto(list(points))
        assert set(found) == unbeaten
        assert found == sorted(found)


def test_labels_at_the_ends_of_curves_do_not_overlap() -> None:
    for wanted in ([0.0, 1.0, 2.0], [50.0, 50.0, 50.0], [97.0, 98.0, 99.0], [10.0, 50.0, 90.0]):
        spots = drawing.spread(wanted, [10.0, 20.0, 10.0], 100.0)
        assert spots[0] >= 5
        assert spots[1] - spots[0] >= 15
        assert spots[2] - spots[1] >= 15
        assert spots[2] <= 95
    assert drawing.spread([10.0, 50.0, 90.0], [10.0, 20.0, 10.0], 100.0) == [10.0, 50.0, 90.0]


def test_long_names_are_broken_before_their_settings() -> None:
    assert drawing.folded("parse") == "parse"
    assert drawing.folded("parse:delta=32:judge=likelihood") == "parse:delta=32\n:judge=likelihood"
    assert drawing.folded("parse:delta=32:judge=likelihood:rule=last-success") == "parse:delta=32\n:judge=likelihood\n…"


def test_no_name_runs_out_of_the_drawing() -> None:
    """A curve at the right edge has its name on the left: all answers took equally long."""
    for name in ("parse", "parse:delta=32:judge=likelihood"):
        svg = drawn([record(f"q/{n}", name) for n in range(3)])["Latency"].svg
        (style, x) = re.findall(rf'<text style="([^"]*)" x="([\d.]+)"[^>]*>{re.escape(name)}</text>', svg)[0]
        assert "text-anchor: end" in style
        assert float(x) < drawing.WIDTH
    svg = drawn([record(f"q/{n}", "parse", seconds=Seconds(total=1.0 + 9 * (n == 2))) for n in range(3)])["Latency"].svg
    assert "text-anchor: end" not in re.findall(r'<text style="([^"]*)"[^>]*>parse</text>', svg)[0]


def test_names_of_points_keep_off_the_names_of_the_ticks() -> None:
    """`target` lay over a tick: it is the slowest, so at the left, and its neighbours took the room beside it."""
    with mpl.rc_context(drawing.STYLE):
        _, axes = drawing.make_axes(290, "accuracy, %")
        points = {"target": (1.0, 50.0), "parse": (1.2, 52.0), "cascade": (1.2, 48.0)}
        for x, y in points.values():
            axes.plot([x], [y])
        axes.set_xlim(0.97, 2)
        drawing.label_points(axes, points, [(1.02, 0, 2, 100)], dict.fromkeys(points, drawing.INK))
        _, renderer = drawing._measure(axes)
        names = [Text.get_window_extent(text, renderer) for text in axes.texts]
    assert all(name.x0 >= axes.bbox.x0 for name in names)
