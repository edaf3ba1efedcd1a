from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from parse_engine.bench.records import Record
from parse_engine.bench.report.document import make_report
from parse_engine.bench.report.load import Run
from parse_engine.bench.report.markdown import to_markdown

from .samples import info, record, small_run


def run(records: list[Record], **changed: object) -> Run:
    described = {key: value for key, value in info(**changed).items() if value is not None}
    return Run(Path("somewhere"), described, records)


def test_a_sound_run_has_no_warnings() -> None:
    assert make_report(run(small_run())).warnings == []


def test_a_run_that_is_not_finished_says_so() -> None:
    (warning,) = make_report(run(small_run()[:8], figures=None)).warnings
    assert warning.startswith("This run is not finished: 8 of 12 answers are there.")


def test_answers_that_wait_for_their_grade_are_told() -> None:
    waiting = [replace(one, grade=None) if one.question == "q/1" else one for one in small_run()]
    assert make_report(run(waiting)).warnings == ["3 answers are not graded yet and left out of all figures."]


def test_a_budget_that_cuts_the_baseline_is_told() -> None:
    records = [record(f"q/{n}", "target", finish_reason="length" if n == 0 else "stop") for n in range(4)]
    (warning,) = make_report(run(records)).warnings
    assert warning.startswith("sums: 25.0% of the target's own answers were cut by max_tokens.")
    records = [record(f"q/{n}", method, finish_reason="length") for n in range(4) for method in ("draft", "parse")]
    (warning,) = make_report(run(records)).warnings
    assert warning == "sums: the target did not answer alone in this run, so no speed is compared."


def test_warnings_of_answers_are_counted() -> None:
    records = [
        *small_run(),
        record("q/4", "parse", warnings=("rare labels",)),
        record("q/5", "parse", warnings=("rare labels",)),
    ]
    assert make_report(run(records)).warnings == ["parse: rare labels (2 answers)"]


def test_a_run_resumed_on_another_machine_is_told() -> None:
    here = {part: info()[part] for part in ("machine", "versions")}
    assert make_report(run(small_run(), resumed=[here])).warnings == []
    (warning,) = make_report(run(small_run(), resumed=[here, {**here, "machine": {"cpu": "Other"}}])).warnings
    assert warning.startswith("The run was resumed with other machine")


def test_facts_tell_models_machine_command_settings_and_data() -> None:
    report = make_report(run(small_run()))
    facts = dict([*report.facts, *report.more_facts])
    assert (facts["Target"], facts["Drafter"], facts["Back end"]) == ("big", "small", "hf, 1 in flight")
    assert facts["Machine"] == "cpu Abacus, cores 2"
    assert facts["Command"] == "parse-engine bench run --tasks sums"
    assert facts["Sampling"] == "max tokens 64, temperature 0.0"
    assert facts["Task sums"] == "4 questions, version 1, sha256 0123456789abcdef"
    assert facts["Peak memory"] == "1.0 GiB"


def test_a_run_without_tasks_of_its_own_can_be_reported() -> None:
    """A replay has neither questions nor sampling."""
    report = make_report(run(small_run(), tasks=None, params=None, settings={"target": "big", "concurrency": 8}))
    assert dict(report.facts)["Back end"] == "8 in flight"
    assert "4 answers per method" in report.sheets["sums"][0].title


def test_markdown_has_facts_warnings_and_all_tables() -> None:
    text = to_markdown(make_report(run(small_run(), figures=None)))
    assert text.startswith("# Bench of sums\n\n> This run is not finished: 12 of 12")
    assert "- Target: big\n" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## sums: 4 answers per method",
        "## Errors",
        "## Seconds",
        "## Drafts",
    ]
    assert "| method | accuracy | difference | tokens/s | speed | kept |\n| :-- | --: | --: | --: | --: | --: |" in text
    assert "| target | 75.0% | +0.0 | 4.0 | 1.00 | 0% |" in text


def test_nothing_of_a_name_is_markdown() -> None:
    text = to_markdown(make_report(run([record("q/0", "a|b", task="x_y*<b>\n# z")])))
    assert r"| a\|b |" in text
    assert r"# Bench of x\_y\*\<b\> \# z" in text.splitlines()


def test_a_comparison_lists_what_else_differs() -> None:
    report = make_report(run(small_run()), run(small_run(), machine={"cpu": "Old"}))
    text = to_markdown(report)
    assert "## Compared with somewhere" in text
    assert "- machine.cpu: Old -\\> Abacus\n" in text
    same = to_markdown(make_report(run(small_run()), run(small_run())))
    assert "The runs share machine, versions, data and settings." in same
