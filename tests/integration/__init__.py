"""Whether a deployed stack is what the program promises, asked of AWS itself.

`make integration` deploys to an emulator and runs these; `make up outputs verify` runs them on AWS. They read the
stack's outputs, make a few small things of their own and remove them again. Payments stay, being payments: their ids
begin with `integration-test-`.
"""
