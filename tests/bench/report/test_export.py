from __future__ import annotations

import json
from pathlib import Path

import pytest

from parse_engine.bench.records import read_records
from parse_engine.bench.report.export import export
from parse_engine.bench.report.load import load_run
from parse_engine.bench.report.summary import summarize, to_plain
from parse_engine.errors import ConfigError, DataError

from .samples import record, small_run, write_run


def test_what_is_published_has_all_figures_and_the_answers_but_no_prompts_and_drafts(tmp_path: Path) -> None:
    """Without the answers nobody could grade them again."""
    secret = {"prompt": "secret one", "draft_text": "secret three", "kept_text": "secret", "text": "Eight."}
    records = [*small_run(), record("q/9", "parse", offsets=(3,), boundaries=[(4, True)], drafted=4, **secret)]  # type: ignore[arg-type]
    run = load_run(write_run(tmp_path / "run", records))
    lines = export(run, tmp_path / "out" / "sums.json")
    assert lines == tmp_path / "out" / "records" / "sums.jsonl"
    published = (tmp_path / "out" / "sums.json").read_text()
    assert "secret" not in published + lines.read_text()
    assert json.loads(published)["figures"] == json.loads(json.dumps(to_plain(summarize(run.records))))
    assert json.loads(published)["command"] == run.info["command"]
    kept = read_records(lines)
    assert to_plain(summarize(kept)) == to_plain(summarize(run.records))
    assert [record.answer.text for record in kept] == [record.answer.text for record in run.records]
    again = load_run(tmp_path / "out" / "sums.json")
    assert (again.info, again.records) == (json.loads(published), kept)


def test_answers_to_what_must_not_be_published_are_not(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", [record("gpqa/0", "target", task="gpqa", text="secret")]))
    assert "secret" not in export(run, tmp_path / "gpqa.json").read_text()


def test_an_unfinished_run_is_not_published(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", small_run()[:8], figures=None))
    with pytest.raises(DataError, match="is not finished; 8 of 12 answers are there"):
        export(run, tmp_path / "sums.json")
    ungraded = load_run(write_run(tmp_path / "run", [*small_run(), record("q/5", "parse", graded=False)]))
    with pytest.raises(DataError, match=r"1 answers of the run .* are not graded yet"):
        export(ungraded, tmp_path / "sums.json")
    assert not (tmp_path / "sums.json").exists()


def test_names_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", small_run()))
    with pytest.raises(ConfigError, match=r"must end in \.json"):
        export(run, tmp_path / "sums.jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        export(run, tmp_path / "file" / "sums.json")
