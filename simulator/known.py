"""The violations that are known: each is expected on its seed until it is fixed, and `make prove` fails meanwhile."""
from collections.abc import Mapping

KnownViolations = Mapping[tuple[str, str], tuple[int, int]]
"""By mix and rule: the first seed that shows it, and the issue that mends it."""
KNOWN: KnownViolations = {}
BROAD = "swarm"
"""The mix in which anything may show that is known in another one."""


def is_known(known: KnownViolations, mix: str, rule: str) -> bool:
    """Whether it is known that a rule breaks in a mix."""
    return (mix, rule) in known or (mix == BROAD and any(rule == each for _, each in known))
