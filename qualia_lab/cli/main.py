"""``qualia-lab``: the front doors as subcommands, with the rest beside them."""

from __future__ import annotations

from typing import Annotated

import typer

from qualia_lab import __version__
from qualia_lab.cli import config, console, create, demo, doctor, export, kinds, prices, runs

app = typer.Typer(
    name="qualia-lab",
    help="Turns MLflow runs into Jupyter notebooks that run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("create", epilog=create.EPILOG)(create.create)
app.command("export", epilog=export.EPILOG)(export.export)
app.command("runs", epilog=runs.EPILOG)(runs.runs)
app.command("kinds", epilog=kinds.EPILOG)(kinds.kinds)
app.command("prices", epilog=prices.EPILOG)(prices.prices)
app.command("config", epilog=config.EPILOG)(config.config)
app.command("demo", epilog=demo.EPILOG)(demo.demo)
app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Turns MLflow runs into Jupyter notebooks that run."""
    if show:
        console.Console().result(__version__, {"version": __version__})
        raise typer.Exit


def main() -> None:
    """Entry point of ``qualia-lab``."""
    console.run(app)
