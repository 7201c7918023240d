"""What the function costs by itself."""

from rehearsal.bench.function import cold_start, own_cpu


def test_the_function_in_memory_takes_payments() -> None:
    health, payment = own_cpu(requests=3)
    assert health.floor == payment.floor
    assert health.value > 0
    assert payment.value > 0


def test_a_cold_start_is_timed_in_an_interpreter_of_its_own() -> None:
    seconds, ratio = cold_start("import json", "import os; assert os.environ['AWS_REGION']", starts=1)
    assert seconds.value > 0
    assert seconds.floor
    assert (ratio.value, ratio.floor, ratio.bound) == (seconds.value / seconds.floor, 1.0, 1.3)
