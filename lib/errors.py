"""The errors with which the program ends. The Pulumi CLI prints a `RunError` as one line, without a traceback.

pulumi.RunError
└── ProgramError
    ├── SettingsError   a setting cannot be used
    └── RegionError     a region lacks what the stack needs there
"""
import pulumi


class ProgramError(pulumi.RunError):
    """Base of all errors that the program raises on purpose; its text is one line."""


class SettingsError(ProgramError):
    """A setting cannot be used: names its key and value, and says why."""

    def __init__(self, key: str, value: str, reason: str) -> None:
        super().__init__(key, value, reason)
        self.key, self.value, self.reason = key, value, reason

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}: {self.reason}"


class RegionError(ProgramError):
    """A region lacks something that the stack needs there: names the region and says what."""

    def __init__(self, region: str, reason: str) -> None:
        super().__init__(region, reason)
        self.region, self.reason = region, reason

    def __str__(self) -> str:
        return f"region {self.region!r}: {self.reason}"
