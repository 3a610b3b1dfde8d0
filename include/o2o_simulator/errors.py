"""What can go wrong with the simulator itself; each message says what to do about it."""


class SimulatorError(Exception):
    """The simulator cannot do what it was asked to."""


class ListenError(SimulatorError):
    """The address to listen on is taken or unusable."""


class JournalError(SimulatorError):
    """The journal cannot be opened, read or shared."""


class FaultError(SimulatorError, ValueError):
    """A fault was described wrongly."""
