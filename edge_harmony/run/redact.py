"""Passwords, tokens and keys taken out of text before anybody reads it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

HIDDEN: Final = "***"

# From the scheme to the LAST @ of the word: a password may hold / @ : ? unescaped, and hiding too much is no harm.
_CREDENTIALS: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s@]*(?:@[^\s@]*)*@")
# A secret by its name: in a query (?token=x), or as a property of a GStreamer element (user-pw=x).
_NAMED: Final = re.compile(
    r"""(?ix) \b ( [\w-]* (?: pass(?:word|wd|phrase)? | pwd | user-pw | token | secret | api-?_?key | auth | signature
        | streamkey | stream-key ) ) (\s*=\s*) ( "[^"]*" | '[^']*' | [^\s&;"'|]+ )"""
)


def redact(text: str, url: str = "") -> str:
    """Take the secrets out of a text: log line, message, name of a source.

    Args:
        text: anything. User and password of every URL in it become ``***``, and so do the values of what is called
            password, token, key and the like.
        url: a URL that the text may be about. The words of its user part are taken out wherever they stand, also
            decoded from ``%xx``, also when the text holds only a piece of the URL.

    Returns:
        The text without them. Redacting twice changes nothing more.
    """
    for secret in _secrets_of(url):
        text = text.replace(secret, HIDDEN)
    text = _CREDENTIALS.sub(rf"\g<1>{HIDDEN}@", text)
    return _NAMED.sub(rf"\g<1>\g<2>{HIDDEN}", text)


def _secrets_of(url: str) -> list[str]:
    """The user part and password of a URL as written and as decoded, longest first; short ones are left out."""
    _, scheme, rest = url.partition("://")
    user_part, at, _ = rest.rpartition("@")
    if not scheme or not at:
        return []
    password = user_part.partition(":")[2]
    written = [user_part, password]
    found = {form for word in written for form in (word, unquote(word)) if len(form) >= 3 and form != HIDDEN}
    return sorted(found, key=len, reverse=True)
