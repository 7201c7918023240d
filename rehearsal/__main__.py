"""`python -m rehearsal`."""

import gc

from rehearsal.cli import main

try:
    main()
finally:
    gc.freeze()  # spares a last collection, which takes a second: it walks the models of 16 services
