"""PostgreSQL in two regions, in place of an Aurora global database.

`global_database.GlobalDatabase` is a writer and a streaming standby (`server`). Clients reach each through an endpoint
that speaks TLS and checks IAM tokens as Aurora does (`endpoint`, `authentication`). The standby follows the writer
through a link that can be slowed and cut (`proxy`). All files are in one folder. It and all processes are removed
even if the process that started them is killed (`process_group`, `watchdog`). `aurora` connects it to the emulated RDS.
"""
