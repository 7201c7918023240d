"""How fast payments are taken, and what one payment takes of the stores and of the processor.

Each figure stands next to a floor that is measured in the same run on the same machine. Some have a bound.
"""
