"""The public API as a user's code sees its types: mypy and pyright check this file, nothing runs it."""

import mcpcore
import transports

packages: tuple[str, str] = (mcpcore.__name__, transports.__name__)
