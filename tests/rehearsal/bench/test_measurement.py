"""Figures and bounds."""

import pytest

from rehearsal.bench.measurement import Measurement


@pytest.mark.parametrize(("value", "bound", "ok"), [(1.0, 1.0, True), (1.01, 1.0, False), (9.0, None, True)])
def test_a_figure_fails_above_its_bound_and_never_without_one(value: float, bound: float | None, ok: bool) -> None:
    assert Measurement("a", value, "ms", bound=bound).ok is ok
