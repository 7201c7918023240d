"""What all tests share: no garbage is collected while they are imported, which took a third of the time."""
import gc

gc.disable()


def pytest_collection_finish() -> None:
    """Collect it again from now on, but of what the tests make alone."""
    gc.freeze()
    gc.enable()
