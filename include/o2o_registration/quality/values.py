"""What a value can be: blank, printable, a name, an e-mail address; and how to say what is wrong unquoted."""

from __future__ import annotations

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from o2o_registration.text import clean, comparable

# RFC 5321 allows a path of 256 octets with its angle brackets.
EMAIL_MAX = 254

_SURROGATES = re.compile("[\ud800-\udfff]")
# Letters and fillers that show nothing, next to what Unicode itself calls space, control or format.
_SHOWS_NOTHING = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# The joiners are format characters too, but Persian and Indian names are spelled with them.
_JOINERS = frozenset("\u200c\u200d")
_UNPRINTABLE_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_UNPRINTABLE = _SHOWS_NOTHING | {"\ufffd"}
_CODES_NAMED = 3
_CODE_MAX = 40


def whole(value: str) -> str:
    """The value without lone surrogates, which neither a database nor a hash takes."""
    return value if value.isascii() else _SURROGATES.sub("\ufffd", value)


def tidy(value: str) -> str | None:
    """The value as it is sent, see `text.clean`; None for nothing."""
    return clean(whole(value)) or None


def code(value: str) -> str | None:
    """The code as the mapping looks it up, see `text.comparable`; None for nothing."""
    return comparable(whole(value)) or None


def shows_nothing(value: str) -> bool:
    """Only spaces, controls and characters without a shape: as good as missing."""
    return not (value.isascii() and value.isprintable() and not value.isspace()) and all(map(_invisible, value))


def _invisible(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "Z" or category in ("Cc", "Cf") or character in _SHOWS_NOTHING


def _unprintable(character: str) -> bool:
    if character in _JOINERS:
        return False
    return unicodedata.category(character) in _UNPRINTABLE_CATEGORIES or character in _UNPRINTABLE


def is_printable(value: str) -> bool:
    """No control, bidirectional, invisible or broken character; joiners and spaces of any kind are fine."""
    if value.isascii():
        return value.isprintable()
    return not any(map(_unprintable, value)) and not shows_nothing(value)


def has_letter(value: str) -> bool:
    """At least one letter of any script."""
    return value.isalpha() or any(map(str.isalpha, value))


def describe_unprintable(value: str) -> str:
    """The characters that cannot be seen, by number and name: ` (U+200B ZERO WIDTH SPACE)`."""
    found = list(dict.fromkeys(filter(_unprintable, value)))
    named = [f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip() for character in found]
    more = ", …" if len(named) > _CODES_NAMED else ""
    return f" ({', '.join(named[:_CODES_NAMED])}{more})" if named else ""


def describe_code(value: str) -> str:
    """An unknown code in quotes after a space; nothing when it is long or looks like something personal."""
    value = value.strip()
    if len(value) > _CODE_MAX or not value.isprintable() or "@" in value:
        return ""
    return f' "{value}"'


def is_email(value: str) -> bool:
    """An address that could be mailed to as it stands, by syntax alone; nothing is looked up.

    Overlong ones pass: their length is another check's business, and parsing a megabyte is not worth it.
    """
    if len(value) > EMAIL_MAX:
        return True
    try:
        parsed = validate_email(value, check_deliverability=False)
    except (EmailNotValidError, UnicodeError):
        return False
    # browsers read "example。com" as a domain name; mail servers need not, and it would be a second spelling of one
    return value.rpartition("@")[2].lower() in (parsed.domain, parsed.ascii_domain)


# The first pattern found names the mistake. email-validator's own sentences quote the address.
_EMAIL_MISTAKES = (
    (re.compile(r"^[^@]*$"), "it has no @"),
    (re.compile(r"[<>()\"]"), "it holds more than the bare address, such as a name or brackets"),
    (re.compile(r"[,;]"), "it looks like several addresses"),
    (re.compile(r"\s"), "there is a space in it"),
    (re.compile(r"@[^@]*@"), "it has more than one @"),
    (re.compile(r"^@"), "there is nothing before the @"),
    (re.compile(r"@$"), "there is nothing after the @"),
    (re.compile(r"@[^.]*$"), "the part after the @ has no dot"),
    (re.compile(r"^\.|\.@|@\.|\.\.|\.$"), "a dot is where none can be"),
    (
        re.compile(r"\.(?:arpa|invalid|local|localhost|onion|test)$", re.IGNORECASE),
        "no mail can be delivered to that domain",
    ),
)


def describe_email_mistake(value: str) -> str:
    """Why the address is not valid, without quoting any of it."""
    for pattern, mistake in _EMAIL_MISTAKES:
        if pattern.search(value):
            return mistake
    return "it holds a character or a domain name that no address can have"
