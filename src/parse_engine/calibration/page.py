"""A profile as one self-contained HTML page, for readers who know no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from parse_engine.bench.report import drawing
from parse_engine.bench.report.plots import Plot, pareto
from parse_engine.bench.report.sheets import Sheet
from parse_engine.calibration.tables import describe_setting, percent, promise, ranking_cells, result, setting_cells
from parse_engine.profile import Profile, Tried
from parse_engine.render.html import template

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONG = 15
"""Most rows of a table that is shown without being asked for."""
JUDGES = {
    "prompt": "asks the target whether what it has read is correct",
    "likelihood": "reads how probable the target finds the draft",
    "head": "reads the target's hidden states",
    "fused": "weighs all of these together",
}
COSTS = {
    "target": "a token written by the target",
    "draft": "a token written by the drafter",
    "verify": "a judging pass, however long",
    "row": "each token that the target reads, in a prompt or in a judging pass",
    "read": "each draft token whose probability is read",
}
COLUMNS = {
    "speed": "expected, as a multiple of the target's",
    "lost": "right with the target, wrong with PARSE",
    "won": "the reverse",
    "kept": "share of the tokens that come from the drafter",
    "p": "how likely so few losses would be by luck if the limit did not hold",
    "full draft, prefix": "how sure the judge must be to keep them (1: never)",
    "delta": "tokens between judged prefixes",
    "rule": "whether prefixes count up to the first that fails or up to the last that passes",
}


def page(profile: Profile) -> str:
    """The page of a profile. It loads nothing from anywhere, and all texts are escaped.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    choice = profile.choice
    return template("profile.html", "parse_engine.calibration", "parse_engine.bench.report").render(
        profile=profile,
        tasks=", ".join(profile.tasks),
        promise=promise(profile),
        choice=choice,
        setting=describe_setting(choice.setting) if choice else "",
        confidence=percent(profile.confidence),
        limit=of_hundred(profile.max_loss),
        wrong=of_hundred(1 - profile.confidence),
        disagreement=f"{100 * profile.disagreement:.2g}%",
        plot=trade_off(profile) if profile.tried else None,
        svg=Markup,
        rankings=ranking_sheet(profile),
        settings=settings_sheet(profile),
        chosen=profile.tried.index(choice) if choice else None,
        long=LONG,
        facts=data_facts(profile),
        costs=cost_sheet(profile),
    )


def of_hundred(share: float) -> str:
    """`2.5 of 100`."""
    return f"{100 * share:.4g} of 100"


def trade_off(profile: Profile) -> Plot:
    """Questions lost against the expected speed, for every setting that was tried."""
    from matplotlib import rc_context

    with rc_context(drawing.STYLE):
        chart, axes = drawing.make_axes(300, "lost of 100 questions", right=98)
        axes.grid(True)
        for judge in dict.fromkeys(tried.setting.judge for tried in profile.tried):
            _draw_judge(axes, profile, judge)
        _settle(axes, profile)
        _name_limit_and_judges(axes, profile)
        if profile.choice:
            _mark_choice(axes, profile, profile.choice)
        axes.set_xlabel("times as fast as the target, expected")
        return Plot("What speed costs", drawing.to_svg(chart), _caption(profile))


def ranking_sheet(profile: Profile) -> Sheet:
    """The AUC of every judge."""
    whole = {
        judge: [cell.replace(", ", ",\xa0") for cell in ranking_cells(own)] for judge, own in profile.rankings.items()
    }
    rows = tuple((judge, *cells) for judge, cells in whole.items())
    caption = (
        "Of two drafts, one right and one wrong, how often the judge is surer of the right one (AUC): 1 is always, 0.5 "
        "is a coin toss. The same for prefixes, of which those are safe that the target ends well from. In brackets, "
        "the range in which the value lies with 95 % confidence. All alike: there were none of one kind to compare. "
    )
    judges = "; ".join(f"{judge} {what}" for judge, what in JUDGES.items() if judge in profile.rankings)
    return Sheet("AUC on the tested questions", ("judge", "full draft", "prefix"), rows, f"{caption}Judges: {judges}.")


def settings_sheet(profile: Profile) -> Sheet:
    """All settings, in the order of their tests."""
    names = ("judge", "result", "speed", "lost", "won", "kept", "p", "full draft", "prefix", "delta", "rule")
    rows = tuple(_row(tried, profile.choice) for tried in profile.tried)
    notes = "; ".join(f"{name}: {note}" for name, note in COLUMNS.items())
    caption = (
        "Judge by judge, from the safest to the fastest. Within the limit are a judge's settings before the first "
        "whose few losses could as well be luck: promised those that are faster than the target alone, no gain the "
        "others. "
        f"{notes[0].upper()}{notes[1:]}."
    )
    return Sheet(f"Settings on {profile.tested_on} questions", names, rows, caption)


def data_facts(profile: Profile) -> list[tuple[str, str]]:
    """What the profile was made of, by name."""
    made = profile.provenance
    tasks = [
        (f"Task {name}", f"{facts['questions']} questions, version {facts['version']}, sha256 {facts['sha256']}")
        for name, facts in profile.tasks.items()
    ]
    return [
        ("Target", f"{profile.target}, fingerprint {profile.target_fingerprint}"),
        ("Drafter", f"{profile.draft}, fingerprint {profile.draft_fingerprint}"),
        *tasks,
        ("Questions", f"{profile.fitted_on} to fit the judges, {profile.tested_on} others to test the settings"),
        ("Right alone", f"the target {profile.target_right:.1%}, the drafter {profile.draft_right:.1%}"),
        ("Sampling", _listed(profile.sampling)),
        ("Back end", f"{profile.backend}, dtype {profile.dtype}, {profile.concurrency} in flight"),
        ("Machine", _listed(made["machine"])),
        ("Load at the start", f"{made['load']:.2f}"),
        ("Versions", _listed(made["versions"])),
        ("Made", str(made["time"])),
    ]


def cost_sheet(profile: Profile) -> Sheet:
    """What expected speeds are worked out from."""
    rows = tuple((what, f"{1000 * profile.costs[name]:.4g}") for name, what in COSTS.items())
    caption = (
        f"An answer's share of the wall clock with {profile.concurrency} in flight, measured on this machine. The "
        "expected speeds are worked out from these; whatever is reported as a speed should be measured (parse-engine "
        "bench run)."
    )
    return Sheet("Cost model", ("for", "ms"), rows, caption)


def _draw_judge(axes: Axes, profile: Profile, judge: str) -> None:
    """Its settings, and a line through those that none of its others beats."""
    own = [tried for tried in profile.tried if tried.setting.judge == judge]
    look = _look(profile, judge)
    best = [(x, -y) for x, y in pareto([(x, -y) for x, y in (_point(profile, tried) for tried in own)])]
    axes.plot(*zip(*best, strict=True), linewidth=1.5, zorder=2, **{**look, "marker": None})
    for promised, inside in ((False, drawing.CARD), (True, look["color"])):
        points = [_point(profile, tried) for tried in own if tried.promised == promised]
        marks = {**look, "linestyle": "none", "markersize": 5, "markerfacecolor": inside, "zorder": 3 + promised}
        axes.plot([x for x, _ in points], [y for _, y in points], **marks)


def _settle(axes: Axes, profile: Profile) -> None:
    """Limits with room around the points and the limit, and no losses below none."""
    speeds, losses = zip(*(_point(profile, tried) for tried in profile.tried), strict=True)
    width = max(speeds) - min(speeds) or 1.0
    height = max(*losses, 100 * profile.max_loss)
    axes.set_xlim(min(speeds) - 0.08 * width, max(speeds) + 0.05 * width)
    axes.set_ylim(-0.06 * height, 1.1 * height)


def _name_limit_and_judges(axes: Axes, profile: Profile) -> None:
    """To the right of the axes: the limit at its height, the judges above it or below, wherever there is more room.

    Not at the ends of their lines, which often meet: all judges end with the setting that takes whole drafts unjudged.
    """
    limit = 100 * profile.max_loss
    axes.axhline(limit, color=drawing.INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    text = f"limit\n{of_hundred(profile.max_loss)}"
    axes.annotate(text, (1, limit), (8, 0), axes.get_yaxis_transform(), "offset points", va="center", linespacing=1.05)
    low, high = axes.get_ylim()
    is_high = limit > (low + high) / 2
    for judge in dict.fromkeys(tried.setting.judge for tried in profile.tried):
        axes.plot([], [], markersize=5, linewidth=1.5, label=judge, **_look(profile, judge))
    axes.legend(
        loc="lower left" if is_high else "upper left",
        bbox_to_anchor=(1 + 8 / axes.bbox.width, 0 if is_high else 1),
        borderaxespad=0,
        borderpad=0,
        frameon=False,
        handlelength=2,
        handletextpad=0.5,
        labelcolor="linecolor",
    )


def _mark_choice(axes: Axes, profile: Profile, choice: Tried) -> None:
    """A ring around it and its name beside it, out of the way of the other points and of the names at the right."""
    x, y = _point(profile, choice)
    axes.plot([x], [y], marker="o", markersize=13, color=drawing.INK, markerfacecolor="none", zorder=5)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    names = (right + 0.03 * (right - left), low, 2 * right, high)
    taken = [(x, y, x, y) for x, y in (_point(profile, tried) for tried in profile.tried)]
    drawing.label_points(axes, {"chosen": (x, y)}, [*taken, names], {"chosen": drawing.INK})


def _caption(profile: Profile) -> str:
    ringed = " The ring marks the chosen one, the fastest that is promised." if profile.choice else ""
    return (
        "Every mark is a setting on the tested questions. Further down is safer, further right is faster; a judge's "
        "line joins those of its settings that none of its others beats in both. Filled: shown to be within the "
        f"limit. Hollow: not shown.{ringed} To be below the dashed limit is not enough: with few questions that may be "
        "luck, so there must be a distance that luck does not explain."
    )


def _row(tried: Tried, choice: Tried | None) -> tuple[str, ...]:
    return (
        tried.setting.judge,
        result(tried, choice) or "-",
        f"{tried.speed:.2f}x",
        f"{tried.losses}",
        f"{tried.gains}",
        f"{tried.kept:.0%}",
        f"{tried.p_value:.3g}",
        *(cell or "-" for cell in setting_cells(tried.setting)),
    )


def _point(profile: Profile, tried: Tried) -> tuple[float, float]:
    return tried.speed, 100 * tried.losses / profile.tested_on


def _look(profile: Profile, judge: str) -> dict[str, Any]:
    """The same in all profiles, and none of them the target's in the bench's plots."""
    return drawing.look(judge, dict.fromkeys(("target", *JUDGES, *profile.rankings)))


def _listed(values: Mapping[str, Any]) -> str:
    """What is set."""
    unset: Sequence[object] = (None, [], ())
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items() if value not in unset)
