"""Write docs/cli.md, the drawings, and the generated parts of other pages.

`python scripts/docs/build.py [--check]`. The check leaves the drawings out: matplotlib's versions draw differently, and
two kinds of CPU may round differently.
"""

from __future__ import annotations

import sys

import answer_picture
import frontier
from cli_reference import reference
from parse_engine.models import store
from readme_blocks import first_table, refresh, snippet_output
from results_blocks import (
    ROOT,
    figures_table,
    judge_table,
    pair_tables,
    pass_table,
    profile_table,
    real_table,
    vllm_tables,
)

PAGES = {
    "README.md": {"first": first_table},
    "docs/results.md": {
        "figures": figures_table,
        "pair": pair_tables,
        "real": real_table,
        "judge": judge_table,
        "pass": pass_table,
    },
    "docs/calibrate.md": {"profiles": profile_table},
    "docs/deploy.md": {"vllm": vllm_tables},
}


def pages(*, run_snippet: bool) -> dict[str, str]:
    """Every generated page as it should be.

    Args:
        run_snippet: also write the output of README's snippet again. A check leaves it out: two kinds of CPU may round
            differently, and then words may differ.
    """
    blocks = {**PAGES, "README.md": {**PAGES["README.md"], "output": snippet_output}} if run_snippet else PAGES
    fresh = {page: refresh((ROOT / page).read_text(encoding="utf-8"), own) for page, own in blocks.items()}
    return {**fresh, "docs/cli.md": reference()}


def main() -> None:
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    if sys.argv[1:]:
        fresh = pages(run_snippet=False)
        stale = [page for page in fresh if (ROOT / page).read_text(encoding="utf-8") != fresh[page]]
        sys.exit(f"stale: {', '.join(stale)}. Run `make docs`." if stale else 0)
    has_models = all(store.is_whole(store.embedded_folder(role)) for role in ("target", "drafter"))
    for page, text in pages(run_snippet=has_models).items():
        (ROOT / page).write_text(text, encoding="utf-8")
    frontier.write(ROOT / "docs/frontier.svg")
    if has_models:
        answer_picture.write(ROOT / "docs/answer.svg")


if __name__ == "__main__":
    main()
