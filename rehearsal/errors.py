"""The exceptions of the rehearsal, one tree. Each message says in one line what failed and why.

RehearsalError
├── ProjectError       the project, the stack or an option cannot be used; the command line exits with 2
├── DeploymentError    a resource could not be created, changed or deleted
│   └── CoercionError  a property of a resource cannot be brought into the shape that the API expects
├── EmulatorError      the emulator is not installed, did not start, or died
├── PostgresError      a PostgreSQL server did not do what it was asked to do
├── NoAnswer           a request was sent, and no response came back
├── CheckFailed        a check found something other than it expects
│   └── TimedOut       what was waited for did not come in time
└── BenchError         something makes the figures of the bench meaningless
"""


class RehearsalError(Exception):
    """The base of all of them."""


class ProjectError(RehearsalError):
    """The project, the stack or an option cannot be used."""


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
