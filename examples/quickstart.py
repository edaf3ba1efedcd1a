"""Ask the embedded pair one question, and see how much of the draft was kept (the README's snippet)."""

from parse_engine import Engine

engine = Engine.load()
question = "Ada has 12 apples. In May Ada buys 5 more apples. In June Ada sells 4 apples. "
question += "In July Ada doubles the apples. How many apples does Ada have at the end?"
answer = engine.generate(question)
print(answer.text)
print(f"kept {answer.trace.committed_tokens} of {answer.trace.draft_tokens} draft tokens")
