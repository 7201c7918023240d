"""An offline rehearsal of the whole stack: the unchanged program, deployed onto an emulator of AWS and used over HTTP.

CONTRIBUTING.md says what each part is for.
"""
