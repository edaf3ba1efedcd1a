"""Print what `parse-engine bench run --json` measured, from stdin: speed and right answers side by side."""

import json
import sys

for task, methods in json.load(sys.stdin).items():
    print(f"\n{task:<10}{'tokens/s':>10}{'s/answer':>10}{'right':>12}")
    for method, figures in methods.items():
        right = f"{round(figures['accuracy'] * figures['answers'])} of {figures['answers']}"
        print(f"{method:<10}{figures['tokens_per_s']:>10.1f}{figures['seconds_per_answer']:>10.3f}{right:>12}")
