"""What all unit tests share."""
import gc


def pytest_collection_finish() -> None:
    """Look for garbage seldom from here on: what the imports made stays, and a recorded program makes little."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
