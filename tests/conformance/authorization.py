"""How the client that the referee runs is authorized: for each scenario, what a user of the library would configure.

Where nothing else is said a person logs in, and the client registers by itself.  What was agreed beforehand, with an
authorization server or with an identity provider, the referee tells in the context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from mcpcore import (
    AssertionRequest,
    AuthorizationCode,
    AuthorizationRequest,
    ClientCredentials,
    EnterpriseManaged,
    JwtBearer,
    OAuth,
    RegisteredClient,
)
from transports.oauth import SigningKey

Context = Mapping[str, str]

# The referee takes this for the URL of a client's metadata, and does not look what is there.
DOCUMENT_URL = "https://conformance-test.local/client-metadata.json"


async def log_in(request: AuthorizationRequest) -> str:
    """Be the browser of a person who consents to everything, and say where it was sent back to."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        return (await browser.get(request.url)).headers["Location"]


PERSON = AuthorizationCode(log_in, "http://localhost:3000/callback")


def person(context: Context) -> OAuth:
    """A person logs in; the client registers by itself."""
    return OAuth(PERSON)


def person_with_document(context: Context) -> OAuth:
    """A person logs in; the client is known by the URL of a document."""
    return OAuth(PERSON, client_metadata_url=DOCUMENT_URL)


def person_with_client(context: Context) -> OAuth:
    """A person logs in; the client was registered by hand."""
    return OAuth(PERSON, client=registered(context), trust_first_issuer=True)


def person_with_key(context: Context) -> OAuth:
    """A person logs in; the token is bound to a key."""
    return OAuth(PERSON, dpop=SigningKey.generate("ES256"))


def application_with_secret(context: Context) -> OAuth:
    """The application is its own principal, and has a secret."""
    return OAuth(ClientCredentials(), client=registered(context), trust_first_issuer=True)


def application_with_key(context: Context) -> OAuth:
    """The application is its own principal, and has a key."""
    key = SigningKey.from_pem(context["private_key_pem"], context["signing_algorithm"])
    return OAuth(ClientCredentials(), client=RegisteredClient(context["client_id"], signer=key))


def workload(context: Context) -> OAuth:
    """The application's platform vouches for it."""

    def assertion(request: AssertionRequest) -> str:
        return context["valid_jwt"]

    return OAuth(JwtBearer(assertion), client=RegisteredClient(context["client_id"]))


def employee(context: Context) -> OAuth:
    """A person has logged in at the identity provider of an enterprise, which vouches for them."""

    def id_token(request: AssertionRequest) -> str:
        return context["idp_id_token"]

    provider = RegisteredClient(context["idp_client_id"], issuer=context["idp_issuer"])
    grant = EnterpriseManaged(id_token, token_endpoint=context["idp_token_endpoint"], client=provider)
    return OAuth(grant, client=registered(context), trust_first_issuer=True)


def registered(context: Context) -> RegisteredClient:
    """What the context says the client was registered as; where, it does not say."""
    return RegisteredClient(context["client_id"], context["client_secret"])


AUTHORIZATIONS: Mapping[str, Callable[[Context], OAuth]] = {
    "auth/basic-cimd": person_with_document,
    "auth/pre-registration": person_with_client,
    "auth/dpop": person_with_key,
    "auth/dpop-nonce": person_with_key,
    "auth/client-credentials-basic": application_with_secret,
    "auth/client-credentials-jwt": application_with_key,
    "auth/wif-jwt-bearer": workload,
    "auth/enterprise-managed-authorization": employee,
}


def authorization_for(scenario: str, context: Context) -> OAuth | None:
    """How to be authorized in a scenario; None where no authorization is judged."""
    if not scenario.startswith("auth/"):
        return None
    return AUTHORIZATIONS.get(scenario, person)(context)
