"""Runs the Pulumi CLI for the tools."""
import subprocess
from collections.abc import Callable

Pulumi = Callable[..., str]
"""The type of `run`."""


class PulumiFailed(Exception):
    """The CLI has failed: says which command in one line; why is on stderr already."""


def run(*arguments: str, text: str | None = None) -> str:
    """What the CLI prints, given `text` on its stdin. Raises PulumiFailed."""
    done = subprocess.run(["pulumi", *arguments], input=text, stdout=subprocess.PIPE, text=True,  # noqa: S603, S607
                          check=False)
    if done.returncode:
        raise PulumiFailed(f"pulumi {' '.join(arguments[:2])} failed")
    return done.stdout
