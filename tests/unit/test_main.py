"""The program as `pulumi up` runs it."""
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "__main__.py"


def test_an_interrupt_while_the_program_is_imported_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "pulumi.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run([sys.executable, PROGRAM], env={"PYTHONPATH": str(tmp_path)}, check=False,
                          capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (130, b"")
