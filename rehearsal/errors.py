"""The errors of the rehearsal.

RehearsalError
├── ProjectError        a project file or an option of the command line cannot be used
├── DeploymentError     a resource cannot be created, compared or deleted
├── CoercionError       an input does not fit the parameters of an AWS operation
└── TimedOut            a condition was not met in time
"""


class RehearsalError(Exception):
    """Any failure of the rehearsal; its text is one line."""


class ProjectError(RehearsalError):
    """A project file or an option cannot be used; says which and why."""


class DeploymentError(RehearsalError):
    """Says which resource, which call, and why it failed."""


class CoercionError(RehearsalError):
    """Says which input does not fit, by its path."""


class TimedOut(RehearsalError):
    """Says what was waited for, and how long."""
