"""Another program's cookie, however odd, does not lock the page."""

from __future__ import annotations

from email.message import Message

import pytest

from edge_harmony.web.guard import Guard


@pytest.mark.parametrize(
    "others", ["", "a=b; ", "a[1]=b; ", 'session="x;y\\"; ', "=; ;; ", "caf\xe9=\xff; ", "x=\x01\x02; ", "{}=[]; @@; "]
)
def test_ours_is_found_among_others(others: str) -> None:
    guard = Guard("token-1234", 8765, "localhost")
    for cookie, known in ((f"{others}{guard.cookie}=token-1234", True), (f"{others}{guard.cookie}=other", False)):
        for text in (cookie, f"{cookie}; z[0]=1"):
            headers = Message()
            headers["Cookie"] = text
            assert guard.knows(headers, "") is known
