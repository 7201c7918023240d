"""`python -m rehearsal`."""

import gc

from rehearsal.cli import main

gc.set_threshold(50_000)  # looking for cycles in so many objects took a fifth of the time
try:
    main()
finally:
    gc.freeze()  # spares a last collection, which takes a second: it walks the models of 16 services
