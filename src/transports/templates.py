"""URI templates (RFC 6570): from a resource template and values for its variables to the URI of a resource.

The expansion is the work of the library ``uritemplate`` (extra ``templates``), which takes anything for a template.  So
the grammar is checked here first: what a server wrote wrongly is not to be turned into the URI of something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import quote

from mcpcore import ConfigurationError, LocalProtocolError, ResourceTemplate

TemplateValue: TypeAlias = str | Sequence[str] | Mapping[str, str]
"""The value of one variable: a text, several, or texts by name."""

_NAME = r"(?:[0-9A-Za-z_]|%[0-9A-Fa-f]{2})(?:\.?(?:[0-9A-Za-z_]|%[0-9A-Fa-f]{2}))*+"
_VARIABLE = rf"{_NAME}(?:\*|:[1-9][0-9]{{0,3}})?"
_EXPRESSION = rf"\{{[+#./;?&]?{_VARIABLE}(?:,{_VARIABLE})*+\}}"
_LITERAL = (
    r"[!#$&()*+,\-./0-9:;=?@A-Z\[\]_a-z~\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U000efffd]|%[0-9A-Fa-f]{2}"
)
_TEMPLATE = re.compile(rf"(?:{_LITERAL}|{_EXPRESSION})*+")
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


def expand(template: ResourceTemplate | str, variables: Mapping[str, TemplateValue]) -> str:
    """The URI that ``template`` makes of ``variables`` (RFC 6570); read it with ``client.read_resource``.

    :param template: a template of the server's, or its text.
    :param variables: the variables' values.  What has no value is left out, as the RFC says.
    :raises mcpcore.LocalProtocolError: if it is no URI template, or has no variable of a given name.
    :raises mcpcore.ConfigurationError: if the library that it takes is not installed.
    """
    try:
        import uritemplate
    except ImportError as missing:
        raise ConfigurationError(
            "expanding a URI template needs the package uritemplate; install mcpcore with its extra 'templates'"
        ) from missing
    text = template if isinstance(template, str) else template.uri_template
    if not _TEMPLATE.fullmatch(text):
        raise LocalProtocolError(f"{text[:200]!r} is no URI template (RFC 6570)")
    parsed = uritemplate.URITemplate(text)
    if unknown := variables.keys() - set(parsed.variable_names):
        raise LocalProtocolError(f"the URI template {text[:200]!r} has no variable {min(unknown)!r}")
    return quote(parsed.expand(dict(variables)), safe=_ASCII)
