"""What an authorization server under test is asked and told by the tests, at ``/ledger``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Ledger:
    """How many tokens were issued, by grant, and which there are.

    :ivar issued: what is told, and then forgotten.
    """

    def __init__(self, **tokens: dict[str, Any]) -> None:
        """Keep book of ``tokens``, which are given by kind (``access``, ``refresh``) and by their texts."""
        self.issued: Counter[str] = Counter()
        self._tokens = tokens

    async def _tell(self, request: Request) -> Response:
        issued, self.issued = self.issued, Counter()
        return JSONResponse(issued)

    async def _forget(self, request: Request) -> Response:
        for kind in request.query_params.getlist("forget"):
            self._tokens[kind].clear()
        return Response()

    def routes(self) -> list[Route]:
        """GET: what was issued since this was asked last; POST ``?forget=KIND``: those tokens are worth nothing now."""
        return [Route("/ledger", self._tell), Route("/ledger", self._forget, methods=["POST"])]
