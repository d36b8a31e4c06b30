"""What went wrong, as one line for a person and an exit code for a program."""

from __future__ import annotations

from enum import IntEnum

from mcpcore import (
    DeadlineExceeded,
    ForbiddenError,
    HttpStatusError,
    LocalProtocolError,
    McpError,
    TransportError,
    UnauthorizedError,
)


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    """The tool says that it failed; or the demonstration did not show what it is to show; or it cannot be printed."""
    USAGE = 2
    """The command line, or something that it names, makes no sense; nothing was sent."""
    UNREACHABLE = 3
    """There was no answer, or none in time."""
    REFUSED = 4
    """The server refuses the credentials (401) or forbids the request (403)."""
    SERVER_ERROR = 5
    """The server answered something else than what was asked for."""
    INTERRUPTED = 130
    """Somebody pressed Ctrl-C."""


class Failure(Exception):
    """The end of a command: what happened, to which request at which server, and what to do."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, error: McpError, bearer_env: str | None) -> Failure:
        """What ``error`` is to somebody at a terminal.

        :param bearer_env: the environment variable that the token came from, or None if there was no token.
        """
        advice = _advice(error, bearer_env)
        return cls(f"{error}; {advice}" if advice else str(error), code_of(error))


_CODES: tuple[tuple[type[McpError], ExitCode], ...] = (
    (LocalProtocolError, ExitCode.USAGE),
    (UnauthorizedError, ExitCode.REFUSED),
    (ForbiddenError, ExitCode.REFUSED),
    (TransportError, ExitCode.UNREACHABLE),
    (DeadlineExceeded, ExitCode.UNREACHABLE),
    (McpError, ExitCode.SERVER_ERROR),
)


def code_of(error: McpError) -> ExitCode:
    """What ``error`` is to a program that runs this one."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def _advice(error: McpError, bearer_env: str | None) -> str:
    """What to do next, where that does not follow from the error itself."""
    match error:
        case UnauthorizedError():
            return f"is the token in {bearer_env} still good?" if bearer_env else "give a token with --bearer-env NAME"
        case HttpStatusError(status=404 | 405):
            return "is this the URL of its MCP endpoint?"
        case TransportError():
            return "is the server running, and is this its URL?"
        case DeadlineExceeded():
            return "--timeout allows it more"
        case _:
            return ""
