from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import KFold

from parse_engine.backends.base import Scores
from parse_engine.calibration import search as searching
from parse_engine.calibration.cases import FULL_ONLY, Case
from parse_engine.calibration.costs import reads_tokens
from parse_engine.calibration.fitting import NOTHING, fit, rows
from parse_engine.calibration.guarantee import binomial_p_value
from parse_engine.calibration.run import Promise, part, search
from parse_engine.calibration.search import NEVER, Scored, crossed_scores, grid, in_order, score, simulate_all
from parse_engine.config import BoundaryRule, ParseConfig
from parse_engine.errors import ConfigError
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.judges import Fit, FittedJudge, PromptJudge, Weights
from parse_engine.prefix.verdict import accepted_prefixes
from parse_engine.profile import Setting, choose
from population import COSTS, DELTAS, MAX_PREFIXES, SIGNALS, draw

RULES: tuple[BoundaryRule, ...] = ("first-failure", "last-success")
CASES = [*draw(59, 5), replace(draw(1, 6)[0], ends=(), cuts=dict.fromkeys(DELTAS, ()), outcomes=())]
NEVER_FIT = Fit(*[Weights(("place.share",), np.zeros(1), NOTHING)] * 2)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    found = fit("fused", SIGNALS, *rows(draw(120, 4), DELTAS))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def scored(fitted: Fit) -> list[Scored]:
    return [score(case, fitted, DELTAS) if case.judged else {} for case in CASES]


def coarse(cases: Sequence[Case], seed: int = 0) -> list[Scored]:
    """Confidences of few different values, so that many lie on a threshold."""
    generator = np.random.default_rng(seed)
    return [
        {
            delta: generator.choice([0.0, 0.25, 0.5, 0.75], len(case.places(delta))).tolist()
            for delta in (FULL_ONLY, *DELTAS)
        }
        if case.judged
        else {}
        for case in cases
    ]


def every_setting() -> list[Setting]:
    """All combinations of a few values; thresholds that confidences lie on, among them."""
    levels = (0.0, 0.25, 0.6, 0.75, NEVER)
    combinations = itertools.product(levels, levels, DELTAS, (1, MAX_PREFIXES), RULES)
    return [Setting("fused", level, full, delta, most, rule) for level, full, delta, most, rule in combinations]


def brute_force(setting: Setting, cases: Sequence[Case], scored: Sequence[Scored], fitted: Fit) -> list[float]:
    """Losses, gains, other answers, risk, seconds, tokens kept and in all, whole drafts kept: case by case."""
    totals = np.zeros(8)
    delta = FULL_ONLY if setting.max_prefixes == 1 else setting.delta
    for case, own in zip(cases, scored, strict=True):
        p, places = own.get(delta, []), case.places(delta) if case.judged else []
        both = {"threshold": setting.threshold, "full_threshold": setting.full_threshold}
        count = accepted_prefixes(p, **both, rule=setting.boundary_rule, complete=case.complete)
        place = places[count - 1] if count else None
        seconds = COSTS.parse(case, len(p), place, asks=fitted.asks, reads=reads_tokens(fitted))
        own_choice = case.agreeing(place) if p and reads_tokens(fitted) else 0
        if place is None:
            totals += [0, 0, 0, 0, seconds, own_choice, case.target.tokens, 0]
            continue
        right, kept = case.outcomes[place].right, case.ends[place]
        loss, gain = case.target.right and not right, right and not case.target.right
        tokens, whole = kept + case.outcomes[place].tokens, place == len(case.ends) - 1
        totals += [
            loss,
            gain,
            not case.outcomes[place].same,
            1 - p[count - 1],
            seconds,
            kept + own_choice,
            tokens,
            whole,
        ]
    return totals.tolist()


@pytest.mark.parametrize("number", [len(CASES), 1, 7])
def test_simulating_is_walking_the_cases(number: int, fitted: Fit) -> None:
    cases = CASES[-number:]
    scored = coarse(cases)
    settings = every_setting()
    alone = sum(COSTS.alone(case) for case in cases)
    for setting, done in zip(settings, simulate_all(settings, cases, scored, fitted, COSTS), strict=True):
        losses, gains, different, risk, seconds, kept, tokens, whole = brute_force(setting, cases, scored, fitted)
        assert (done.losses, done.gains, done.different) == (losses, gains, different)
        assert done.risk == pytest.approx(risk / number)
        assert (done.seconds, done.alone) == pytest.approx((seconds, alone))
        assert (done.kept, done.accepted) == pytest.approx((kept / tokens, whole / number))


def test_the_judge_costs_what_it_reads(fitted: Fit) -> None:
    never = Setting("fused", NEVER, NEVER, 16, MAX_PREFIXES, "first-failure")
    strange = [replace(case, agrees=None) for case in CASES]  # nothing of the draft is the target's own choice
    costs = [simulate_all([never], strange, coarse(CASES), each, COSTS)[0] for each in (NEVER_FIT, fitted)]
    assert costs[0].seconds < costs[1].seconds
    assert (costs[1].speed < 1, costs[1].kept) == (True, 0)


def test_what_is_the_targets_own_choice_need_not_be_written_again(fitted: Fit) -> None:
    """The engine keeps it, so a rejected draft costs less than the whole answer."""
    never = Setting("fused", NEVER, NEVER, 16, MAX_PREFIXES, "first-failure")
    done = simulate_all([never], CASES, coarse(CASES), fitted, COSTS)[0]
    strange = [replace(case, agrees=None) for case in CASES]
    saved = sum(case.agreeing(None) for case in CASES if case.judged)
    assert saved > 0
    assert simulate_all([never], strange, coarse(CASES), fitted, COSTS)[0].seconds - done.seconds == pytest.approx(
        saved * COSTS.target
    )
    assert done.losses == done.different == 0


def test_confidences_are_those_of_the_engine(fitted: Fit) -> None:
    asking = PromptJudge((1, 2), (3, 4), (5,), (6,))
    judge = FittedJudge(fitted, asking)
    for case in CASES[:10]:
        for delta, p in score(case, fitted, DELTAS).items():
            places = case.places(delta)
            assert case.labels is not None
            labels = tuple(case.labels[place] for place in places)
            draft = Draft("", (0,) * case.ends[-1], (), case.complete, case.drafted)
            scores = Scores(labels, case.logprobs, case.agrees, case.entropy)
            told = judge.confidences(draft, [case.ends[place] for place in places], scores)
            assert [each.p for each in told] == p


@pytest.mark.parametrize("asks", [True, False])
def test_what_the_engine_rejects_for_want_of_a_verdict_the_simulation_rejects(fitted: Fit, asks: bool) -> None:
    """Or the promise would be of other answers."""
    chosen = fitted if asks else NEVER_FIT
    case = next(case for case in CASES if len(case.ends) > 2)
    assert case.labels is not None
    silent = replace(case, labels=((0.05, 0.01), (0.05, 0.06), *case.labels[2:]))
    least = ParseConfig().min_label_mass
    for delta, p in score(silent, chosen, DELTAS).items():
        draft = Draft("", (0,) * case.ends[-1], (), case.complete, case.drafted)
        labels = tuple(silent.labels[place] for place in case.places(delta)) if silent.labels and asks else None
        ends = [case.ends[place] for place in case.places(delta)]
        told = FittedJudge(chosen, None).confidences(
            draft, ends, Scores(labels, case.logprobs, case.agrees, case.entropy)
        )
        assert [each.counted(least) >= 0 for each in told] == [value >= 0 for value in p]
        assert [value < 0 for value in p] == [asks and place == 0 for place in case.places(delta)]
        assert [value for value in p if value >= 0] == [each.p for each in told if each.counted(least) >= 0]


def test_what_a_judge_is_fitted_to_is_scored_by_fits_to_the_rest() -> None:
    cases = [*draw(60, 7), CASES[-1]]
    crossed = crossed_scores("prompt", cases, DELTAS, SIGNALS)
    assert crossed[-1] == {}
    for learn, check in KFold(5, shuffle=True, random_state=0).split(cases):
        rest = fit("prompt", SIGNALS, *rows([cases[at] for at in learn], DELTAS))
        assert rest is not None
        for at in check:
            if cases[at].judged:
                assert crossed[at] == score(cases[at], rest, DELTAS)


@pytest.mark.parametrize("count", [0, 1, 2, 6])
def test_too_few_cases_are_scored_by_nobody(count: int) -> None:
    assert crossed_scores("fused", draw(count, 7), DELTAS, SIGNALS) == []


def test_the_grid_has_cascades_and_both_rules(scored: list[Scored]) -> None:
    settings = list(grid("fused", scored, DELTAS, MAX_PREFIXES))
    cascades = [setting for setting in settings if setting.max_prefixes == 1]
    others = [setting for setting in settings if setting.max_prefixes > 1]
    assert {setting.threshold for setting in cascades} == {NEVER}
    assert len({setting.full_threshold for setting in cascades}) == len(cascades) == searching.LEVELS + 1
    assert {(setting.delta, setting.boundary_rule) for setting in others} == set(itertools.product(DELTAS, RULES))
    assert any(setting.full_threshold == NEVER for setting in others)
    assert len(set(settings)) == len(settings)
    for setting in settings:
        assert setting.config.full_threshold == setting.full_threshold  # the engine takes it


def test_thresholds_let_through_some_of_what_there_is(scored: list[Scored]) -> None:
    fulls = np.array([own[FULL_ONLY][-1] for own in scored if own])
    cascades = [each for each in grid("fused", scored, DELTAS, MAX_PREFIXES) if each.max_prefixes == 1]
    passing = [float((fulls >= setting.full_threshold).mean()) for setting in cascades]
    assert passing[0] == 1
    assert passing[-1] == 0
    assert 0 < passing[-2] <= 0.05
    assert passing == sorted(passing, reverse=True)


def test_no_threshold_lets_pass_what_could_not_be_learnt() -> None:
    """The quantiles of confidences that are all 0 are 0, and 0 passes a threshold of 0."""
    never = [score(case, NEVER_FIT, DELTAS) if case.judged else {} for case in CASES]
    assert {p for own in never for each in own.values() for p in each} == {0.0}
    settings = list(grid("fused", never, DELTAS, MAX_PREFIXES))
    assert all(done.kept == 0 for done in simulate_all(settings, CASES, never, NEVER_FIT, COSTS))


def test_the_order_runs_from_the_safest_and_gets_faster(fitted: Fit, scored: list[Scored]) -> None:
    settings = list(grid("fused", scored, DELTAS, MAX_PREFIXES))
    order = in_order(settings, CASES, scored, fitted, COSTS)
    done = simulate_all(order, CASES, scored, fitted, COSTS)
    assert len(order) > 5
    assert done[0].speed > 1
    assert all(a.speed < b.speed for a, b in itertools.pairwise(done))
    risks = [each.losses / len(CASES) + each.risk for each in done]
    assert risks == sorted(risks)
    # What was left out is no faster than something at least as safe, or than the target alone.
    for each in simulate_all(settings, CASES, scored, fitted, COSTS):
        risk = each.losses / len(CASES) + each.risk
        assert each.speed <= max((a.speed for a, r in zip(done, risks, strict=True) if r <= risk), default=1)


def test_nothing_is_promised_behind_the_first_failure(fitted: Fit, scored: list[Scored]) -> None:
    safe, risky = (Setting("fused", NEVER, full, 16, 1, "first-failure") for full in (NEVER, 0.0))
    order = [safe, safe, risky, safe]
    tried = searching.test(order, CASES, scored, fitted, COSTS, max_loss=0.1, level=0.1)
    assert [each.setting for each in tried] == order
    assert [each.promised for each in tried] == [True, True, False, False]
    assert tried[3].p_value == tried[0].p_value <= 0.1 < tried[2].p_value
    assert tried[2].p_value == binomial_p_value(tried[2].losses, len(CASES), 0.1)


def test_cases_are_parted_by_their_names() -> None:
    cases = [replace(case, task=task) for task in "ab" for case in draw(400, 8)]
    fitting, testing = part(cases, 0.25)
    for task in "ab":
        assert 70 < sum(case.task == task for case in fitting) < 130
    assert sorted(case.key for case in (*fitting, *testing)) == sorted(case.key for case in cases)
    fewer = part(cases[:300], 0.25)
    assert {case.key for case in fewer[0]} < {case.key for case in fitting}
    assert {case.key for case in fewer[1]} < {case.key for case in testing}


PROMISE = Promise(max_loss=0.06, confidence=0.9)


def test_a_search_promises_a_setting_that_is_faster() -> None:
    fitting, testing = part(draw(400, 11), PROMISE.fit_share)
    found = search(fitting, testing, PROMISE, DELTAS, MAX_PREFIXES, SIGNALS, COSTS)
    choice = choose(found.tried)
    assert choice is not None
    assert choice.speed > 1
    assert choice.p_value <= 0.1
    assert choice.losses <= 0.06 * len(testing)
    assert choice.speed == max(each.speed for each in found.tried if each.promised)
    assert set(found.fits) == set(found.rankings) == {"fused"}
    ranking = found.rankings["fused"]
    assert ranking.full is not None
    assert ranking.full_ci is not None
    assert 0.75 < ranking.full_ci[0] < ranking.full < ranking.full_ci[1] < 0.95
    assert 0 < found.disagreement < 1


def test_a_search_does_not_promise_what_cannot_be_shown() -> None:
    fitting, testing = part(draw(200, 11), PROMISE.fit_share)
    found = search(fitting, testing, replace(PROMISE, max_loss=0.002), DELTAS, MAX_PREFIXES, SIGNALS, COSTS)
    assert found.tried
    assert not any(each.promised for each in found.tried)
    assert choose(found.tried) is None


def test_a_dear_drafter_is_not_worth_a_test() -> None:
    fitting, testing = part(draw(200, 11), PROMISE.fit_share)
    dear = replace(COSTS, draft=2 * COSTS.target)
    assert search(fitting, testing, PROMISE, DELTAS, MAX_PREFIXES, SIGNALS, dear).tried == []


def test_judges_share_the_risk() -> None:
    """Each is tested at its part of the level, and the order of one does not depend on the other."""
    fitting, testing = part(draw(200, 12), 0.5)
    one, two = (
        search(fitting, testing, replace(PROMISE, judges=judges), DELTAS, MAX_PREFIXES, SIGNALS, COSTS).tried
        for judges in (("prompt",), ("prompt", "likelihood"))
    )
    own = [each for each in two if each.setting.judge == "prompt"]
    assert [each.setting for each in own] == [each.setting for each in one]
    assert [each.promised for each in own] == [
        all(before.p_value <= 0.05 for before in own[: at + 1]) for at in range(len(own))
    ]


def test_the_tested_questions_have_no_part_in_fits_and_order() -> None:
    fitting, testing = part(draw(200, 13), 0.5)
    changed = [replace(case, target=replace(case.target, right=not case.target.right)) for case in testing[:50]]
    for other in (changed, testing[:50]):
        found = search(fitting, other, PROMISE, DELTAS, MAX_PREFIXES, SIGNALS, COSTS)
        if other is changed:
            before = found
    assert [each.setting for each in found.tried] == [each.setting for each in before.tried]
    assert [each.losses for each in found.tried] != [each.losses for each in before.tried]
    assert (found.fits["fused"].full.values == before.fits["fused"].full.values).all()


@pytest.mark.parametrize("count", [0, 1, 8])
def test_a_search_with_too_few_questions_says_so(count: int) -> None:
    with pytest.raises(ConfigError, match="Take more questions"):
        search(draw(count, 14), draw(5, 15), PROMISE, DELTAS, MAX_PREFIXES, SIGNALS, COSTS)
