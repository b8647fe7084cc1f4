"""What notebooks call: functions from a ``RunSet`` to a table, a figure or a note.

Each is usable on its own. Their names stand in ``__init__.pyi``, and the modules are imported on
first use.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
