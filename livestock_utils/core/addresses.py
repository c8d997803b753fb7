"""Addresses of databases: kept outside notebooks where they hold a password, shown without it."""

import os
import re
import sys

from livestock_utils.core.errors import TrainingError


def resolved(address: str) -> str:
    """The address itself; for "$NAME" the environment variable, on Colab also the secret."""
    if not address.startswith("$"):
        return address
    name = address[1:]
    value = os.environ.get(name) or _colab_secret(name)
    if not value:
        raise TrainingError(
            f"storage is {address}, but the environment has no {name}; set it to the address, on "
            "Colab as a secret (the key symbol at the left), and allow this notebook to read it"
        )
    return value


def hide_password(text: str) -> str:
    """The text with passwords in addresses (before the last @, or password=...) as ***."""
    text = re.sub(r"(://[^:/@\s\"'\\]*):[^\s\"'\\]*@", r"\1:***@", text)
    return re.sub(r"(?i)(passw(?:or)?d=)[^&\s\"'\\]+", r"\1***", text)


def shown(address: str) -> str:
    """One address without its password, whatever characters that has."""
    return hide_password(re.sub(r"(://[^:/@]*):.*@", r"\1:***@", address, flags=re.S))


def scrub(text: str, address: str) -> str:
    """`text`, such as a driver's complaint about `address`, without the password."""
    found = re.search(r"://[^:/@]*:(.*)@", address, flags=re.S)
    parts = re.split(r"[@/:?#\s]+", found[1]) if found else []
    for part in sorted({found[1], *parts} if found else set(), key=len, reverse=True):
        text = text.replace(part, "***") if part else text
    return hide_password(text)


def _colab_secret(name: str) -> str:
    if "google.colab" not in sys.modules:
        return ""
    userdata = getattr(sys.modules["google.colab"], "userdata", None)
    try:
        return str(userdata.get(name)) if userdata is not None else ""
    except Exception as error:  # Colab's own kinds: no such secret, no access granted
        raise TrainingError(
            f"Colab gives no secret {name!r} ({type(error).__name__}); add it at the key symbol "
            "and allow this notebook to read it"
        ) from error
