from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from parse_engine.calibration.cases import FULL_ONLY, Case, Cases
from parse_engine.errors import DataError
from population import DELTAS, draw


def plain(case: Case) -> Case:
    return Case(**{each.name: getattr(case, each.name) for each in fields(Case)})


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    cases = [plain(case) for case in draw(3, 1, width=4)]
    kept = Cases(tmp_path)
    for case in cases:
        kept.add(case)
    assert [plain(case) for case in kept.done.values()] == [plain(case) for case in Cases(tmp_path).done.values()]
    for case, again in zip(cases, Cases(tmp_path).done.values(), strict=True):
        assert (again.key, again.ends, again.cuts, again.outcomes) == (case.key, case.ends, case.cuts, case.outcomes)
        for delta in (FULL_ONLY, *DELTAS):
            for name, values in case.features(delta).items():
                assert again.features(delta)[name] == pytest.approx(values, rel=1e-3, abs=1e-3)
        assert again.hidden is not None
        assert again.hidden.dtype == np.float32


def test_a_line_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    kept, cases = Cases(tmp_path), draw(2, 1)
    for case in cases:
        kept.add(case)
    file = tmp_path / Cases.FILE
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[:-100], encoding="utf-8")
    again = Cases(tmp_path)
    assert list(again.done) == [cases[0].key]
    again.add(cases[1])
    assert file.read_text(encoding="utf-8") == whole


def test_whole_lines_are_only_read(tmp_path: Path) -> None:
    """They were written again on every opening, and being stopped meanwhile would have lost all of them."""
    Cases(tmp_path).add(draw(1, 1)[0])
    file = tmp_path / Cases.FILE
    before = file.stat()
    assert len(Cases(tmp_path).done) == 1
    after = file.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("content", ["[]\n", "{}\n", "no JSON\n"])
def test_another_file(tmp_path: Path, content: str) -> None:
    (tmp_path / Cases.FILE).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="not a file of calibration cases"):
        Cases(tmp_path)
