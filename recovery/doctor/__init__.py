"""Looks for what would fail: before the first deployment, and on a deployed stack. It reads, and changes nothing.

`before` and `deployed` are the checks: each is a function of what a `Look` shows it. `needs` is what a stack that is to
be deployed needs of AWS, and `examine` makes the checks.
"""
from recovery.doctor.examine import COULD_NOT_LOOK, Diagnosis, examine
from recovery.doctor.needs import Needs

__all__ = ["COULD_NOT_LOOK", "Diagnosis", "Needs", "examine"]
