"""Numbers and lists in text: "1,234 boxes", "3.1 %", "a, b and c"."""

import unicodedata


def count(number: float, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 box", "1,234 boxes" (`plural` where it is not noun + s)."""
    return f"{number:,.0f} {noun if number == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """A share in text: 74 %, 3.1 %, 0.18 %; 0 % only for nothing at all."""
    value = share * 100
    if share == 0:
        return "0 %"
    digits = ".0f" if value >= 9.95 else ".1f" if value >= 0.95 else ".2g"
    return f"{value:{digits}} %"


def listed(parts: list[str]) -> str:
    """a; a and b; a, b and c."""
    *first, last = parts or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last


def first_up(text: str) -> str:
    """The text with a capital first letter; the rest stays as it is, unlike `str.capitalize`."""
    return f"{text[:1].upper()}{text[1:]}"


def one_line(error: object, at_most: int | None = None) -> str:
    """What an error of another library says, in one line; its kind where it says nothing."""
    return " ".join(str(error).split())[:at_most] or type(error).__name__


def nfc(text: str) -> str:
    """Unicode NFC: macOS and Drive may store Hangul decomposed."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
