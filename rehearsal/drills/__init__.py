"""Recovery drills: something goes wrong on a rehearsed stack, recovery runs, and a client times it.

`model` is what a run of drills has found, `page` tells it as one HTML file and as JSON, `picture` draws its timelines.
"""
