"""A server on its standard streams, in the standard library alone: it starts in no time, and does what tests need.

    python lines.py [modern|handshake] [stubborn] [deaf]

A stubborn one does not end when its input does; a deaf one ignores being terminated, too.
"""

import json
import os
import signal
import sys
from typing import Any

MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"
SPEAKS = MODERN if "modern" in sys.argv else HANDSHAKE
cancelled: list[Any] = []


def say(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def text(value: object) -> dict[str, Any]:
    return {"resultType": "complete", "content": [{"type": "text", "text": json.dumps(value)}]}


def call(request: dict[str, Any], name: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a tool, if it has one."""
    match name:
        case "echo":
            return text(arguments)
        case "surroundings":
            surroundings = {"env": dict(os.environ), "cwd": os.getcwd(), "argv": sys.argv[1:], "pid": os.getpid()}
            return text({**surroundings, "group": os.getpgid(0)})
        case "progress":
            token = request["params"]["_meta"]["progressToken"]
            for number in range(arguments["count"]):
                say(method="notifications/progress", params={"progressToken": token, "progress": number})
            return text("done")
        case "noise":
            print("this is no message", flush=True)
            return text("done")
        case "complain":
            print("something is wrong", file=sys.stderr, flush=True)
            return text("done")
        case "cancelled":
            return text(cancelled)
    return end(request, name, arguments)


def end(request: dict[str, Any], name: str, arguments: dict[str, Any]) -> None:
    """End in the way that a tool is named after; any other tool never answers."""
    match name:
        case "exit":
            os._exit(arguments["status"])
        case "bequeath":
            if os.fork() == 0:
                signal.alarm(10)  # It ends by itself, because nobody looks after it.
                signal.pause()
            os._exit(arguments["status"])
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "close":
            os.close(1)
        case "plug":
            os.close(0)
            progress = {"progressToken": request["params"]["_meta"]["progressToken"], "progress": 1}
            say(method="notifications/progress", params=progress)
            signal.pause()


def answer(request: dict[str, Any]) -> dict[str, Any] | None:
    match request["method"]:
        case "server/discover" if SPEAKS == MODERN:
            return {"resultType": "complete", "supportedVersions": [MODERN], "capabilities": {}, "ttlMs": 0}
        case "initialize" if SPEAKS == HANDSHAKE:
            info = {"name": "lines", "version": "1"}
            return {"protocolVersion": HANDSHAKE, "capabilities": {"tools": {}}, "serverInfo": info}
        case "ping" if SPEAKS == HANDSHAKE:
            return {}
        case "tools/call":
            return call(request, request["params"]["name"], request["params"].get("arguments", {}))
    return {"code": -32601, "message": "Method not found"}


def serve() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
        if "id" not in message or "method" not in message:
            continue
        outcome = answer(message)
        if outcome is not None:
            say(id=message["id"], **{"error" if "code" in outcome else "result": outcome})


if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
serve()
while "stubborn" in sys.argv:
    signal.pause()
