"""What of a run may be published: its description with the figures, and its records without prompts and drafts."""

from __future__ import annotations

from pathlib import Path

from parse_engine.bench.provenance import write_json
from parse_engine.bench.records import published, run_files, write_records
from parse_engine.bench.report.load import Run
from parse_engine.bench.report.summary import summarize, to_plain
from parse_engine.errors import ConfigError, DataError


def export(run: Run, file: Path) -> Path:
    """Write FILE.json, and beside it records/FILE.jsonl, which is returned.

    Raises:
        ConfigError: the name does not end in .json, or a file cannot be written.
        DataError: the run is not finished, or answers of it wait for their grade.
    """
    if file.suffix != ".json":
        raise ConfigError(f"cannot export to {file}: its name must end in .json.")
    if not run.finished:
        raise DataError(f"the run in {run.directory} is not finished; {run.progress}.")
    ungraded = sum(record.grade is None for record in run.records)
    if ungraded:
        raise DataError(f"{ungraded} answers of the run in {run.directory} are not graded yet. Finish it first.")
    _, records = run_files(file)
    try:
        records.parent.mkdir(parents=True, exist_ok=True)
        write_records(records, map(published, run.records))
    except OSError as error:
        raise ConfigError(f"cannot write {records}: {error.strerror}. Give another place.") from None
    write_json(file, {**run.info, "figures": to_plain(summarize(run.records))})
    return records
