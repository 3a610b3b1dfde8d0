"""A simulator per test, and a caller that posts people to it over the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from o2o_simulator import Simulator
from simulator_caller import TOKEN, Caller


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulator on a free port that forgets everything afterwards."""
    async with Simulator(TOKEN) as running:
        yield running


@pytest_asyncio.fixture
async def caller(simulator: Simulator) -> AsyncIterator[Caller]:
    """Someone who knows the token."""
    async with aiohttp.ClientSession(simulator.url) as session:
        yield Caller(session)


@pytest.fixture
def jane() -> dict[str, Any]:
    """An acceptable person with every field."""
    return {
        "BikePlanCode": "ACME-2026",
        "FirstName": "Jane",
        "LastName": "Johansson",
        "Email": "jane@acme.example",
        "Language": "FR",
        "ContractType": "",
        "partner_EmployeeID": "ABC123",
        "PersonnelNumber": "A1234",
    }
