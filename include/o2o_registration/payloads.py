"""Source row -> body of `user.create`. Pure: no clock, no network, no database."""

from __future__ import annotations

from typing import TypedDict

from o2o_registration.config import SOURCE_FIELDS, Mapping
from o2o_registration.text import clean, comparable


class User(TypedDict):
    """o2o's own names and order, see the API's documentation."""

    BikePlanCode: str
    FirstName: str
    LastName: str
    Email: str
    Language: str
    ContractType: str
    partner_EmployeeID: str
    PersonnelNumber: str


class Payload(TypedDict):
    user: User


def build_payload(values: tuple[str | None, ...], mapping: Mapping) -> Payload:
    """The body for one checked row, its values in the order of SOURCE_FIELDS.

    Raises KeyError for a language, contract type or company that the checks should have stopped.
    """
    row = dict(zip(SOURCE_FIELDS, values, strict=True))
    contract_type = comparable(row["contract_type"])
    return {
        "user": {
            "BikePlanCode": mapping.bike_plans[comparable(row["company"])],
            "FirstName": clean(row["first_name"]),
            "LastName": clean(row["last_name"]),
            "Email": address(row["email"]),
            "Language": mapping.languages[comparable(row["language"])],
            "ContractType": mapping.contract_types[contract_type] if contract_type else "",
            "partner_EmployeeID": clean(row["employee_id"]),
            "PersonnelNumber": clean(row["personnel_number"]),
        }
    }


def address(email: str | None) -> str:
    """An e-mail address as it is sent: the domain in lower case, the rest as the person writes it."""
    local, at, domain = clean(email).rpartition("@")
    return f"{local}{at}{domain.lower()}"
