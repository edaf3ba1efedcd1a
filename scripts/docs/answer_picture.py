"""docs/answer.svg: the terminal's view of one answer of the embedded pair, in which the target corrects a line."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

from parse_engine import Engine
from parse_engine.render.terminal import View, advance, picture, summary
from parse_engine.trace import Done

QUESTION = ""


def write(path: Path) -> None:
    """Answer the question, and draw what the terminal shows of it.

    Raises:
        ValueError: the target corrected nothing, so that the picture would not show what it is for.
    """
    view = View()
    with Engine.load(device="cpu") as engine:
        for event in engine.stream(QUESTION):
            view = advance(view, event)
    assert isinstance(event, Done)
    if not view.continued:
        raise ValueError("the target corrected nothing in the answer to QUESTION. Choose another question.")
    console = Console(record=True, width=100, file=io.StringIO(), highlight=False)
    console.print(Text(QUESTION, "bold"), picture(view), summary(event.answer), sep="\n\n")
    svg = console.export_svg(title='parse-engine generate "..."', unique_id="answer")
    # Without the font that rich would have fetched from elsewhere.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")
