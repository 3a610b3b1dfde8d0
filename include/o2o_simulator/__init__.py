"""A stand-in for o2o's server: user.create, a mailbox of what it would have e-mailed, and faults on demand.

Run it with ``python -m o2o_simulator``, or inside a test with `Simulator` (async) or `running_simulator`
(sync). No e-mail ever leaves it.
"""

from o2o_simulator.errors import FaultError, JournalError, ListenError, SimulatorError
from o2o_simulator.records import Call, Mail, Subject, Summary
from o2o_simulator.registration import DEMO_BIKE_PLANS
from o2o_simulator.server import REDIRECT_TARGET, USER_CREATE_PATH, Simulator
from o2o_simulator.threaded import RunningSimulator, running_simulator

__all__ = [
    "DEMO_BIKE_PLANS",
    "REDIRECT_TARGET",
    "USER_CREATE_PATH",
    "Call",
    "FaultError",
    "JournalError",
    "ListenError",
    "Mail",
    "RunningSimulator",
    "Simulator",
    "SimulatorError",
    "Subject",
    "Summary",
    "running_simulator",
]
