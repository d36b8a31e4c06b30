"""The official referee judges the client: each scenario at its revision, on both event loops.

Run by ``make conformance``, or ``make conformance LOOPS=trio`` for one of them; ``LOOPS=alternating`` takes one for one
scenario, and the other for the next.  Where the referee cannot be installed this is skipped; in continuous integration
(``CI`` in the environment) it fails, because there a skipped judgement would look like a good one.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from referee import HERE, Referee, Verdict, find_referee
from support.node import ROOT

AUTHORIZATION = (
    "auth/metadata-default",
    "auth/metadata-var1",
    "auth/metadata-var2",
    "auth/metadata-var3",
    "auth/basic-cimd",
    "auth/pre-registration",
    "auth/scope-from-www-authenticate",
    "auth/scope-from-scopes-supported",
    "auth/scope-omitted-when-undefined",
    "auth/scope-step-up",
    "auth/scope-retry-limit",
    "auth/token-endpoint-auth-basic",
    "auth/token-endpoint-auth-post",
    "auth/token-endpoint-auth-none",
)
# An extension belongs to no revision: its scenarios are run at the newest.
SCENARIOS = {
    "2025-03-26": (
        "auth/2025-03-26-oauth-metadata-backcompat",
        "auth/2025-03-26-oauth-endpoint-fallback",
    ),
    "2025-06-18": (
        "initialize",
        "tools_call",
        "auth/token-endpoint-auth-basic",
        "auth/token-endpoint-auth-post",
        "auth/token-endpoint-auth-none",
    ),
    "2025-11-25": (
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
        *AUTHORIZATION,
    ),
    "2026-07-28": (
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
        *AUTHORIZATION,
        "auth/resource-mismatch",
        "auth/metadata-issuer-mismatch",
        "auth/authorization-server-migration",
        "auth/offline-access-scope",
        "auth/offline-access-not-supported",
        "auth/iss-supported",
        "auth/iss-not-advertised",
        "auth/iss-supported-missing",
        "auth/iss-wrong-issuer",
        "auth/iss-unexpected",
        "auth/iss-normalized",
        "auth/client-credentials-basic",
        "auth/client-credentials-jwt",
        "auth/wif-jwt-bearer",
        "auth/enterprise-managed-authorization",
        "auth/dpop",
        "auth/dpop-nonce",
        "sep-2640-client-no-prefetch",
        "sep-2640-client-verify-digest",
        "sep-2640-client-verify-size",
        "sep-2640-client-verify-frontmatter",
    ),
}
# Where what the server does must not be put up with: the error in which the client says so.
ERRORS = {
    "auth/scope-retry-limit": ["ForbiddenError"],
    "auth/resource-mismatch": ["OAuthError"],
    "auth/metadata-issuer-mismatch": ["OAuthError"],
    "auth/iss-supported-missing": ["OAuthError"],
    "auth/iss-wrong-issuer": ["OAuthError"],
    "auth/iss-unexpected": ["OAuthError"],
    "auth/iss-normalized": ["OAuthError"],
}
LOOPS = os.environ.get("CONFORMANCE_LOOPS", "asyncio trio").split()
# The referee holds each message against the schema only where its server is the one that all scenarios may share.
HELD_AGAINST_SCHEMA = {"tools_call", "json-schema-2020-12-preservation"}

pytestmark = pytest.mark.timeout(300)


def runs() -> Iterator[tuple[str, str, str]]:
    """What is to be judged: the revision, the scenario, the event loop."""
    listed = ((version, scenario) for version in SCENARIOS for scenario in SCENARIOS[version])
    for place, (version, scenario) in enumerate(listed):
        for loop in LOOPS if LOOPS != ["alternating"] else [("asyncio", "trio")[place % 2]]:
            yield version, scenario, loop


@pytest.fixture(scope="session")
def referee() -> Referee:
    return find_referee()


@pytest.fixture(scope="session")
def verdicts(
    request: pytest.FixtureRequest, referee: Referee, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Verdict]]]:
    """The verdicts on all that is to be tested here, by the test; two are found at a time."""

    def find(test: pytest.Function) -> Verdict:
        scenario, version, loop = (str(test.callspec.params[name]) for name in ("scenario", "version", "loop"))
        return referee.run(scenario, version, loop, tmp_path_factory.mktemp("referee"))

    tests = (item for item in request.session.items if isinstance(item, pytest.Function))
    with ThreadPoolExecutor(2) as pool:
        yield {test.nodeid: pool.submit(find, test) for test in tests if test.originalname == test_scenario.__name__}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(("version", "scenario", "loop"), list(runs()))
def test_scenario(
    request: pytest.FixtureRequest,
    verdicts: Mapping[str, Future[Verdict]],
    scenario: str,
    version: str,
    loop: str,
) -> None:
    verdict = verdicts[request.node.nodeid].result()
    assert verdict.judged, verdict.transcript
    assert not verdict.failed, verdict.transcript
    assert verdict.passed, verdict.transcript
    # The client says each error in one line, and nothing else: neither a traceback nor a warning.
    assert [line.partition(":")[0] for line in verdict.client_errors.splitlines()] == ERRORS.get(scenario, [])
    assert (scenario in HELD_AGAINST_SCHEMA) == ("wire-schema-valid" in verdict.judged)


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_every_scenario_that_a_revision_requires_is_run(referee: Referee, version: str) -> None:
    required = referee.required(version)
    assert required
    assert set(required) <= set(SCENARIOS[version])


def test_every_scenario_is_run_at_each_revision_that_it_is_for(referee: Referee) -> None:
    listed = referee.listed()
    assert listed
    newest = max(SCENARIOS)
    wanted = {(newest if v == "extension" else v, scenario) for scenario, versions in listed.items() for v in versions}
    assert wanted == {(v, scenario) for v in SCENARIOS for scenario in SCENARIOS[v]}


@pytest.mark.parametrize("name", ["client.py", "authorization.py"])
def test_the_client_is_made_of_the_library_alone(name: str) -> None:
    tree = ast.parse((HERE / name).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    packages = {name.partition(".")[0] for name in imported}
    # httpx is the browser of the person who logs in.
    assert packages - sys.stdlib_module_names <= {"anyio", "authorization", "httpx", "mcpcore", "transports"}
    assert "importlib" not in packages


def test_the_library_knows_no_scenario() -> None:
    scenarios = {scenario for version in SCENARIOS for scenario in SCENARIOS[version]}
    names = {scenario for scenario in scenarios if "-" in scenario} | {"MCP_CONFORMANCE", "MCPCORE_BACKEND"}
    sources = {path: path.read_text() for path in (ROOT / "src").rglob("*.py")}
    assert sources
    assert not [(path, name) for path, source in sources.items() for name in names if name in source]
