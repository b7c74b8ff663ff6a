"""Passwords, tokens and keys taken out of text before anybody reads it.

``redact`` knows secrets by their look; ``remember`` tells it of more: those of a command line or a settings file, which
then go from every text, also where they stand alone.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote

HIDDEN: Final = "***"

# From the scheme to the LAST @ of the word: a password may hold / @ : ? unescaped, and hiding too much is no harm.
_CREDENTIALS: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s@]*(?:@[^\s@]*)*)@")
# Where RTMP has its stream key: all that follows the application's name. A scheme that is mistyped counts as RTMP.
_STREAM_KEY: Final = re.compile(
    r"""(?ix) (\b (?!https?:|rtsps?:|srt:|udp:|tcp:|rtp:|file:|csi:|ftp:) [a-z][a-z0-9+.-]* ://
        [^\s/"']+ / [^\s/"'?]+ /) ([^\s"']+)"""
)
# A secret by its name: in a query (?token=x), or as a property of a GStreamer element (user-pw=x).
_NAMED: Final = re.compile(
    r"""(?ix) \b ( [\w-]* (?: pass(?:word|wd|phrase)? | pwd | user-pw | token | secret | api-?_?key | auth | signature
        | authorization | credentials? | streamkey | stream-key | streamid ) )
        (\s*=\s*) ( "[^"]*" | '[^']*' | [^\s&;"'|]+ )"""
)
# Names so short that they mean a secret in an address only.
_NAMED_IN_A_QUERY: Final = re.compile(r"""(?i)([?&;](?:key|sig|pw|pass|code|hash|sign|policy)=)([^\s&;"'|]+)""")
_SHORTEST: Final = 3
_SHORTEST_KEY: Final = 8  # shorter ones of letters alone (live, test) are everyday words: they go after their address

_known: set[str] = set()


def redact(text: str, url: str = "") -> str:
    """Take the secrets out of a text: log line, message, name of a source.

    Args:
        text: anything. User and password of every URL in it become ``***``, so do RTMP's stream keys and the values of
            what is called password, token, key and the like, and whatever was given to ``remember``.
        url: a URL that the text may be about. The words of its user part, its stream key and its tokens are taken out
            wherever they stand, also decoded from ``%xx``, also when the text holds only a piece of the URL.

    Returns:
        The text without them. Redacting twice changes nothing more.
    """
    for secret in sorted(_known.union(_written(secrets_of(url))) if url else _known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _CREDENTIALS.sub(rf"\g<1>{HIDDEN}@", text)
    text = _STREAM_KEY.sub(rf"\g<1>{HIDDEN}", text)
    text = _NAMED.sub(rf"\g<1>\g<2>{HIDDEN}", text)
    return _NAMED_IN_A_QUERY.sub(rf"\g<1>{HIDDEN}", text)


def redact_values(value: Any) -> Any:
    """What is about to become JSON, with every text in it redacted; names that are plain words stay as they are."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {k if str(k).isidentifier() else redact(str(k)): redact_values(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_values(one) for one in value]
    return value


@contextlib.contextmanager
def remembering(words: Sequence[str] = ()) -> Generator[None]:
    """A command's time: what is remembered in it is forgotten at its end; the words of the command line already are."""
    before = set(_known)
    for word in words:
        remember(word)
        remember(word.partition("=")[2])  # of --option=VALUE
    try:
        yield
    finally:
        _known.clear()
        _known.update(before)


def remember(text: str) -> None:
    """Note the secrets of a text: an argument, an address, a settings file."""
    _known.update(_written(secrets_of(text)))


def secrets_of(text: str) -> set[str]:
    """The secrets in a text as they stand there: user parts and passwords, stream keys, values of what is named so."""
    found: set[str] = set()
    users = [user_part for _, user_part in _CREDENTIALS.findall(text)]
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text):  # one address, spaces and all
        users.append(text.partition("://")[2].rpartition("@")[0])
    for user_part in users:
        password = user_part.partition(":")[2]
        found |= {user_part, password}
        if "@" in password:  # not escaped, so that libraries take pieces of it for host and path
            found |= {piece for piece in re.split(r"[@/:?#\s]", password) if len(piece) >= 4}
    for _, key in _STREAM_KEY.findall(text):
        found |= {part for part in (key, key.partition("?")[0]) if len(part) >= _SHORTEST_KEY or not part.isalpha()}
    found |= {value.strip("\"'") for _, _, value in _NAMED.findall(text)}
    found |= {value for _, value in _NAMED_IN_A_QUERY.findall(text)}
    return {word for word in found if len(word) >= _SHORTEST and HIDDEN not in word}


def _written(secrets: set[str]) -> set[str]:
    """The same in every way in which a text may hold them: decoded, encoded, in JSON, in Python's quotes."""
    forms = {form for word in secrets for form in (word, unquote(word), quote(word, safe=""), quote(word))}
    forms |= {
        form[1:-1] for word in forms for form in (json.dumps(word), json.dumps(word, ensure_ascii=False), repr(word))
    }
    return {form for form in forms if len(form) >= _SHORTEST}
