"""The emulated AWS: its process, clients, faults, the HTTP proxies in front of it, and replication with lag."""
