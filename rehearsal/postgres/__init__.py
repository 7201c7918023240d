"""The PostgreSQL pair behind a rehearsed Aurora global database.

`pair.Pair` is the global database: a writer and a streaming standby (`server`), each behind a front door that speaks
TLS and checks IAM tokens as Aurora does (`door`, `trust`), joined by a link that can be slowed and cut (`relay`).
Everything lies in one folder, which goes with its processes whatever becomes of the process that made them (`host`).
"""
