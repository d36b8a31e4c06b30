"""What each package may import, and what an import of it may load.

The first law of the core is that it does no I/O: it opens nothing, waits for nothing, reads no clock. The
source is read for that, and then a bare interpreter imports the packages and says what came along, because a
harmless name can load a forbidden one (in some versions `email.utils` loads `socket`).
"""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import attrs
import pytest

import mcpcore

SRC = Path(__file__).resolve().parent.parent / "src"
CORE = sorted((SRC / "mcpcore").rglob("*.py"))
ADAPTERS = sorted((SRC / "transports").rglob("*.py"))

# Standard modules that do I/O, start work, read a clock or draw randomness, and those that load such a one.
NOT_IN_THE_CORE = {
    "_thread",
    "asyncio",
    "concurrent",
    "ctypes",
    "email",
    "ftplib",
    "http.client",
    "http.cookiejar",
    "http.server",
    "imaplib",
    "importlib.metadata",
    "importlib.resources",
    "logging.config",
    "logging.handlers",
    "mmap",
    "multiprocessing",
    "pathlib",
    "poplib",
    "queue",
    "random",
    "sched",
    "select",
    "selectors",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.error",
    "urllib.request",
    "uuid",
    "webbrowser",
    "wsgiref",
    "xmlrpc",
}
NOT_CALLED_BY_THE_CORE = {
    "date.today",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.now",
    "datetime.utcnow",
    "input",
    "open",
    "print",
}
NOT_LOADED_BY_THE_CORE = {
    "_socket",
    "_ssl",
    "anyio",
    "asyncio",
    "h11",
    "httpx",
    "httpx2",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "trio",
}
NOT_LOADED_BY_THE_ADAPTERS = {
    "click",
    "coredis",
    "cryptography",
    "h11",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "joserfc",
    "jsonschema_rs",
    "keyring",
    "opentelemetry",
    "rich",
    "trio",
    "uritemplate",
    "yaml",
}

# Imports what it is told to, in an interpreter that has loaded nothing else, and prints what is loaded then.
PROBE = """
import sys
sys.path[:0] = sys.argv[2].split("\\n")
for name in sys.argv[1].split("\\n"):
    __import__(name)
print(*sorted(sys.modules), sep="\\n")
"""


def where(path: Path, node: ast.stmt | ast.expr) -> str:
    return f"{path.relative_to(SRC)}:{node.lineno}"


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Where each absolute import of a file stands, late ones included, and the dotted name that it means."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield where(path, node), alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                # The last part may be a module, as in `from http import client`, or a name inside one.
                yield where(path, node), f"{node.module}.{alias.name}"


def calls(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield where(path, node), ast.unparse(node.func)


def within(name: str, banned: set[str]) -> bool:
    """Whether a dotted name is one of the banned modules, or something in one."""
    return any(f"{name}.".startswith(f"{module}.") for module in banned)


def offences(
    files: list[Path], names: Callable[[Path], Iterator[tuple[str, str]]], wrong: Callable[[str], bool]
) -> list[str]:
    return [f"{place} {name}" for path in files for place, name in names(path) if wrong(name)]


def loaded_by(*modules: str) -> set[str]:
    """What a bare interpreter (no site, no environment, no coverage) has loaded after importing these."""
    places = {str(SRC), *(str(Path(package.__file__).parent.parent) for package in (anyio, attrs))}
    command = [sys.executable, "-I", "-S", "-c", PROBE, "\n".join(modules), "\n".join(sorted(places))]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_core_imports_the_standard_library_and_attrs_alone() -> None:
    allowed = sys.stdlib_module_names | {"attrs", "mcpcore"}
    assert offences(CORE, imports, lambda name: name.split(".")[0] not in allowed) == []


def test_the_core_imports_nothing_that_does_io() -> None:
    assert offences(CORE, imports, lambda name: within(name, NOT_IN_THE_CORE)) == []


def test_the_core_calls_nothing_that_does_io() -> None:
    assert offences(CORE, calls, NOT_CALLED_BY_THE_CORE.__contains__) == []


def test_importing_all_of_the_core_loads_no_io() -> None:
    loaded = loaded_by(*map(module_name, CORE))
    assert "mcpcore" in loaded
    assert loaded & NOT_LOADED_BY_THE_CORE == set()


def test_importing_transports_loads_no_engine() -> None:
    loaded = loaded_by("transports", "transports.stores")
    assert "transports.stores" in loaded
    assert loaded & NOT_LOADED_BY_THE_ADAPTERS == set()


def test_importing_what_logs_in_loads_no_extra() -> None:
    loaded = loaded_by("transports.oauth")
    assert "transports.oauth" in loaded
    # What a browser asks for is read with h11.
    assert loaded & NOT_LOADED_BY_THE_ADAPTERS <= {"h11"}


def test_the_probe_sees_what_a_harmless_name_loads() -> None:
    assert loaded_by("logging.handlers") >= {"socket", "selectors"}


def test_transports_names_itself_only_relatively() -> None:
    # So that it works under any other name, inside the package of whoever vendors it.
    assert offences(ADAPTERS, imports, lambda name: within(name, {"transports"})) == []


# Each module of the core may import from its own layer and from those before it, and not from those after it.
LAYERS = (
    {"version", "errors", "limits", "redaction", "codecs.shapes"},
    {
        "codecs.header_fields",
        "codecs.challenges",
        "codecs.sse",
        "codecs.newline_json",
        "codecs.jsonrpc",
        "rules.digests",
        "statistics",
    },
    {
        "rules.transitions",
        "signals",
        "context",
        "rules.endpoint",
        "rules.revisions",
        "rules.metadata",
        "types.annotations",
        "types.capabilities",
        "types.completion",
        "types.content",
        "types.discovery",
        "types.elicitation",
        "types.implementation",
        "types.logging",
        "types.progress",
        "types.prompts",
        "types.resources",
        "types.roots",
        "types.sampling",
        "types.tasks",
        "types.tool_formats",
        "types.subscriptions",
        "types.tools",
        "types.wire",
        "rules.parameter_headers",
        "rules.output_schemas",
        "rules.trace_context",
        "handlers",
        "extensions",
        "tasks",
        "rules.capabilities",
    },
    {
        "commands",
        "rules.addresses",
        "oauth.interaction",
        "oauth.provider",
        "oauth.signing",
        "oauth.token_store",
        "rules.pipeline",
        "state.flights",
        "state.places",
        "rules.freshness",
        "state.response_cache",
        "state.partitions",
        "state.client_state",
        "state.options",
    },
    {
        "machines.exchange",
        "oauth.accounts",
        "oauth.http",
        "oauth.clients",
        "oauth.discovery",
        "oauth.dpop",
        "oauth.grants",
        "oauth.keeping",
        "oauth.metadata",
        "oauth.oauth",
        "oauth.obtaining",
        "oauth.registrations",
        "oauth.scopes",
        "oauth.servers",
        "oauth.token_requests",
        "oauth.tokens",
        "machines.mailboxes",
        "machines.channel",
        "state.call",
        "machines.shared_store",
        "machines.server_requests",
        "machines.rounds",
        "machines.refusals",
        "machines.outbound",
        "machines.requests",
        "machines.session",
        "machines.http_sse",
        "machines.modern",
        "machines.negotiation",
    },
    {
        "verbs.asking",
        "verbs.authorization",
        "verbs.cached_requests",
        "verbs.rpc",
        "verbs.listening",
        "verbs.listing",
        "verbs.logging",
        "verbs.prompts",
        "verbs.resources",
        "verbs.roots",
        "verbs.tools",
    },
    {"operation", "client"},
)
MODULES = set().union(*LAYERS)


def layer(module: str) -> int:
    return next(number for number, modules in enumerate(LAYERS) if module in modules)


def within_the_core(name: str) -> str:
    """The dotted name of something in the core, without the core's own."""
    return name.removeprefix("mcpcore").removeprefix(".")


def imports_at_run_time(path: Path) -> Iterator[str]:
    """The modules of the core that a file of it imports, other than for its annotations."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None and within(node.module, {"mcpcore"}):
            module = within_the_core(node.module)
            # What is imported from a package is a module in it.
            inside = [within_the_core(f"{node.module}.{alias.name}") for alias in node.names]
            yield from [module] if module in MODULES else inside


def test_the_core_imports_only_downward() -> None:
    modules = {within_the_core(module_name(path)): path for path in CORE if path.stem != "__init__"}
    assert modules.keys() == MODULES
    upward = [
        f"{module} imports {imported}"
        for module, path in modules.items()
        for imported in imports_at_run_time(path)
        if layer(imported) > layer(module)
    ]
    assert upward == []


def test_each_public_name_of_the_core_is_found_where_it_is_said_to_be() -> None:
    found = {name: getattr(mcpcore, name) for name in mcpcore.__all__}
    assert set(mcpcore.__all__) <= set(dir(mcpcore))
    homes = {name: value.__module__ for name, value in found.items() if isinstance(value, type)}
    assert all(home.startswith("mcpcore.") for home in homes.values())
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = mcpcore.Nothing
