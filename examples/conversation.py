"""Two turns of a conversation: the second computes only what the first has not left in the target's prefix cache.

The embedded pair was trained on single questions, so look at what its second turn costs, not at what it says.
"""

from parse_engine import Engine

QUESTIONS = (
    "Ben has 20 coins. In March Ben finds 7 coins. In April Ben sells 9 coins. "
    "In May Ben finds 2 coins. How many coins does Ben have at the end?",
    "Eva has 30 books. In June Eva loses 6 books. In July Eva gives away half of the books. "
    "In August Eva finds 5 books. How many books does Eva have at the end?",
)


def report(what: str, prompt_tokens: int, computed_tokens: int) -> None:
    print(f"{what:<30} prompt {prompt_tokens:4d} tokens, rows computed by the target {computed_tokens:4d}")


engine = Engine.load()
messages: list[dict[str, str]] = []
for turn, question in enumerate(QUESTIONS, start=1):
    messages.append({"role": "user", "content": question})
    answer = engine.generate(messages)
    print(f"> {question}\n{answer.text}\n")
    report(f"turn {turn}", answer.prompt_tokens, answer.trace.computed_tokens)
    messages.append({"role": "assistant", "content": answer.text})

# The same second turn with empty caches: now the whole conversation has to be computed.
engine.forget()
again = engine.generate(messages[:-1])
report("turn 2 with nothing cached", again.prompt_tokens, again.trace.computed_tokens)
