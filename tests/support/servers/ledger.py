"""What an authorization server under test is asked and told by the tests, at ``/ledger``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Ledger:
    """How many tokens were issued, by grant, and what is known.

    :ivar issued: what is told, and then forgotten.
    """

    def __init__(self, **known: dict[str, Any]) -> None:
        """Keep book of what is ``known``, by kind: ``access`` (tokens), ``refresh`` (tokens) and ``clients``."""
        self.issued: Counter[str] = Counter()
        self._known = known

    async def _tell(self, request: Request) -> Response:
        issued, self.issued = self.issued, Counter()
        return JSONResponse(issued)

    async def _forget(self, request: Request) -> Response:
        for kind in request.query_params.getlist("forget"):
            self._known[kind].clear()
        return Response()

    def routes(self) -> list[Route]:
        """GET: what was issued since this was asked last; POST ``?forget=KIND``: none of that kind is known now."""
        return [Route("/ledger", self._tell), Route("/ledger", self._forget, methods=["POST"])]
