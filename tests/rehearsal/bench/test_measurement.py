"""Figures, bounds and latencies."""

import pytest

from rehearsal.bench.measurement import Latencies, Measurement


@pytest.mark.parametrize(("value", "bound", "ok"), [(1.0, 1.0, True), (1.01, 1.0, False), (9.0, None, True)])
def test_a_figure_fails_above_its_bound_and_never_without_one(value: float, bound: float | None, ok: bool) -> None:
    assert Measurement("a", value, "ms", bound=bound).ok is ok


def test_rate_and_percentiles_are_those_of_the_requests() -> None:
    found = Latencies([number / 1000 for number in range(1, 102)], 2.0)
    assert found.rate == 50.5
    assert [found.percentile(50), found.percentile(99)] == pytest.approx([51, 100])
