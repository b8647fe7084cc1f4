"""What a shell offers after Tab: kinds, sections, experiments, statuses.

A shell inserts what it is offered as it stands, and zsh evaluates it before, so that names which
others chose are offered only where no character means anything to a shell; else the id is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import typer

from qualia_lab.errors import QualiaError
from qualia_lab.model import STATUSES

_PLAIN = re.compile(r"[\w@+=/][\w.@+=/-]{0,99}", re.ASCII)


def kinds(context: typer.Context, incomplete: str) -> list[str]:
    """The names of the kinds of notebook."""
    from qualia_lab.notebook.catalogue import Catalogue

    return _offered(Catalogue(_folders(context)).names(), incomplete)


def sections(context: typer.Context, incomplete: str) -> list[str]:
    """The sections of the kind that the line names, or of the default one."""
    from qualia_lab.notebook.catalogue import Catalogue

    try:
        kind = Catalogue(_folders(context)).kind(context.params.get("kind") or "observation")
    except QualiaError:
        return []
    return _offered([section.name for section in kind.sections], incomplete)


def experiments(context: typer.Context, incomplete: str) -> list[str]:
    """The experiments of the server that the line, the environment or the configuration names."""
    from qualia_lab.cli.config import load
    from qualia_lab.tracking.explorer import ArtifactExplorer

    given = context.params.get("tracking_uri")
    try:
        settings = load(
            config=context.params.get("config"), no_config=bool(context.params.get("no_config"))
        )
        settings.require_trust(bool(context.params.get("trust")), given)
        explorer = ArtifactExplorer(settings.value("tracking_uri", given))
        found = explorer.experiments()
    except QualiaError:  # nobody reads an error in the middle of a line
        return []
    return _offered(
        [one.name if _PLAIN.fullmatch(one.name) else one.experiment_id for one in found],
        incomplete,
    )


def statuses(context: typer.Context, incomplete: str) -> list[str]:
    """How a run can stand."""
    return _offered(STATUSES, incomplete)


def _folders(context: typer.Context) -> list[Path]:
    given = context.params.get("templates")
    return [Path(given)] if given else []


def _offered(names: Sequence[str], incomplete: str) -> list[str]:
    return [one for one in names if _PLAIN.fullmatch(one) and one.startswith(incomplete)]
