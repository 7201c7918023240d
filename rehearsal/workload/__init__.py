"""Clients that pay: requests, load, checks, the smoke test, and moving the writer."""
