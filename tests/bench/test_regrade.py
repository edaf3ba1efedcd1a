from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from parse_engine.bench import regrade
from parse_engine.bench.provenance import describe_task, hold
from parse_engine.bench.records import Record, read_records
from parse_engine.bench.report.document import make_report
from parse_engine.bench.report.export import export
from parse_engine.bench.report.load import load_run
from parse_engine.bench.report.markdown import to_markdown
from parse_engine.cli import bench
from parse_engine.errors import ConfigError, DataError

from .fakes import FakeTask
from .report.samples import record, write_run

TASK = FakeTask(size=3)
TEXTS = {"target": ("right", "right", "wrong"), "parse": ("right", "wrong", "right")}
OLD = {"target": (True, False, False), "parse": (False, False, True)}


@pytest.fixture(autouse=True)
def graders_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regrade, "load_task", {"fake": TASK, "other": FakeTask("other")}.__getitem__)


def answered() -> list[Record]:
    """Answers whose grades an older grader gave; it was wrong of the target's second one, and of PARSE's first."""
    return [
        record(f"fake/{n}", method, task="fake", text=text, right=OLD[method][n], prompt=f"turn 0 of fake {n}")
        for method, texts in TEXTS.items()
        for n, text in enumerate(texts)
    ]


def run(folder: Path, records: list[Record], **changed: Any) -> Path:
    tasks = {"fake": describe_task(TASK, TASK.questions())}
    return write_run(folder, records, methods=["target", "parse"], tasks=tasks, **changed)


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(bench.app, ["regrade", *map(str, args)], catch_exceptions=False)


def place(kind: str, folder: Path) -> Path:
    """A run in its directory, or as it is published."""
    if kind == "directory":
        return run(folder / "run", answered())
    export(load_run(run(folder / "run", answered())), folder / "out.json")
    return folder / "out.json"


@pytest.mark.parametrize("kind", ["directory", "published"])
def test_answers_are_graded_again_and_the_old_grades_are_kept(kind: str, tmp_path: Path) -> None:
    where = place(kind, tmp_path)
    changes = json.loads(call(where, "--json").stdout)
    assert changes["fake"]["target"] == {"answers": 3, "right_before": 1, "right": 2, "now_right": 1, "now_wrong": 0}
    again = load_run(where)
    assert [one.grade.right for one in again.records if one.grade] == [True, True, False, True, False, True]
    assert again.info["figures"]["fake"]["target"]["accuracy"] == pytest.approx(2 / 3)
    (regraded,) = again.info["regraded"]
    assert {"time", "versions", "command"} < regraded.keys()
    assert [(old["question"], old["method"], old["grade"]["right"]) for old in regraded["before"]] == [
        ("fake/1", "target", False),
        ("fake/0", "parse", False),
    ]
    assert "2 grades changed" in to_markdown(make_report(again))
    assert json.loads(call(where, "--json").stdout)["fake"]["target"]["now_right"] == 0
    assert [len(one["before"]) for one in load_run(where).info["regraded"]] == [2, 0]


def test_what_changed_is_a_table_for_people(tmp_path: Path) -> None:
    lines = [line.split() for line in call(run(tmp_path, answered())).stdout.splitlines()]
    assert ["target", "3", "1", "2", "1", "0"] in lines
    assert ["parse", "3", "1", "2", "1", "0"] in lines


def test_only_what_had_a_grade_is_graded_again(tmp_path: Path) -> None:
    """A run that was stopped: its last answers wait for their grade, and it has no figures yet."""
    waiting = record("fake/2", "parse", task="fake", text="right", graded=False, prompt="turn 0 of fake 2")
    where = run(tmp_path, [*answered()[:-1], waiting], figures=None)
    assert regrade.regrade(where)["fake"]["parse"].answers == 2
    assert read_records(where / "answers.jsonl")[-1].grade is None
    assert "figures" not in load_run(where).info


def test_only_last_turns_have_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    talk = FakeTask(size=1, turns=2)
    monkeypatch.setattr(regrade, "load_task", lambda name: talk)
    turns = [
        record("fake/0", "target", task="fake", turn=turn, text="right", right=None, prompt=f"turn {turn} of fake 0")
        for turn in (0, 1)
    ]
    where = write_run(tmp_path, turns, methods=["target"], tasks={"fake": describe_task(talk, talk.questions())})
    assert regrade.regrade(where)["fake"]["target"].answers == 1
    assert [one.grade.right for one in load_run(where).records if one.grade] == [None, True]


def test_what_cannot_be_graded_again_is_refused_and_left_alone(tmp_path: Path) -> None:
    where = run(tmp_path / "other", [*answered()[1:], record("fake/0", "parse", task="fake", prompt="another")])
    with pytest.raises(DataError, match="holds answers to other questions of fake"):
        regrade.regrade(where)
    missing = run(tmp_path / "missing", [record("fake/7", "parse", task="fake", prompt="turn 0 of fake 7")])
    with pytest.raises(DataError, match="holds answers to other questions of fake"):
        regrade.regrade(missing)
    with pytest.raises(DataError, match="hold no texts of answers to fake"):
        regrade.regrade(run(tmp_path / "none", [record("fake/0", "parse", task="fake", text="")]))
    with pytest.raises(ConfigError, match=r"has no task 'other'\. Its tasks: fake"):
        regrade.regrade(where, ["other"])
    with pytest.raises(DataError, match="Give the directory of a run"):
        regrade.regrade(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    assert "regraded" not in load_run(where).info


def test_published_answers_to_other_questions_are_refused(tmp_path: Path) -> None:
    """Their prompts are not there; the hash of the questions is."""
    where = place("published", tmp_path)
    described = json.loads(where.read_text())
    described["tasks"]["fake"]["sha256"] = "0" * 64
    where.write_text(json.dumps(described))
    with pytest.raises(DataError, match="holds answers to other questions of fake"):
        regrade.regrade(where)


def test_a_run_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    where = run(tmp_path / "run", answered())
    with hold(where), pytest.raises(ConfigError, match="another command is writing"):
        regrade.regrade(where)
