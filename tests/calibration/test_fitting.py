from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from parse_engine.bench.judging.figures import auc
from parse_engine.calibration.cases import Case
from parse_engine.calibration.fitting import COMPONENTS, FEWEST, Rows, _columns, _folds, _regress, fit, reads, rows
from parse_engine.config import Judge
from parse_engine.prefix.features import HIDDEN, LIKELIHOOD, PLACE, VERDICT, Values, matrix
from parse_engine.prefix.judges import Weights
from population import DELTAS, SIGNALS, draw

ALL = SIGNALS | {"hidden"}
JUDGES: tuple[Judge, ...] = ("prompt", "likelihood", "head", "fused")


@pytest.fixture(scope="module")
def known() -> tuple[Rows, Rows]:
    return rows(draw(240, 1, width=6), DELTAS)


@pytest.fixture(scope="module")
def fresh() -> tuple[Rows, Rows]:
    return rows(draw(200, 2, width=6), DELTAS)


def test_a_row_for_every_judged_prefix() -> None:
    cases = draw(20, 3)
    full, prefixes = rows(cases, DELTAS)
    judged = [len(case.places(delta)) for case in cases for delta in (0, *DELTAS)]
    assert len(full.truth) + len(prefixes.truth) == sum(judged)
    complete = [number for number, case in enumerate(cases) if case.complete]
    assert full.owner.tolist() == [number for number in complete for _ in (0, *DELTAS)]
    assert full.truth.tolist() == [cases[number].draft.right for number in full.owner]
    assert all(len(values) == len(prefixes.owner) for values in prefixes.found.values())
    for number in (0, 7):
        own = [
            cases[number].safe(place)
            for delta in (0, *DELTAS)
            for place in cases[number].places(delta)
            if not (cases[number].complete and place == len(cases[number].ends) - 1)
        ]
        assert prefixes.truth[prefixes.owner == number].tolist() == own


def test_questions_without_a_draft_are_left_out() -> None:
    full, prefixes = rows([_without_draft()], DELTAS)
    assert len(full.truth) == len(prefixes.truth) == 0


@pytest.mark.parametrize("width", [6, COMPONENTS + 20])
def test_weights_say_what_the_pipeline_says(width: int) -> None:
    part, other = (rows(draw(100, seed, width=width), DELTAS)[1] for seed in (1, 2))
    plain, strength = (VERDICT, *LIKELIHOOD), 0.3
    names = (*plain[:4], HIDDEN[1], *plain[4:])
    scaler = StandardScaler().fit(matrix(part.found, plain))
    components = PCA(min(COMPONENTS, width), svd_solver="full").fit(part.found[HIDDEN[1]])

    def columns(found: Mapping[str, Values]) -> Values:
        hidden = components.transform(found[HIDDEN[1]]) / np.sqrt(components.explained_variance_.mean())
        return np.hstack([scaler.transform(matrix(found, plain)), hidden])

    model = LogisticRegression(C=strength, max_iter=5000, tol=1e-9).fit(columns(part.found), part.truth)
    weights = _regress(names, _columns(names, part), part.truth, strength)
    for found in (part.found, other.found):
        assert weights.confidences(found) == pytest.approx(model.predict_proba(columns(found))[:, 1], abs=1e-5)


def test_weights_fold_the_columns_exactly(known: tuple[Rows, Rows]) -> None:
    """With the regression's own coefficients there is nothing but rounding between the two ways."""
    part, names = known[1], ("segment.mean", HIDDEN[0], VERDICT)
    columns = _columns(names, part)
    model = LogisticRegression(C=0.3, solver="newton-cholesky", tol=1e-6).fit(columns.values, part.truth)
    weights = _regress(names, columns, part.truth, 0.3)
    assert weights.confidences(part.found) == pytest.approx(model.predict_proba(columns.values)[:, 1], abs=1e-12)
    assert weights.values.shape == (1 + 6 + 1,)


def test_a_column_that_is_always_the_same_says_nothing(known: tuple[Rows, Rows]) -> None:
    """A deviation of rounding errors alone would blow up whatever the column says elsewhere."""
    part = known[1]
    found = {VERDICT: part.found[VERDICT], "segment.agree": np.full(len(part.truth), 0.1)}
    names = tuple(found)
    constant = replace(part, found=found)
    weights = _regress(names, _columns(names, constant), part.truth, 0.3)
    elsewhere = {**found, "segment.agree": np.full(len(part.truth), 0.9)}
    assert weights.confidences(elsewhere) == pytest.approx(weights.confidences(found), abs=1e-6)


@pytest.mark.parametrize("judge", JUDGES)
def test_judges_beat_chance_on_other_questions(
    judge: Judge, known: tuple[Rows, Rows], fresh: tuple[Rows, Rows]
) -> None:
    fitted = fit(judge, ALL, *known)
    assert fitted is not None
    for weights, part in zip((fitted.full, fitted.prefix), fresh, strict=True):
        p = weights.confidences(part.found)
        assert auc(part.truth, p) > 0.6
        assert abs(p.mean() - part.truth.mean()) < 0.1


def test_all_that_there_is_tells_more_than_the_verdict(known: tuple[Rows, Rows], fresh: tuple[Rows, Rows]) -> None:
    prompt, fused = fit("prompt", SIGNALS, *known), fit("fused", SIGNALS, *known)
    assert prompt is not None
    assert fused is not None
    for part, one, other in ((fresh[0], prompt.full, fused.full), (fresh[1], prompt.prefix, fused.prefix)):
        assert auc(part.truth, other.confidences(part.found)) > auc(part.truth, one.confidences(part.found))


def test_rows_of_one_case_are_never_parted(known: tuple[Rows, Rows]) -> None:
    for part in known:
        folds = list(_folds(part))
        assert len(folds) == 5
        assert sorted(owner for _, check in folds for owner in check.owner) == sorted(part.owner)
        for learn, check in folds:
            assert not set(learn.owner) & set(check.owner)
            assert len(learn.owner) + len(check.owner) == len(part.owner)


def test_one_case_with_all_rows_of_a_kind_is_too_little_to_learn_from() -> None:
    """Without it there was one kind alone to learn from, which scikit-learn refuses."""
    owner = np.repeat(np.arange(40), 20)
    generator = np.random.default_rng(0)
    found = {VERDICT: generator.normal(size=len(owner))}
    assert len(list(_folds(Rows(found, owner != 3, owner)))) == 4
    assert fit("prompt", frozenset(), *[Rows(found, owner != 3, owner)] * 2) is None
    assert fit("prompt", frozenset(), *[Rows(found, owner >= FEWEST, owner)] * 2) is not None


def test_one_case_alone_cannot_be_learnt_from() -> None:
    truth = np.arange(2 * FEWEST) < FEWEST
    part = Rows({VERDICT: truth.astype(float)}, truth, np.zeros(2 * FEWEST, dtype=int))
    assert fit("prompt", frozenset(), part, part) is None


def test_a_part_that_cannot_be_learnt_accepts_nothing(known: tuple[Rows, Rows]) -> None:
    full, prefixes = known
    wrong = np.flatnonzero(~full.truth)[: FEWEST - 1]
    few = np.concatenate([np.flatnonzero(full.truth), wrong])
    lacking = Rows({name: values[few] for name, values in full.found.items()}, full.truth[few], full.owner[few])
    fitted = fit("fused", SIGNALS, lacking, prefixes)
    assert fitted is not None
    assert (fitted.full.confidences(full.found) == 0).all()
    assert (fitted.prefix.confidences(prefixes.found) > 0).all()


def test_nothing_to_learn_from_is_no_judge() -> None:
    for cases in ([], [_without_draft()], draw(3, 1)):
        assert fit("fused", SIGNALS, *rows(cases, DELTAS)) is None


def test_judges_read_what_there_is() -> None:
    assert reads("prompt", frozenset()) == (VERDICT,)
    assert reads("likelihood", SIGNALS) == LIKELIHOOD
    assert "segment.entropy" not in reads("likelihood", frozenset({"logprobs"}))
    assert "segment.gap" not in reads("likelihood", frozenset({"logprobs"}))  # the drafter's own are lacking
    assert reads("head", ALL) == (*HIDDEN, *PLACE)
    assert set(reads("fused", ALL)) == {VERDICT, *LIKELIHOOD, *HIDDEN}
    assert set(reads("fused", frozenset())) == {VERDICT, *PLACE}


@pytest.mark.parametrize("judge", ["likelihood", "head"])
def test_the_place_alone_makes_no_judge(judge: Judge, known: tuple[Rows, Rows]) -> None:
    """`head` on a back end without hidden states was fitted to the prefix's length, and passed for a judge."""
    assert reads(judge, frozenset()) == ()
    assert fit(judge, frozenset(), *known) is None


def test_nothing_is_certain() -> None:
    sure = Weights((VERDICT,), np.array([1.0]), 0.0)
    assert (sure.confidences({VERDICT: np.array([50.0, 1e4])}) < 1).all()


def _without_draft() -> Case:
    return replace(draw(1, 0)[0], ends=(), cuts=dict.fromkeys(DELTAS, ()), outcomes=())
