"""What is secret is in no error, no representation and no log: whatever fails, and whatever a server repeats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.authorization import ISSUER, REDIRECT, form_of, query_of
from support.oauth import BY_HAND, FakeSigner, Scene, as_
from support.pure import Answer, headers_of, json_reply
from support.scenes import reachable

from mcpcore import (
    AuthorizationCode,
    ClientCredentials,
    EnterpriseManaged,
    JwtBearer,
    McpError,
    RegisteredClient,
    SendRequest,
)

TOKEN, REVOKE, IDP_TOKEN = f"{ISSUER}/token", f"{ISSUER}/revoke", "https://idp.example/token"


SECRET = (
    *("code", "code_verifier", "refresh_token", "token", "assertion", "subject_token"),
    *("client_secret", "client_assertion"),
)


def secrets_of(scene: Scene) -> Iterator[str]:
    """Everything in a world that is somebody's secret."""
    for server in scene.world.servers.values():
        yield from server.tokens
        yield from server.refresh_tokens
        yield from filter(None, server.clients.values())
        yield from (request.state for request in server.authorized)
    for request in scene.driver.sent:
        headers = headers_of(request)
        yield from filter(None, [headers.get("authorization", "").partition(" ")[2]])
        if headers.get("content-type") == "application/x-www-form-urlencoded":
            yield from (value for name, value in form_of(request).items() if name in SECRET)
    yield from scene.entropy.drawn


def telltale(request: SendRequest) -> Answer:
    """A token endpoint that says everything that it was told."""
    form = form_of(request)
    told = " ".join([*form.values(), headers_of(request).get("authorization", "")])
    return json_reply({"error": told[:250], "error_description": told}, 400)


def log_in_in_vain(scene: Scene) -> list[McpError]:
    scene.world.documents[TOKEN] = telltale
    client = scene.client()
    return [scene.refused(client), scene.fail(client.log_in(context=as_("bob")))]


def refresh_in_vain(scene: Scene) -> list[McpError]:
    client = scene.client(scene.provider(client=BY_HAND))
    scene.call(client)
    scene.clock.now += 595
    scene.world.documents[TOKEN] = telltale
    return [scene.refused(client)]


def log_out_in_vain(scene: Scene) -> list[McpError]:
    client = scene.client(scene.provider(client=BY_HAND))
    scene.call(client)
    scene.world.documents[REVOKE] = telltale
    scene.run(client.log_out(context=as_("alice")))
    return []


def be_refused_in_the_browser(scene: Scene) -> list[McpError]:
    def handler(request: Any) -> str:
        state = query_of(scene.world.log_in(request))["state"]
        return f"{REDIRECT}?error=access_denied&error_description=for+{state}&state={state}"

    auth = scene.provider(AuthorizationCode(handler, redirect_uri=REDIRECT))
    return [scene.refused(scene.client(auth))]


def break_in_the_browser(scene: Scene) -> list[McpError]:
    def handler(request: Any) -> str:
        return scene.world.log_in(request) + "&state=twice"

    auth = scene.provider(AuthorizationCode(handler, redirect_uri=REDIRECT))
    return [scene.refused(scene.client(auth))]


def show_credentials_in_vain(scene: Scene) -> list[McpError]:
    scene.world.documents[TOKEN] = telltale
    post = RegisteredClient("app", "app-secret", issuer=ISSUER, auth_method="client_secret_post")
    return [
        scene.refused(scene.client(scene.provider(ClientCredentials(), client=client)), None)
        for client in (BY_HAND, post, RegisteredClient("app", signer=FakeSigner(), issuer=ISSUER))
    ]


def be_vouched_for_in_vain(scene: Scene) -> list[McpError]:
    scene.world.documents[TOKEN] = telltale
    scene.world.documents[IDP_TOKEN] = telltale
    idp = RegisteredClient("at-idp", "idp-secret")
    enterprise = EnterpriseManaged(lambda request: "a-platforms-word", token_endpoint=IDP_TOKEN, client=idp)
    return [
        scene.refused(scene.client(scene.provider(JwtBearer(lambda request: "a-platforms-word"))), None),
        scene.refused(scene.client(scene.provider(enterprise, client=BY_HAND))),
    ]


def be_refused_by_the_server(scene: Scene) -> list[McpError]:
    client = scene.client()
    scene.call(client)
    scene.refuse("tools/call")
    return [scene.refused(client)]


IN_VAIN = [
    log_in_in_vain,
    refresh_in_vain,
    log_out_in_vain,
    be_refused_in_the_browser,
    break_in_the_browser,
    show_credentials_in_vain,
    be_vouched_for_in_vain,
    be_refused_by_the_server,
]


@pytest.mark.parametrize("scenario", IN_VAIN, ids=lambda scenario: scenario.__name__)
def test_no_secret_is_ever_seen(scenario: Callable[[Scene], list[McpError]], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene = Scene()
    errors = scenario(scene)
    shown = [caplog.text, repr(scene.driver.sent)]
    for error in errors:
        chain: BaseException | None = error
        while chain is not None:
            shown += [str(chain), repr(chain), repr(getattr(chain, "__dict__", ""))]
            chain = chain.__cause__ or chain.__context__
    text = "\n".join(shown)
    secrets = {"app-secret", "idp-secret", *secrets_of(scene)}
    assert len(secrets) > 3
    assert {secret for secret in secrets if secret in text} == set()


def test_no_repr_shows_a_secret() -> None:
    scene = Scene()
    client = scene.client(scene.provider(client=BY_HAND))
    operation, shown = client.call_tool("find", context=as_("alice")), list[str]()

    def looking(request: SendRequest) -> None:
        # All that the operation holds at this moment, and all that stays with the client.
        for root in (operation, client):
            shown.extend(repr(thing) for thing in reachable(root) if type(thing).__module__.startswith("mcpcore"))

    scene.instead = looking
    scene.run(operation)
    scene.clock.now += 595
    scene.call(client)
    text = "\n".join(shown)
    assert all(f"{name}(" in text for name in ("Token", "Account", "TokenRequest", "SendRequest", "Credentials"))
    assert {secret for secret in {"app-secret", *secrets_of(scene)} if secret in text} == set()
