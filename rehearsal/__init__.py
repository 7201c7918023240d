"""An offline rehearsal of the whole stack: the unchanged program, deployed onto an emulator of AWS and used over HTTP.

cli, run          the command line, and one rehearsal phase by phase
report            what it prints, and its JSON document
rehearsed_stack   the deployed stack with the switches of its faults, and what its stores hold
aws               the emulated AWS: its process, clients, faults, HTTP proxies, and the lag of copies between regions
postgres          a global database of real PostgreSQL servers behind RDS
deploy            the program run without Pulumi's engine, each resource created through boto3, and what cannot be shown
workload          the HTTP client, the load generator, checks, the smoke test, and moving the writer
drills            outages and recovery drills, and their report
bench             how fast payments are taken, and what one takes
errors, polling   the tree of exceptions, and waiting for something
"""
