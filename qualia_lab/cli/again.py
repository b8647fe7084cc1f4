"""The command that makes a notebook again, as it is printed at the end."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qualia_lab.cli.picking import reference

if TYPE_CHECKING:
    from qualia_lab.cli.choose import Flags
    from qualia_lab.manifest import Kind
    from qualia_lab.model import Experiment, Selection


def command(
    flags: Flags, kind: Kind, selection: Selection, experiments: Sequence[Experiment]
) -> str:
    """The command that makes the same notebook again without asking."""
    words = ["create-observation-notebook", "--tracking-uri", selection.tracking_uri]
    for one in experiments if flags.which.experiment else ():
        words += ["--experiment", reference(one)]
    if flags.which.queries:
        words += flags.which.words()
    else:
        for run_id in selection.run_ids:
            words += ["--run", run_id]
    words += ["--templates", str(flags.templates[0])] if flags.templates else []
    words += ["--trust"] if flags.templates and flags.execute else []
    words += ["--kind", selection.kind] if flags.says_kind else []
    for name in selection.sections:
        words += ["--section", name]
    for name in selection.also:
        words += ["--with", name]
    usual = {parameter.name: parameter.usual for parameter in kind.parameters}
    for name, value in selection.parameters.items():
        words += ["--param", f"{name}={value}"] if value != usual[name] else []
    words += ["--children"] if flags.which.children and flags.which.queries else []
    words += ["--title", selection.title, "--output", str(selection.output)]
    words += ["--execute"] if flags.execute else []
    for to in flags.exports:
        words += ["--export", to]
    words += ["--no-code"] if flags.exports and not flags.code else []
    words += ["--fail-on", flags.fail_on] if flags.fail_on else []
    words += ["--summary", str(flags.summary)] if flags.summary else []
    return shlex.join([*words, "--overwrite", "--no-input"])
