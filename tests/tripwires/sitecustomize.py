"""Every Python that the tests start puts the tripwires up, and what else a test asks for.

``TRIPWIRE_ALSO`` names a file of a test that is run too: to take a gate out, say.
"""

import os
import sys

import tripwire

# A command of the project, or a kernel: nothing in it has any business to unpickle.
_OURS = ("create-observation-notebook", "qualia-lab", "ipykernel_launcher")

if os.environ.get(tripwire.LOG):
    tripwire.install(
        pickles_anywhere=any(os.path.basename(one) in _OURS for one in sys.orig_argv[1:3])
    )
if _also := os.environ.get("TRIPWIRE_ALSO"):
    with open(_also, encoding="utf-8") as _file:
        exec(compile(_file.read(), _also, "exec"), {"__name__": "tripwire_also"})
