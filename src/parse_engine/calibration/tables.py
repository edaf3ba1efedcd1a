"""A profile in words and tables."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.markup import escape
from rich.table import Table

from parse_engine.profile import Profile, Ranking, Setting, Tried

SHOWN = 12
"""Rows of the table of settings, per judge; the page has all."""
NO_GAIN = "no gain"
NO_GAIN_MEANS = "lost few enough as well, but is not faster than the target alone"


def promise_lines(profile: Profile) -> Iterator[str]:
    """What is promised, and from what; in Rich's markup."""
    tasks = ", ".join(f"{facts['questions']} of {name}" for name, facts in profile.tasks.items())
    yield escape(f"target {profile.target}, drafter {profile.draft}, {profile.backend}, {profile.dtype}")
    yield escape(f"questions: {tasks}; judges fitted on {profile.fitted_on}, settings tested on {profile.tested_on}")
    yield f"alone the target has {profile.target_right:.1%} right, the drafter {profile.draft_right:.1%}"
    yield f"[bold]{promise(profile)}[/]"
    yield costs_line(profile)
    choice = profile.choice
    if choice is None:
        return
    yield f"It lost {choice.losses} and won {choice.gains} of the {profile.tested_on} (p = {choice.p_value:.3g})."
    yield f"setting: {describe_setting(choice.setting)}"
    yield (
        f"expected, with {profile.concurrency} in flight: {choice.speed:.2f}x the target's speed, {choice.kept:.0%} of "
        f"the tokens from the drafter, {choice.accepted:.0%} of the drafts kept whole"
    )


def costs_line(profile: Profile) -> str:
    """What the expected speeds are worked out from; see calibration/costs.py."""
    target, draft, verify, row, read = (
        f"{1000 * profile.costs[name]:.3g} ms" for name in ("target", "draft", "verify", "row", "read")
    )
    return (
        f"costs with {profile.concurrency} in flight: {target} a token of the target, {draft} of the drafter; "
        f"{verify} a pass, {row} each of its tokens, {read} more where its probability is read"
    )


def promise(profile: Profile) -> str:
    """What is promised of the chosen setting, or that nothing is."""
    limit = f"at most {percent(profile.max_loss)} of such questions are right with the target and wrong with PARSE"
    confidence = f"with {percent(profile.confidence)} confidence"
    if not profile.tried:
        return (
            f"Nothing is promised: with {profile.concurrency} in flight no setting is faster than the target alone. "
            "With this profile the target answers alone."
        )
    if profile.choice is None:
        return (
            f"Nothing is promised. It could be shown of no setting faster than the target that {limit} ({confidence}). "
            "With this profile the target answers alone."
        )
    return f"Promised {confidence}: {limit}."


def percent(share: float) -> str:
    """With no more digits than it has, so that 0.999 is not said to be 100%."""
    return f"{100 * share:.6g}%"


def describe_setting(setting: Setting) -> str:
    """As a method of the bench."""
    full = f"full_threshold={setting.full_threshold:.6g}"
    if setting.max_prefixes == 1:
        return f"parse:judge={setting.judge}:max_prefixes=1:{full}"
    rest = f"delta={setting.delta}:rule={setting.boundary_rule}"
    return f"parse:judge={setting.judge}:threshold={setting.threshold:.6g}:{full}:{rest}"


def ranking_table(profile: Profile) -> Table:
    """How well each judge ranks what it was not fitted to."""
    title = "AUC on the tested questions, with 95 % intervals"
    table = Table("judge", "full draft right", "prefix safe", title=title, box=box.SIMPLE)
    for judge, ranking in profile.rankings.items():
        table.add_row(judge, *map(escape, ranking_cells(ranking)))
    return table


def tried_table(profile: Profile) -> Table:
    """The settings in the order of their tests; it fits a terminal of 80 columns."""
    title = "settings, for each judge from the safest to the fastest"
    marks = {result(tried, profile.choice) for tried in profile.tried}
    caption = f"{NO_GAIN}: {NO_GAIN_MEANS}" if NO_GAIN in marks else None
    table = Table(box=box.SIMPLE, title=title, caption=caption, padding=0, show_edge=False)
    for column in ("judge", "", "speed", "lost", "won", "kept", "p", "full", "prefix", "delta", "rule"):
        table.add_column(column, justify="left" if column in ("judge", "", "rule") else "right")
    for judge in profile.rankings:
        own = [tried for tried in profile.tried if tried.setting.judge == judge]
        for tried in _some(own):
            mark = result(tried, profile.choice).replace("chosen", "[green]chosen[/]")
            *thresholds, rule = setting_cells(tried.setting)
            table.add_row(
                judge,
                mark,
                f"{tried.speed:.2f}x",
                f"{tried.losses}",
                f"{tried.gains}",
                f"{tried.kept:.0%}",
                f"{tried.p_value:.3g}",
                *thresholds,
                rule.partition("-")[0],
            )
    return table


def result(tried: Tried, choice: Tried | None) -> str:
    """What came of a test: `chosen`, `promised`, `no gain`, or nothing."""
    if not tried.promised:
        return ""
    return "chosen" if tried == choice else "promised" if tried.speed > 1 else NO_GAIN


def setting_cells(setting: Setting) -> tuple[str, str, str, str]:
    """Threshold of the full draft and of a prefix, delta and rule; of the full draft alone where it alone is judged."""
    full = f"{setting.full_threshold:.6g}"
    if setting.max_prefixes == 1:
        return full, "", "", ""
    return full, f"{setting.threshold:.6g}", f"{setting.delta}", setting.boundary_rule


def ranking_cells(ranking: Ranking) -> tuple[str, str]:
    """AUC of full drafts and of prefixes."""

    def cell(value: float | None, interval: tuple[float, float] | None) -> str:
        if value is None or interval is None:
            return "all alike"
        return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"

    return cell(ranking.full, ranking.full_ci), cell(ranking.prefix, ranking.prefix_ci)


def _some(tried: list[Tried]) -> list[Tried]:
    """At most `SHOWN`, evenly from the first to the last, with all that are promised at the border."""
    if len(tried) <= SHOWN:
        return tried
    places = {round(at * (len(tried) - 1) / (SHOWN - 1)) for at in range(SHOWN)}
    promised = sum(each.promised for each in tried)
    return [each for at, each in enumerate(tried) if at in places | {promised - 1, promised}]
