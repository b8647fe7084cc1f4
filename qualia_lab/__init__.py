"""Turns MLflow runs into Jupyter notebooks that run.

The public names are imported on first use, so that ``import qualia_lab`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qualia_lab import analysis
    from qualia_lab.model import RunSet
    from qualia_lab.notebook.generator import NotebookGenerator
    from qualia_lab.tracking.explorer import ArtifactExplorer, load

__version__ = "0.1.0"
__all__ = ["ArtifactExplorer", "NotebookGenerator", "RunSet", "__version__", "analysis", "load"]

_HOMES = {
    "ArtifactExplorer": "qualia_lab.tracking.explorer",
    "NotebookGenerator": "qualia_lab.notebook.generator",
    "RunSet": "qualia_lab.model",
    "load": "qualia_lab.tracking.explorer",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "analysis":
        return import_module("qualia_lab.analysis")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
