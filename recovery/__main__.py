"""`python -m recovery`, and `tapstack`."""
import sys

try:
    from recovery.cli import main
except KeyboardInterrupt:
    sys.stderr.write("recovery: interrupted\n")
    raise SystemExit(130) from None
except ModuleNotFoundError as missing:
    raise SystemExit(f"recovery: {missing}: `make setup`, and then `.venv/bin/python -m recovery`") from None

if __name__ == "__main__":
    main()
