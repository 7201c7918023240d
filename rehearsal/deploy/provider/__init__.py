"""The rehearsal's resources as a Pulumi provider: `handlers` for any engine, and `server` for Pulumi's own.

The offline engine calls the handlers in process. Pulumi's engine reaches them by gRPC in a process of its own, because
a gRPC server and `fork` do not go together. `reading` compares what the emulator holds with what was given.
"""
