"""Following pip: what is shown while packages are installed."""
import io

import pytest

from tools.install import TAIL, follow


class Terminal(io.StringIO):
    """A screen that says it is a terminal."""

    def isatty(self) -> bool:
        return True


OUTPUT = [*(f"Collecting package-{number}==1 (from -r x)\n  Downloading package.whl\n" for number in range(45)),
          "Installing collected packages: package-0\n", "Successfully installed package-0\n"]


def test_a_terminal_sees_a_counter_and_a_log_a_line_now_and_then() -> None:
    terminal, log = Terminal(), io.StringIO()
    follow(OUTPUT, 45, terminal)
    follow(OUTPUT, 45, log)
    assert terminal.getvalue().count("\r") == 45
    assert terminal.getvalue().endswith("45 of 45 packages\n  45 of 45 packages: writing them to disk\n")
    assert log.getvalue().splitlines() == [
        "  20 of 45 packages", "  40 of 45 packages", "  45 of 45 packages: writing them to disk"]


@pytest.mark.parametrize("lines", [0, 1, TAIL, TAIL + 1])
def test_the_last_lines_are_shown_after_an_error(lines: int) -> None:
    output = [f"line {number}\n" for number in range(lines)]
    assert follow(output, 1, io.StringIO()) == "".join(output[-TAIL:])
