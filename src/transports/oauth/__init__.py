"""What authorization needs of the outside, ready-made: a person's browser, a place for tokens, and a key that signs.

Imported by those who use it, and by nothing else here: most programs are given their tokens.  The libraries that the
last two need (extras ``keyring`` and ``jose``) are loaded when one is made.
"""

from .browser import BrowserLogin
from .keyring_store import KeyringStore
from .signing_key import SigningKey

__all__ = ["BrowserLogin", "KeyringStore", "SigningKey"]
