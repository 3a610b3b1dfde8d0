"""Everything the pipeline can say went wrong, each with what to mend. None carries personal data."""

import re

# "with text 'José'", "Incorrect string value: 'José' for column", "the varchar value 'José'", "Timestamp 'José' is not
# recognized", "invalid input syntax for type numeric: "José"": from there on, data
_QUOTED = re.compile(
    r"\b(text|value|entry|literal|string|date|time|timestamp|parse|keyword|syntax for [\w ]+|out of range):? ['\"].*",
    re.IGNORECASE | re.DOTALL,
)


def driver_words(error: BaseException) -> str:
    """A database error in one line that quotes no value of a row.

    Drivers quote the offending value when data does not fit, and add it as a DETAIL; of those only the kind is kept.
    """
    cause = getattr(error, "orig", None) or error
    kind = type(cause).__name__
    if type(error).__name__ not in ("ProgrammingError", "OperationalError", "NoSuchModuleError"):
        return kind
    lines = _text(cause).strip().splitlines()
    if not lines:
        return kind
    words = _QUOTED.sub(r"\1 (not shown)", lines[0])
    return f"{kind}: {words[:200].rstrip('. ')}"


def _text(cause: BaseException) -> str:
    first = cause.args[0] if cause.args else None
    # Redshift's driver hands on the fields of PostgreSQL's protocol, whose M is the message
    return str(first["M"]) if isinstance(first, dict) and "M" in first else str(cause)


class O2OError(Exception):
    """Base of the pipeline's own errors: the text names what failed, where it was set, and what to do."""


class ConfigurationError(O2OError):
    """A file or a connection that people edit does not fit."""


class WarehouseError(O2OError):
    """The HR warehouse did not give the rows that the extract's SQL and the mapping promise."""


class LedgerError(O2OError):
    """The ledger is missing, out of date or out of reach."""


class TooManyBadRows(O2OError):  # noqa: N818 - reads as what happened
    """More rows failed the checks than a healthy batch would have; nothing was sent."""

    def __init__(self, rows: int, bad: int, max_share: float, reasons: dict[str, int]) -> None:
        self.rows, self.bad, self.reasons = rows, bad, reasons
        worst = ", ".join(f"{code} ({count})" for code, count in list(reasons.items())[:5])
        super().__init__(
            f"{bad} of {rows} rows failed the checks, more than the {max_share:.0%} that settings.yaml allows"
            f" (quality.max_bad_share). Nothing was sent. Most frequent: {worst}."
            " Look into o2o.quarantine; mend the HR rows or include/config/mapping.yaml, then clear this task's"
            " run, or trigger a run with a higher 'max_bad_share' if the rows really are that bad."
        )


class ConservationError(O2OError):
    """The ledger's numbers do not add up: a row was lost or counted twice."""


class CannotErase(O2OError):  # noqa: N818 - reads as what happened
    """Somebody's call is under way or in doubt."""


class DeliveryStopped(O2OError):  # noqa: N818
    """The run must not send on: the cause concerns every call, not one person."""

    words = "{detail}"

    def __init__(self, detail: str, connection_id: str) -> None:
        super().__init__(self.words.format(detail=detail, connection_id=connection_id))


class WrongToken(DeliveryStopped):
    """o2o does not accept our bearer token."""

    words = (
        "o2o does not accept our token ({detail}). Nobody was registered by these calls and all stay pending. Mend the"
        " password of the connection '{connection_id}' (it holds the bearer token), then clear this task."
    )


class WrongAddress(DeliveryStopped):
    """The call reaches something that is not o2o's `user.create`."""

    words = (
        "The call does not reach o2o's user.create ({detail}). All stay pending. Mend host, schema and port of the"
        " connection '{connection_id}' (acc-api.o2o.be or api.o2o.be, https), then clear this task."
    )


class WrongCertificate(DeliveryStopped):
    """Whoever answers at o2o's address does not prove to be o2o."""

    words = (
        "The server of the connection '{connection_id}' does not prove to be o2o ({detail}). Nothing was sent, and all"
        " stay pending. Mend the connection's host; or, where a gateway or proxy of your company answers with a"
        " certificate of its own, name the PEM file of the company's CA as 'ca_file' in the connection's extra. Then"
        " clear this task."
    )
