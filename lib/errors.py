"""The errors that end the program. The Pulumi CLI prints a `RunError` without a traceback.

pulumi.RunError
└── ProgramError        the stack cannot be what it is asked to be
    └── SettingsError   settings cannot be used
"""
from typing import NamedTuple

import pulumi


class ProgramError(pulumi.RunError):
    """The stack cannot be deployed: says why, in one line. Base of all errors that the program raises on purpose."""


class BadSetting(NamedTuple):
    """A setting that cannot be used: its key and value, and why."""

    key: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}: {self.reason}"


class SettingsError(ProgramError):
    """Settings cannot be used: one line for each."""

    def __init__(self, *refusals: BadSetting) -> None:
        super().__init__(*refusals)
        self.refusals = refusals

    def __str__(self) -> str:
        return "\n".join(map(str, self.refusals))
