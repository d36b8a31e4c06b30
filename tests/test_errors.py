"""Every error: where it stands in the hierarchy, what it says, and that it survives pickling."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import mcpcore
from mcpcore import (
    CallToolResult,
    Challenge,
    ConfigurationError,
    DeadlineExceeded,
    ForbiddenError,
    HeaderResolverError,
    HttpStatusError,
    InputRequiredError,
    LimitExceeded,
    LocalProtocolError,
    LoginRequiredError,
    McpError,
    NotSentError,
    OAuthError,
    OAuthResponseError,
    RedirectError,
    RemoteProtocolError,
    RpcError,
    TaskCancelledError,
    ToolError,
    TransportError,
    UnauthorizedError,
)

CHALLENGES = (Challenge("Bearer", {"realm": "r"}), Challenge("Negotiate", {}, "dG9rZW4="))
PLACE = {"server": "https://mcp.example/mcp", "request": "tools/call 'search'"}
FULL: list[McpError] = [
    McpError("m", **PLACE),
    LocalProtocolError("m", **PLACE),
    ConfigurationError("m", **PLACE),
    HeaderResolverError("m", **PLACE),
    RemoteProtocolError("m", **PLACE),
    TransportError("m", **PLACE),
    NotSentError("m", **PLACE),
    DeadlineExceeded("m", **PLACE),
    LimitExceeded("m", limit="pages", **PLACE),
    RpcError("m", code=-32000, data={"deep": [1, None]}, **PLACE),
    TaskCancelledError("m", **PLACE),
    ToolError("m", result=CallToolResult([], is_error=True), **PLACE),
    InputRequiredError("m", input_requests={"q": {"method": "roots/list"}}, request_state="s", **PLACE),
    HttpStatusError("m", status=503, retry_after=7.0, **PLACE),
    UnauthorizedError("m", challenges=CHALLENGES, **PLACE),
    ForbiddenError("m", challenges=CHALLENGES, **PLACE),
    OAuthError("m", **PLACE),
    OAuthResponseError("m", error="invalid_grant", description="no", status=400, **PLACE),
    LoginRequiredError("m", **PLACE),
    RedirectError("m", status=307, location="https://evil.example/", **PLACE),
]
PARENTS = {
    McpError: Exception,
    LocalProtocolError: McpError,
    ConfigurationError: LocalProtocolError,
    HeaderResolverError: McpError,
    RemoteProtocolError: McpError,
    TransportError: McpError,
    NotSentError: TransportError,
    DeadlineExceeded: McpError,
    LimitExceeded: McpError,
    RpcError: McpError,
    InputRequiredError: McpError,
    TaskCancelledError: McpError,
    ToolError: McpError,
    HttpStatusError: McpError,
    UnauthorizedError: HttpStatusError,
    ForbiddenError: HttpStatusError,
    OAuthError: McpError,
    OAuthResponseError: OAuthError,
    LoginRequiredError: OAuthError,
    RedirectError: HttpStatusError,
}

each_error = pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
each_type = pytest.mark.parametrize("error", PARENTS, ids=lambda error: error.__name__)


def test_every_public_error_is_tested_here() -> None:
    names = [getattr(mcpcore, name) for name in mcpcore.__all__]
    public = {value for value in names if inspect.isclass(value) and issubclass(value, Exception)}
    assert public == set(PARENTS) == {type(error) for error in FULL}


@each_type
def test_the_hierarchy(error: type[McpError]) -> None:
    assert error.__bases__[0] is PARENTS[error]
    assert issubclass(error, McpError)


def test_errors_that_python_has_names_for_are_those_too() -> None:
    assert issubclass(DeadlineExceeded, TimeoutError)
    assert issubclass(ConfigurationError, ValueError)


def state(error: McpError) -> dict[str, object]:
    return {**vars(error), "args": error.args, "type": type(error), "text": str(error), "message": error.message}


@each_error
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling_whole(error: McpError, protocol: int) -> None:
    copied = pickle.loads(pickle.dumps(error, protocol))
    assert state(copied) == state(error)
    assert copied is not error


@each_error
def test_an_error_survives_copying_whole(error: McpError) -> None:
    assert state(copy.copy(error)) == state(copy.deepcopy(error)) == state(error)


@each_error
def test_what_is_added_to_an_error_survives_too(error: McpError) -> None:
    noted = copy.copy(error)
    noted.add_note("a note")
    assert pickle.loads(pickle.dumps(noted)).__notes__ == ["a note"]


@each_error
def test_an_error_tells_what_was_asked_of_whom_and_what_happened(error: McpError) -> None:
    assert str(error).startswith("tools/call 'search' to https://mcp.example/mcp: m")
    assert error.message == "m"
    assert (error.server, error.request) == (PLACE["server"], PLACE["request"])


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "m"),
        ({"server": "s"}, "s: m"),
        ({"request": "r"}, "r: m"),
        ({"server": "s", "request": "r"}, "r to s: m"),
    ],
)
@each_type
def test_an_error_tells_what_is_known(error: type[McpError], place: dict[str, str], text: str) -> None:
    assert str(error("m", **place)).startswith(text)


def test_a_json_rpc_error_shows_its_code() -> None:
    assert str(RpcError("no such tool", code=-32602)) == "no such tool (JSON-RPC error -32602)"


@each_type
def test_every_argument_is_optional(error: type[McpError]) -> None:
    empty = error()
    assert (empty.message, empty.server, empty.request) == ("", "", "")
    assert state(pickle.loads(pickle.dumps(empty))) == state(empty)


def test_the_root_can_be_made_without_arguments_by_whoever_subclasses_it() -> None:
    class Bare(McpError):
        def __init__(self) -> None:
            Exception.__init__(self)

    assert Bare().message == ""


@each_type
def test_an_error_is_located_once_by_whoever_is_closest(error: type[McpError]) -> None:
    raised = error("m", request="closest")
    assert raised.located("server", "farther") is raised
    assert (raised.server, raised.request) == ("server", "closest")
    raised.located("another", "farther")
    assert (raised.server, raised.request) == ("server", "closest")


@pytest.mark.parametrize(
    ("error", "status"), [(UnauthorizedError(), 401), (ForbiddenError(), 403), (HttpStatusError(), 0)]
)
def test_an_error_for_one_status_knows_it(error: HttpStatusError, status: int) -> None:
    assert error.status == status
    assert error.retry_after is None


def test_a_deadline_names_its_seconds_its_request_and_its_server() -> None:
    operation = mcpcore.Client("https://mcp.example/mcp?q=1").call_tool("search")
    error = operation.deadline_exceeded(1.5)
    assert str(error) == "tools/call 'search' to https://mcp.example/mcp: no answer within 1.5 s"
    with pytest.raises(TimeoutError):
        raise error
