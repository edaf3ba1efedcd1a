"""Write docs/cli.md, docs/frontier.svg and the generated parts of other pages.

`python scripts/docs/build.py [--check]`. The check leaves the drawing out: matplotlib's versions draw differently.
"""

from __future__ import annotations

import sys

import frontier
from cli_reference import reference
from parse_engine.models import store
from readme_blocks import (
    ROOT,
    figures_table,
    judge_table,
    pass_table,
    profile_table,
    real_table,
    refresh,
    snippet_output,
    vllm_tables,
)

TABLES = {"figures": figures_table, "real": real_table, "judge": judge_table, "pass": pass_table}


def pages(*, run_snippet: bool) -> dict[str, str]:
    """Every generated page as it should be.

    Args:
        run_snippet: also write the output of README's snippet again. A check leaves it out: two kinds of CPU may round
            differently, and then words may differ.
    """
    blocks = {**TABLES, "output": snippet_output} if run_snippet else TABLES
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    calibrate = (ROOT / "docs/calibrate.md").read_text(encoding="utf-8")
    deploy = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    return {
        "README.md": refresh(readme, blocks),
        "docs/cli.md": reference(),
        "docs/calibrate.md": refresh(calibrate, {"profiles": profile_table}),
        "docs/deploy.md": refresh(deploy, {"vllm": vllm_tables}),
    }


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


if __name__ == "__main__":
    main()
