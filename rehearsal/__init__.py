"""An offline rehearsal of the whole stack: the unchanged program, deployed onto an emulator of AWS and used over HTTP.

`python -m rehearsal` (`cli`) starts the emulator (`emulator`), runs the program (`deployment`) with a monitor in place
of Pulumi's engine (`monitor`), which creates each resource through boto3 (`engine`) as its type's entry says (`kinds`),
sends payments through the deployed APIs (`traffic`), deletes everything again, and compares what the emulator holds
with what it held before (`inventory`). `gaps` names what an emulator cannot show.
"""
