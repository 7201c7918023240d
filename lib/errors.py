"""The errors that end the program. The Pulumi CLI prints a `RunError` as one line, without a traceback.

pulumi.RunError
└── ProgramError        a region lacks what the stack needs
    └── SettingsError   a setting cannot be used
"""
import pulumi


class ProgramError(pulumi.RunError):
    """The stack cannot be deployed: says why, in one line. Base of all errors that the program raises on purpose."""


class SettingsError(ProgramError):
    """A setting cannot be used: names its key and value, and says why."""

    def __init__(self, key: str, value: str, reason: str) -> None:
        super().__init__(key, value, reason)
        self.key, self.value, self.reason = key, value, reason

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}: {self.reason}"
