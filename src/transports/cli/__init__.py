"""The command line: ``mcpcore demo``, ``tools URL``, ``call URL TOOL key=value``, ``login URL`` and ``logout URL``.

click reads the arguments and rich draws the tables; nothing outside this package imports either.  Whatever a server
says is shown through :mod:`.text`, so that it can neither steer the terminal nor pass for something else.  Whatever
goes wrong is one line on stderr and an exit code, see :mod:`.failures`.
"""

from .program import run

__all__ = ["run"]
