"""What can go wrong with the demo; each text says what to do."""


class DemoError(Exception):
    """Shown to the user as one message, without a traceback."""

    exit_code = 1


class PortTaken(DemoError):  # noqa: N818 - these read as what happened
    """A port that the demo needs belongs to another program."""

    exit_code = 2


class NotRunning(DemoError):  # noqa: N818
    """The command needs a running stack."""


class ProcessDied(DemoError):  # noqa: N818
    """One of the stack's processes ended before it was asked to."""


class AlreadyRunning(DemoError):  # noqa: N818
    """Another process supervises a stack in this run directory."""


class StopRequested(Exception):  # noqa: N818
    """Raised where the program waits, after Ctrl-C or `make stop`."""
