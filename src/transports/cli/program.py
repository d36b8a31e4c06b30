"""The program ``mcpcore``: its commands, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

import mcpcore

from .demo import demo
from .failures import ExitCode, Failure
from .login import login, logout
from .remote import call, tools
from .telling import tell, warnings_told


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all is well, 1 the tool failed, 2 wrong usage, 3 no answer, 4 credentials refused, or a "
    "login needed, 5 any other answer, 130 interrupted.",
)
@click.version_option(mcpcore.__version__)
@click.pass_context
def program(context: click.Context) -> None:
    """A client for the Model Context Protocol."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(ExitCode.USAGE)


program.add_command(demo)
program.add_command(tools)
program.add_command(call)
program.add_command(login)
program.add_command(logout)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: the words of the command line after the program's name; ``sys.argv`` has them if None.
    :returns: the exit code, an :class:`~.failures.ExitCode`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A character that the terminal's encoding lacks is no reason to show nothing.
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings_told():
            return int(program.main(arguments, prog_name="mcpcore", standalone_mode=False))
    except click.Abort:
        return ExitCode.INTERRUPTED
    except Failure as failure:
        tell(str(failure))
        return failure.code
    except click.ClickException as error:
        place = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "mcpcore"
        tell(f"{error.format_message().rstrip('.')} (see {place} --help)")
        return ExitCode.USAGE
    except OSError as error:
        # What servers and networks do comes as a Failure, so this is our own output: a full disk, for instance.
        tell(f"the output cannot be written: {error.strerror}")
        return ExitCode.FAILED
