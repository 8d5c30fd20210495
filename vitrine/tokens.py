"""Bearer tokens: how they look and how they are kept.

A token is `vitrine.<caller>.<secret>`. The secret has 256 random bits, so that its plain SHA-256 may be kept: what
makes passwords need a slow hash, that they can be guessed, does not hold for it, and a slow one would be a way to keep
the service busy. The name in front finds the entry to compare with, and tells a reader whose token it has found.
"""

import hashlib
import re
import secrets

_FIRST = "vitrine"
_SECRET_BYTES = 32

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_TOKEN = re.compile(rf"{_FIRST}\.({_NAME.pattern})\.[A-Za-z0-9_-]{{43}}")

NAME_RULE = "1 to 64 small letters, digits and hyphens, none of them first or last a hyphen"
"""What is_caller_name asks for, in words."""


def is_caller_name(name: str) -> bool:
    """Return whether a caller may have this name."""
    return _NAME.fullmatch(name) is not None


def new_token(name: str) -> str:
    """Return a new token of the caller; the service keeps its digest alone."""
    return f"{_FIRST}.{name}.{secrets.token_urlsafe(_SECRET_BYTES)}"


def caller_of(token: str) -> str:
    """Return the caller's name in a token; empty where it is none."""
    found = _TOKEN.fullmatch(token)
    return found[1] if found else ""


def digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
