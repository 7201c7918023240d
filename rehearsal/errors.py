"""The exceptions of the rehearsal. Each message says in one line what failed and why."""


class RehearsalError(Exception):
    """The base of all of them."""


class ProjectError(RehearsalError):
    """The project, the stack or an option cannot be used; the command line exits with 2."""


class DeploymentError(RehearsalError):
    """A resource could not be created, changed or deleted."""


class CoercionError(DeploymentError):
    """A property of a resource cannot be brought into the shape that the API expects."""


class EmulatorError(RehearsalError):
    """The emulator is not installed, did not start, or died."""


class PostgresError(RehearsalError):
    """A PostgreSQL server did not do what it was asked to do."""


class NoAnswer(RehearsalError):
    """A request was sent, and no response came back."""


class CheckFailed(RehearsalError):
    """A check found something other than it expects."""


class TimedOut(CheckFailed):
    """What was waited for did not come in time."""


class BenchError(RehearsalError):
    """Something makes the figures of the bench meaningless."""
