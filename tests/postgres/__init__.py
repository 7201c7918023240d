"""Tests of the ledger on a real PostgreSQL."""
