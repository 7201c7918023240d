"""Moves the payment service from one region to the other: status, switchover, failover, failback and drills.

A plan (`plan`, `steps`) is carried out (`runner`) by two drivers: the command line (`cli`), and the function that
watches the other region and may act by itself (`controller`).
"""
