from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from parse_engine.calibration.page import page, trade_off
from parse_engine.calibration.tables import promise
from parse_engine.profile import Profile, Tried
from tests.bench.report.test_page import HOSTILE, Reader, read

from .profiles import make_profile, tried

SVG = "{http://www.w3.org/2000/svg}"


def words(reader: Reader, tag: str, name: str) -> str:
    """The text of an element, with a space between its parts."""
    parts = [
        text
        for path, text in reader.texts
        if any(tag == one and name in (attrs.get("class") or "").split() for one, attrs in path)
    ]
    return " ".join(" ".join(parts).split())


def plain(html: str) -> str:
    """All that can be read on the page."""
    return " ".join(" ".join(text for _, text in read(html).texts).split())


def svg_texts(profile: Profile) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(trade_off(profile).svg).iter(f"{SVG}text")]


def hollow(profile: Profile) -> int:
    """Marks that are filled with the colour of the paper."""
    return len(re.findall(r'<use [^>]*style="fill: var\(--card\)', trade_off(profile).svg))


def unpromised(settings: Sequence[Tried]) -> list[Tried]:
    return [dataclasses.replace(each, promised=False) for each in settings]


def test_it_starts_with_the_promise_in_the_words_of_the_terminal() -> None:
    reader = read(page(make_profile()))
    said = words(reader, "p", "promise")
    assert said == promise(make_profile())
    assert said == (
        "Promised with 95% confidence: at most 2.5% of such questions are right with the target and wrong with PARSE."
    )
    assert words(reader, "dl", "facts").startswith("Lost 1 of 200 Won 2 of 200 Expected speed 1.75x")


def test_it_says_what_is_not_promised_and_how_to_calibrate_again() -> None:
    text = plain(page(make_profile()))
    for part in ("Other tasks.", "Other kinds of prompts", "Other models or sampling settings.", "Single answers."):
        assert part in text
    assert "at most 5 of 100 times" in text
    assert "at most 6.1% of the final answers differ" in text
    assert read(page(make_profile())).under("p", "command").endswith(make_profile().provenance["command"])


def test_a_profile_without_any_promise_says_so_first() -> None:
    nothing = make_profile(tried=unpromised(make_profile().tried))
    html = page(nothing)
    assert words(read(html), "p", "promise").startswith("Nothing is promised. It could be shown of no setting")
    assert "Promised with" not in html
    assert 'class="marked"' not in html
    assert "chosen" not in svg_texts(nothing)
    assert "What is not promised" not in html


def test_what_is_promised_but_slower_than_the_target_is_not_chosen() -> None:
    slow = make_profile(tried=[tried(losses=0, speed=0.9, promised=True), tried(losses=4, speed=1.9)])
    html = page(slow)
    assert words(read(html), "p", "promise").startswith("Nothing is promised.")
    assert 'class="marked"' not in html


def test_the_chosen_setting_is_marked_in_the_table_and_in_the_plot() -> None:
    html = page(make_profile())
    assert words(read(html), "tr", "marked").startswith("fused chosen 1.75x 1 2 61% 0.01 0.9692 0.9745 16 last-success")
    assert html.count('class="marked"') == 1
    assert svg_texts(make_profile()).count("chosen") == 1
    assert "parse:judge=fused:threshold=0.9745" in read(html).under("p", "command")


def test_the_plot_names_the_limit_and_the_judges() -> None:
    shown = svg_texts(make_profile())
    assert {"limit", "2.5 of 100", "prompt", "fused", "lost of 100 questions"} <= set(shown)
    assert "likelihood" not in shown


@pytest.mark.parametrize("limit", [0.001, 0.03, 0.5])
def test_the_limit_and_the_names_of_the_judges_keep_apart(limit: float) -> None:
    svg = trade_off(make_profile(max_loss=limit)).svg
    names = ("limit", "prompt", "fused")
    limit_at, *judges_at = (float(re.findall(rf'([\d.]+)\)">{name}<', svg)[0]) for name in names)
    assert abs(judges_at[0] - judges_at[1]) > 15
    assert min(abs(limit_at - each) for each in judges_at) > 40


def test_the_losses_up_to_twice_the_limit_have_most_of_the_room() -> None:
    """All was squeezed into a corner by the settings that take whole drafts unjudged."""
    unjudged = tried(losses=160, speed=6.0, full_only=True)
    made = make_profile(tried=[*make_profile().tried, unjudged])
    ticks = re.findall(r'x="37" y="([\d.]+)"[^>]*>([\d.]+)<', trade_off(made).svg)
    at = {name: float(y) for y, name in ticks}
    assert at["0"] - at["5"] > 0.5 * (at["0"] - at["80"])
    assert at["0"] - at["2.5"] == pytest.approx(at["2.5"] - at["5"], rel=0.1)


def test_promised_settings_are_filled_and_others_hollow() -> None:
    assert hollow(make_profile()) == 4
    assert hollow(make_profile(tried=unpromised(make_profile().tried))) == 7


def test_no_loss_and_a_single_setting_can_be_drawn() -> None:
    for settings in ([tried(losses=0, speed=1.5)], [tried(losses=0, speed=1.5, promised=True)] * 2):
        assert "fused" in svg_texts(make_profile(tried=settings))


def test_a_profile_that_tested_nothing_has_no_plot() -> None:
    html = page(make_profile(tried=[]))
    assert "<svg" not in html
    assert "none was tested" in html


def test_judges_are_ranked_with_intervals() -> None:
    text = plain(page(make_profile())).replace("\xa0", " ")
    assert "prompt 0.810 [0.750, 0.860] all alike" in text
    assert "fused 0.930 [0.900, 0.950] 0.880 [0.830, 0.920]" in text


def test_a_long_table_of_settings_is_whole_but_closed() -> None:
    short = page(make_profile())
    assert "<details" not in short
    many = [tried(losses=n // 2, speed=1 + n / 10) for n in range(40)]
    reader = read(page(make_profile(tried=many)))
    assert reader.under("details", "more").count("3.90x") == 1
    assert [tag for tag, _ in reader.tags].count("tr") == 40 + 1 + 3 + 6
    assert not [attrs for tag, attrs in reader.tags if tag == "details" and "open" in attrs]


def test_data_and_machine_are_told() -> None:
    text = plain(page(make_profile()))
    for part in (
        "big, fingerprint b16",
        "300 questions, version 3, sha256 " + "ab" * 32,
        "100 to fit the judges, 200 others",
        "max tokens 128, temperature 0.0, top p 1.0",
        "hf, dtype float32, 4 in flight",
        "cpu Abacus, cores 2",
        "parse-engine 0.1.0, python 3.11.9",
        "a token written by the target 20",
        "each token that the target reads, in a prompt or in a judging pass 0.1",
    ):
        assert part in text, part


def test_hostile_names_stay_texts() -> None:
    judge = dataclasses.replace(make_profile().tried[0].setting, judge=HOSTILE)
    usual = make_profile()
    html = page(
        make_profile(
            target=HOSTILE,
            draft=HOSTILE,
            target_fingerprint=HOSTILE,
            backend=HOSTILE,
            dtype=HOSTILE,
            tasks={HOSTILE: {"version": HOSTILE, "questions": HOSTILE, "sha256": HOSTILE}},
            sampling={"stop": [HOSTILE]},
            rankings={HOSTILE: usual.rankings["fused"]},
            tried=[dataclasses.replace(usual.tried[4], setting=judge)],
            provenance={
                **usual.provenance,
                "command": HOSTILE,
                "machine": {"cpu": HOSTILE},
                "versions": {"x": HOSTILE},
            },
        )
    )
    reader = read(html)
    tags = [tag for tag, _ in reader.tags]
    assert "script" not in tags
    assert "img" not in tags
    assert not [attrs for _, attrs in reader.tags if "onerror" in attrs]
    assert HOSTILE in reader.under("p", "command")
    assert html.count("alert(1)") >= 12


def test_it_loads_nothing_and_fits_a_phone() -> None:
    html = page(make_profile())
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!#)[^"'#]""", html)
    assert not re.search(r"<script|<link|@import|url\((?!#)|https?://(?!www\.w3\.org/)", html)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "prefers-color-scheme: dark" in html
    assert html.count('class="wide"') == html.count("<table>") == 3
