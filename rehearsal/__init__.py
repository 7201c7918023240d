"""An offline rehearsal of the whole stack: the unchanged program, deployed onto an emulator of AWS and used over HTTP.

cli, run          the command line, and one rehearsal phase by phase
report            what it prints, and its JSON document
rehearsed_stack   the deployed stack, the faults to inject into it, and what its stores hold
aws               the emulated AWS: its process, clients, faults, HTTP proxies, and the lag of copies between regions
postgres          a global database of real PostgreSQL servers behind RDS
deploy            the program run without Pulumi's engine, each resource created through boto3, and what cannot be shown
workload          the HTTP client, the load generator, checks, the smoke test, and moving the writer
drills            outages and recovery drills, and their report
bench             the throughput of payments, and what one payment costs
errors, polling   the tree of exceptions, and waiting for a condition
"""
