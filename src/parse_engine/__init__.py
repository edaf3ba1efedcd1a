"""parse-engine: semantic speculation for large language models.

A small drafter writes a whole answer; the large target judges many prefixes of it in one forward pass, keeps the
maximal valid prefix and finishes the answer itself (PARSE, arXiv 2605.04263).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from parse_engine.blocking import Engine
    from parse_engine.calibration.audit import Audit
    from parse_engine.config import ParseConfig, SamplingParams
    from parse_engine.engine import AsyncEngine
    from parse_engine.errors import (
        BackendError,
        ClosedError,
        ConfigError,
        DataError,
        DeviceError,
        DownloadError,
        ModelError,
        ModelNotFoundError,
        OverloadedError,
        ParseEngineError,
        PromptError,
        UnsupportedModelError,
    )
    from parse_engine.profile import Profile
    from parse_engine.trace import (
        Answer,
        BoundaryVerdict,
        Committed,
        Continuing,
        Done,
        Drafting,
        Event,
        Seconds,
        Trace,
        Verified,
    )

_HOMES = {
    "Answer": "trace",
    "AsyncEngine": "engine",
    "Audit": "calibration.audit",
    "BackendError": "errors",
    "BoundaryVerdict": "trace",
    "ClosedError": "errors",
    "Committed": "trace",
    "ConfigError": "errors",
    "Continuing": "trace",
    "DataError": "errors",
    "DeviceError": "errors",
    "Done": "trace",
    "DownloadError": "errors",
    "Drafting": "trace",
    "Engine": "blocking",
    "Event": "trace",
    "ModelError": "errors",
    "ModelNotFoundError": "errors",
    "OverloadedError": "errors",
    "ParseConfig": "config",
    "ParseEngineError": "errors",
    "Profile": "profile",
    "PromptError": "errors",
    "SamplingParams": "config",
    "Seconds": "trace",
    "Trace": "trace",
    "UnsupportedModelError": "errors",
    "Verified": "trace",
}
__all__ = [
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


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that importing the package does not import torch."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"parse_engine.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'parse_engine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
