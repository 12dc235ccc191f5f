"""Leaves secrets out of what people read."""

from __future__ import annotations

import re


def redact(text: str) -> str:
    """`text` with the user, password and keys of every URI in it left out, fit for a log, a report and a manifest."""
    # Passwords hold @, # and ? as people type them, so all up to the last @ of the authority goes. A colon that no port follows begins
    # a password, which may hold a / as well.
    text = re.sub(r"://(?:[^/\s]*:(?!\d*(?:[/\s'\",]|$))\S*|[^/\s]*)@", "://***@", text)
    return re.sub(r"(?i)([?&][\w.-]*(?:secret|token|password|key|sas|sig)[\w.-]*=)[^&\s'\"]+", r"\1***", text)


def _shown(root: str) -> str:
    """One URI without its secrets, however misspelt."""
    scheme, separator, rest = root.partition("://")
    user, _, place = rest.rpartition("@")
    return redact(f"{scheme}://***@{place}" if ":" in user.split("/")[0] else root)


def short_message(error: BaseException, root: str = "") -> str:
    """An error of pyarrow in a few words, without secrets: its first line, and no request's number."""
    text = str(getattr(error, "strerror", None) or error).replace(root or "\0", _shown(root))
    line = (text.strip() or type(error).__name__).splitlines()[0]
    return redact(re.sub(r" \(Request ID: [^)]*\)", "", line))[:300]
