"""Moves the payment service from one region to the other: status, switchover, failover, failback and drills.

One plan (`plan`) is carried out (`runner`) by two drivers: the command line (`cli`), and the function that watches the
other region and, where it may, acts by itself (`controller`).
"""
