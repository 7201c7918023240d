"""What only a browser shows. Outside the gate: `make browser`, with Debian's chromium."""
