"""Whether there is matplotlib. Plots alone need it, and pages because they have plots; tables and Markdown do not."""

from __future__ import annotations

from parse_engine.errors import ConfigError

NO_MATPLOTLIB = "plots need matplotlib. Install it: pip install 'parse-engine[bench]'."


def has_matplotlib() -> bool:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def require_matplotlib(what: str) -> None:
    """Raise ConfigError, before anything is done, where `what` cannot be drawn."""
    if not has_matplotlib():
        raise ConfigError(f"{what} cannot be written: {NO_MATPLOTLIB}")
