"""A flood, against AWS's token bucket."""
from pathlib import Path

import pytest

from simulator.route53 import HEALTHY_SHARE
from tests.simulator.flood import ACCOUNT, KEYLESS, LEVER_THRESHOLD, THRESHOLD, TokenBucket, figures, healthy, needed


@pytest.mark.parametrize(("flood", "refused"), [(99, 0.0), (100, 0.0), (200, 0.5), (1000, 0.9)])
def test_a_bucket_refuses_what_is_above_its_rate_once_its_burst_is_spent(flood: float, refused: float) -> None:
    bucket = TokenBucket(rate=100, burst=200)
    assert bucket.refused(flood) == pytest.approx(refused)
    assert bucket.refused(200, seconds=1.0) == pytest.approx(0.0)


def test_the_votes_of_the_checkers() -> None:
    assert (healthy(0.0, 3), healthy(1.0, 3)) == (1.0, 0.0)
    assert healthy(0.5, 3) == healthy(0.5, 1) == pytest.approx(0.5)
    # With one answer that counts, a checker's view is its last answer.
    assert healthy(0.9, 1) == pytest.approx(0.1)
    assert healthy(0.7, 3) < healthy(0.7, 1)


@pytest.mark.parametrize("threshold", [THRESHOLD, LEVER_THRESHOLD])
@pytest.mark.parametrize("bucket", [KEYLESS, ACCOUNT])
def test_strangers_need_more_than_the_bucket_holds(bucket: TokenBucket, threshold: int) -> None:
    flood = needed(bucket, threshold)
    assert flood > bucket.rate
    assert healthy(bucket.refused(flood), threshold) <= HEALTHY_SHARE < healthy(bucket.refused(flood - 100), threshold)


def test_the_threat_model_has_these_figures() -> None:
    text = (Path(__file__).parents[2] / "docs" / "threat-model.md").read_text(encoding="utf-8")
    for what, (before, now) in figures().items():
        assert f"| {what} | {before} | {now} |" in text
