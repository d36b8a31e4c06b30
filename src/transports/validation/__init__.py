"""Output validation: what a tool answers is held against the schema that its definition promises.

:func:`schema_checkers` is what ``connect(validate_output=True)`` gives the core.  The work is done by the library
``jsonschema-rs`` (extra ``validation``), which is imported when it is first needed; :mod:`.expansion` sees to it that
no schema of a server's can keep it busy for long.
"""

from .compiling import schema_checkers

__all__ = ["schema_checkers"]
