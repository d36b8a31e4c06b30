"""What a person sees in the browser when a login comes back.

The pages are plain: no script, no style, no picture, nothing that is loaded, and a policy that says so.  They are shown
where the address bar holds an authorization code, so they are not stored and send no referrer.

Nothing of a request is repeated, not even why a login failed: who says so is found out only by the program, which may
not believe it (2026-07-28, "Authorization", Authorization Response Validation).  So it is the program that tells.
"""

from __future__ import annotations

from html import escape

from attrs import frozen

_HEADERS = (
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Cache-Control", b"no-store"),
    (b"Content-Security-Policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Connection", b"close"),
)


@frozen
class Page:
    """One answer: an HTTP status, and what is to be read, as text that is not yet HTML.

    :ivar allowed: the methods that would do, if this one does not.
    """

    status: int
    title: str
    paragraphs: tuple[str, ...]
    allowed: bytes = b""

    def content(self) -> bytes:
        """The page as HTML."""
        body = "\n".join(f"<p>{escape(text)}</p>" for text in self.paragraphs)
        return _HTML.format(title=escape(self.title), body=body).encode()

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What is said of it, but its length."""
        return [*_HEADERS, (b"Allow", self.allowed)] if self.allowed else [*_HEADERS]


_HTML = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""

_GO_BACK = "You can close this window and go back to the program."
_AGAIN = "Go back to the program, and log in again from there."

# Whether an answer is any good is found out only when the program has exchanged it: no page says that it is.
RECEIVED = Page(200, "The answer was received", (_GO_BACK,))
FAILED = Page(200, "The login did not succeed", ("The program says why.", _GO_BACK))
UNKNOWN = Page(
    400, "No such login is waiting", ("It may have ended already, or have been answered in another window.", _AGAIN)
)
MALFORMED = Page(400, "This cannot be read", ("The browser sent what is no request for this address.", _AGAIN))
NOT_FOUND = Page(404, "There is nothing here", ("Only the answer to a login is received at this address.",))
NOT_ALLOWED = Page(405, "This is not how a login comes back", ("A login comes back by a GET request.",), b"GET")
MISDIRECTED = Page(421, "This is not the address of a login", ("The request was meant for another host.",))
TOO_LARGE = Page(431, "This is too long", ("The browser sent more than the answer to a login can be.", _AGAIN))
