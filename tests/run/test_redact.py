"""No password survives ``redact``."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_harmony.run.redact import HIDDEN, redact

MARK = "Zq9"  # in every secret, and nowhere else
SCHEMES = st.sampled_from(["rtsp", "rtsps", "rtmp", "http", "https", "srt", "RTSP"])
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), max_size=12)
SPACED = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)


@given(SCHEMES, WORDS.filter(lambda w: "://" not in w), WORDS, WORDS)
@example("rtsp", "admin", "p@ss/w:rd?", "")
@example("http", "", "@", "://x@")
def test_no_password_of_a_url_in_any_text_survives(scheme: str, user: str, before: str, after: str) -> None:
    text = f"cannot open '{scheme}://{user}:{before}{MARK}{after}@camera.local:554/stream1', giving up"
    clean = redact(text)
    assert MARK not in clean
    assert "camera.local:554/stream1" in clean
    assert clean.startswith("cannot open '")
    assert clean.endswith(", giving up")
    assert redact(clean) == clean


@given(SPACED, SPACED)
def test_a_known_urls_password_goes_even_where_the_text_holds_only_a_piece_of_it(before: str, after: str) -> None:
    secret = f"{before}{MARK}{after}"
    url = f"rtsp://admin:{secret}@camera.local/x"
    assert MARK not in redact(f"Authorization of admin:{secret} failed", url)
    assert MARK not in redact(f"tried {secret} twice", url)
    assert MARK not in redact(url, url)


@given(st.sampled_from(["token", "password", "passwd", "pwd", "api_key", "access_token", "auth", "user-pw"]), WORDS)
def test_secrets_by_name_go(name: str, secret: str) -> None:
    secret = MARK + secret.translate({ord(c): None for c in "&;\"'|"})
    for text in (f"http://cam/video.cgi?user=a&{name}={secret}&size=2", f"rtspsrc {name}={secret} ! fakesink"):
        clean = redact(text)
        assert MARK not in clean
        assert HIDDEN in clean


def test_encoded_passwords_are_found_decoded_too() -> None:
    url = "rtsp://admin:geh%40im%2Fwort@cam/x"
    assert redact("login admin with geh@im/wort refused", url) == f"login admin with {HIDDEN} refused"


@pytest.mark.parametrize(
    "text", ["rtsp://camera.local/x", "clip.mp4: no such file", "mail me at a@b.org", "a ! b ! c", "/dev/video0", ""]
)
def test_what_holds_no_secret_stays(text: str) -> None:
    assert redact(text) == text
