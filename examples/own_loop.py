"""Watch an answer as it is decided: the events of `Engine.stream`."""

from parse_engine import Engine
from parse_engine.trace import Committed, Continuing, Done, Drafting, Verified

QUESTION = (
    "Mia has 25 stamps. In May Mia loses 5 stamps. In June Mia gets as many stamps again. "
    "In July Mia is given 8 stamps. How many stamps does Mia have at the end?"
)

for event in Engine.load().stream(QUESTION):
    match event:
        case Drafting(text):
            print(f"drafting    {text!r}")
        case Verified(boundaries=boundaries):
            for boundary in boundaries:
                verdict = "accepted" if boundary.accepted else "rejected"
                print(f"judged      {boundary.end:4d} tokens, confidence {boundary.p:.3f}: {verdict}")
        case Committed(text):
            print(f"committed   {text!r}")
        case Continuing(text):
            print(f"continuing  {text!r}")
        case Done(answer):
            print(f"done        {answer.finish_reason}, {answer.trace.seconds.total:.2f} s")
