"""Tests of a deployed stack: whether AWS reports what the program promises.

`make integration` deploys to an emulator and runs these; `make up outputs verify` runs them on AWS. They read the
stack's outputs, create a few small objects and remove them again. Payments cannot be deleted, so they stay: their ids
begin with `integration-test-`.
"""
