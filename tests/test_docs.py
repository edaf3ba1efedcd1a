"""The generated docs say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from parse_engine.models.catalog import catalog
from parse_engine.profile import Profile

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_generated_docs_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs/build.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    links += re.findall(r'src="([^"]+)"', page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


def test_models_have_todays_names_wherever_they_are_named() -> None:
    """4-bit files had the names of their originals, and whoever gives such a name today is sent to another."""
    originals = [model.wheels.original.partition("/")[2].lower() for model in catalog().values() if model.wheels]
    named = re.compile(rf"({'|'.join(map(re.escape, originals))})(?!-q4)")
    for file in [*PAGES, *(ROOT / "results").glob("*.json"), *(ROOT / "src/parse_engine/bench/replay").rglob("*.json")]:
        assert not named.findall(file.read_text(encoding="utf-8")), file
    for file in (ROOT / "results/records").glob("*.profile"):
        profile = Profile.load(file)
        assert {profile.target, profile.draft} <= catalog().keys()
        assert not named.findall(profile.provenance["command"])
