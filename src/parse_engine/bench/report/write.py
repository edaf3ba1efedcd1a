"""A report's files."""

from __future__ import annotations

from pathlib import Path

from parse_engine.bench.report.document import Report
from parse_engine.bench.report.markdown import to_markdown
from parse_engine.bench.report.plotting import has_matplotlib
from parse_engine.errors import ConfigError
from parse_engine.files import write_atomically


def write_report(report: Report, directory: Path) -> list[Path]:
    """Write report.md and, where its plots can be drawn, report.html into a directory, over earlier ones.

    Returns:
        The paths of what was written.

    Raises:
        ConfigError: the directory cannot be written to.
    """
    texts = {directory / "report.md": to_markdown(report)}
    if has_matplotlib():
        from parse_engine.bench.report.page import to_html

        texts[directory / "report.html"] = to_html(report)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_atomically(path, text)
    except OSError as error:
        raise ConfigError(f"cannot write to {directory}: {error.strerror}. Give another place.") from None
    return list(texts)
