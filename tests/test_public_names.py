"""The public names, pinned: a change here is a change that users see and the changelog names."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import parse_engine
from parse_engine import errors
from parse_engine.cli.helptext import field_docs


def test_public_names() -> None:
    assert parse_engine.__all__ == [
        "Answer",
        "AsyncEngine",
        "Audit",
        "BackendError",
        "BoundaryVerdict",
        "ClosedError",
        "Committed",
        "ConfigError",
        "Continuing",
        "DataError",
        "DeviceError",
        "Done",
        "DownloadError",
        "Drafting",
        "Engine",
        "Event",
        "ModelError",
        "ModelNotFoundError",
        "OverloadedError",
        "ParseConfig",
        "ParseEngineError",
        "Profile",
        "PromptError",
        "SamplingParams",
        "Seconds",
        "Trace",
        "UnsupportedModelError",
        "Verified",
        "__version__",
    ]


def test_every_public_name_can_be_had() -> None:
    for name in parse_engine.__all__:
        assert getattr(parse_engine, name) is not None


def test_every_error_is_a_public_name() -> None:
    own = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert own <= set(parse_engine.__all__)


def test_every_field_of_a_public_type_has_its_help() -> None:
    public = [getattr(parse_engine, name) for name in parse_engine.__all__]
    types = [each for each in public if dataclasses.is_dataclass(each)]
    assert len(types) > 10
    for each in types:
        assert [f"{each.__name__}.{f.name}" for f in dataclasses.fields(each) if f.name not in field_docs(each)] == []


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, parse_engine; assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
