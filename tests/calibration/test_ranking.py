from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import ranking
from parse_engine.bench.records import Record, write_records
from parse_engine.trace import BoundaryVerdict, FinishReason
from ranking import figures, judged_drafts
from tests.bench.report.samples import record

FUSED, PROMPT = "parse:judge=fused:full_threshold=0.4", "parse:judge=prompt"
RIGHT = (True, False, True, False)


def draft(number: int, *, tokens: int = 20, finish_reason: FinishReason = "stop") -> Record:
    return record(f"q/{number}", "draft", right=RIGHT[number], drafted=tokens, finish_reason=finish_reason)


def judged(number: int, method: str, p: float, *, tokens: int = 20) -> Record:
    """An answer whose draft was believed with `p`, and a prefix of it with less."""
    made = record(f"q/{number}", method, drafted=tokens)
    verdicts = (BoundaryVerdict(8, 0.01, None, False), BoundaryVerdict(tokens, p, None, True))
    return replace(
        made, answer=replace(made.answer, trace=replace(made.answer.trace, method="parse", boundaries=verdicts))
    )


def small_run() -> list[Record]:
    """`fused` ranks every pair of drafts as it should, `prompt` two pairs of four."""
    drafts = [draft(number) for number in range(4)]
    fused = [judged(number, FUSED, p) for number, p in enumerate((0.9, 0.2, 0.8, 0.7))]
    prompt = [judged(number, PROMPT, p) for number, p in enumerate((0.9, 0.5, 0.1, 0.6))]
    return [*drafts, *fused, *prompt]


def test_full_drafts_are_ranked_by_the_confidence_in_them() -> None:
    told = figures(judged_drafts(small_run()))
    assert told[FUSED]["auc"] == 1
    assert told[PROMPT]["auc"] == 0.5
    assert (told[FUSED]["drafts"], told[FUSED]["right"]) == (4, 2)


def test_the_difference_is_of_the_drafts_that_both_judged() -> None:
    records = [each for each in small_run() if each.method != PROMPT or each.question != "q/2"]
    apart = figures(judged_drafts(records))[FUSED]["ahead_of_prompt"]
    assert apart["drafts"] == 3
    assert apart["difference"] == 0  # without q/2 both rank every pair as they should
    assert (apart["auc"], apart["auc_prompt"]) == (1, 1)
    assert figures(judged_drafts(records))[PROMPT]["ahead_of_prompt"] is None


def test_another_draft_or_one_that_was_cut_off_does_not_count() -> None:
    records = {each.key: each for each in small_run()}
    for changed in (judged(0, FUSED, 0.9, tokens=21), draft(1, finish_reason="length")):
        records[changed.key] = changed
    found = judged_drafts([*records.values()])
    assert sorted(question for _, question, _ in found[FUSED]) == ["q/2", "q/3"]
    assert sorted(question for _, question, _ in found[PROMPT]) == ["q/0", "q/2", "q/3"]


def test_where_all_drafts_are_right_there_is_nothing_to_tell_apart() -> None:
    records = [each for each in small_run() if each.question in ("q/0", "q/2")]
    told = figures(judged_drafts(records))
    assert (told[FUSED]["auc"], told[FUSED]["ahead_of_prompt"]) == (None, None)
    assert ranking.line(FUSED, told[FUSED]) == f"{FUSED}: no AUC, 2 of 2 drafts are right"


def test_judges_of_different_drafts_are_not_compared() -> None:
    half = {FUSED: ("q/0", "q/1"), PROMPT: ("q/2", "q/3")}
    told = figures(
        judged_drafts([each for each in small_run() if each.question in half.get(each.method, each.question)])
    )
    assert (told[FUSED]["auc"], told[PROMPT]["auc"]) == (1, 0)
    assert told[FUSED]["ahead_of_prompt"] is None


def test_it_prints_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records(tmp_path / "run.jsonl", small_run())
    run, output = tmp_path / "run.jsonl", tmp_path / "ranking.json"
    ranking.main([str(run), "--output", str(output)])
    assert f"run.jsonl: {FUSED}: AUC 1.00" in capsys.readouterr().out
    assert json.loads(output.read_text())["figures"][str(run)][FUSED]["auc"] == 1


def test_a_run_without_judges_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records(tmp_path / "run.jsonl", [draft(0), draft(1)])
    with pytest.raises(SystemExit):
        ranking.main([str(tmp_path / "run.jsonl")])
    assert "no drafts with a judge's confidence" in capsys.readouterr().err
