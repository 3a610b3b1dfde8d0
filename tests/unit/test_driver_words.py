"""What is repeated of a driver's error: enough to mend it, and no value of a row."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from o2o_registration.errors import driver_words


def refused(*arguments: object) -> str:
    """As drivers that know no finer kinds of errors raise it."""
    return driver_words(sa.exc.ProgrammingError("select", {}, type("ProgrammingError", (Exception,), {})(*arguments)))


@pytest.mark.parametrize(
    "arguments",
    [
        ({"S": "ERROR", "C": "22P02", "M": 'invalid input syntax for type numeric: "Janssens"', "R": "numeric_in"},),
        ({"S": "ERROR", "C": "22008", "M": 'date/time field value out of range: "Janssens"'},),
        ({"S": "ERROR", "C": "22023", "M": "Invalid digit, Value 'J', Pos 0, Type: Long Janssens"},),
        ("100035 (22007): 01b2: Timestamp 'Janssens' is not recognized",),
        ("100040 (22007): 01b2: Date 'Janssens' is not recognized",),
        ("100038 (22018): 01b2: Numeric value 'Janssens' is not recognized",),
        ("100096 (22007): 01b2: Can't parse 'Janssens' as date with format 'YYYY-MM-DD'",),
        ('100069 (22P02): 01b2: Error parsing JSON: unknown keyword "Janssens", pos 2',),
        (245, "Conversion failed when converting the varchar value 'Janssens' to data type int."),
        (1292, "Truncated incorrect DOUBLE value: 'Janssens'"),
    ],
)
def test_no_driver_brings_a_value_of_a_row_into_our_words(arguments: tuple[object, ...]) -> None:
    """Redshift's and Snowflake's drivers call everything a ProgrammingError, also data that does not fit."""
    words = refused(*arguments)
    assert "Janssens" not in words
    assert "(not shown)" in words


def test_a_name_that_is_wrong_in_the_sql_is_still_named() -> None:
    """It is what the person on call mends."""
    missing = 'relation "hr.employes" does not exist'
    assert refused({"S": "ERROR", "C": "42P01", "M": missing}) == f"ProgrammingError: {missing}"
    assert refused("000904 (42000): invalid identifier 'CHANGED'").endswith("invalid identifier 'CHANGED'")
