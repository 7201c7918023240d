"""`python -m rehearsal`."""

import gc

from rehearsal.cli import main

try:
    main()
finally:
    gc.freeze()  # or the interpreter spends a second on its way out, walking the models of 16 services
