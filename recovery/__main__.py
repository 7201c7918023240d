"""`python -m recovery`."""
try:
    from recovery.cli import main
except KeyboardInterrupt:
    raise SystemExit(130) from None
except ModuleNotFoundError as missing:
    raise SystemExit(f"recovery: {missing}: `make setup`, and then `.venv/bin/python -m recovery`") from None

main()
