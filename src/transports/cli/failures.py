"""What went wrong, as one line for a person and an exit code for a program."""

from __future__ import annotations

from enum import IntEnum

from mcpcore import (
    DeadlineExceeded,
    ForbiddenError,
    HttpStatusError,
    LocalProtocolError,
    McpError,
    OAuthError,
    OAuthResponseError,
    TransportError,
    UnauthorizedError,
)


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    """The tool says that it failed; or the demonstration did not show what it is to show; or it cannot be printed, or
    kept in the keyring of the system."""
    USAGE = 2
    """The command line, or something that it names, makes no sense; nothing was sent."""
    UNREACHABLE = 3
    """There was no answer, or none in time."""
    REFUSED = 4
    """The server refuses the credentials (401) or forbids the request (403); or nobody is logged in, or could be."""
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
    def of(cls, error: McpError, if_refused: str = "") -> Failure:
        """What ``error`` is to somebody at a terminal.

        :param if_refused: what to do if the server refuses the credentials, or wants some.
        """
        advice = _advice(error, if_refused)
        return cls(f"{error}; {advice}" if advice else str(error), code_of(error))


_CODES: tuple[tuple[type[McpError], ExitCode], ...] = (
    (LocalProtocolError, ExitCode.USAGE),
    (UnauthorizedError, ExitCode.REFUSED),
    (ForbiddenError, ExitCode.REFUSED),
    (OAuthError, ExitCode.REFUSED),
    (TransportError, ExitCode.UNREACHABLE),
    (DeadlineExceeded, ExitCode.UNREACHABLE),
    (McpError, ExitCode.SERVER_ERROR),
)


def code_of(error: McpError) -> ExitCode:
    """What ``error`` is to a program that runs this one."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def _advice(error: McpError, if_refused: str) -> str:
    """What to do next, where that does not follow from the error itself."""
    match error:
        case UnauthorizedError():
            return if_refused
        case HttpStatusError(status=404 | 405):
            return "is this the URL of its MCP endpoint?"
        case OAuthResponseError(status=404 | 405):
            return "does this server know logins?"
        case TransportError():
            return "is the server running, and is this its URL?"
        case DeadlineExceeded():
            return "--timeout allows it more"
        case _:
            return ""
