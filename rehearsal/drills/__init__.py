"""Recovery drills: something goes wrong on a rehearsed stack, recovery runs, and clients time it."""
