"""docs/answer.svg: the terminal's view of one answer of the embedded pair, in which the target corrects a line."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

from parse_engine import Engine
from parse_engine.render.terminal import NOTE, View, advance, picture
from parse_engine.trace import Done

QUESTION = (
    "Hugo has 56 stamps. In June Hugo loses half of the stamps. In July Hugo gives away 19 stamps. "
    "In August Hugo gets as many stamps again. How many stamps does Hugo have at the end?"
)


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
    trace = event.answer.trace
    kept = f"kept {trace.committed_tokens} of {trace.draft_tokens} draft tokens; the target wrote {trace.target_tokens}"
    console.print(Text(QUESTION, "bold"), picture(view), Text(kept, NOTE), sep="\n\n")
    svg = console.export_svg(title='parse-engine generate "..."', unique_id="answer")
    # Without the font that rich would have fetched from elsewhere.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")
