"""Whether the rules, the codec, the records and the checksum run compiled, or as they are written.

PANELCTL_PURE=1 asks for the latter: slow, for reading, debugging and tests. There is no silent fall
back: a package without its compiled modules does not start unless asked to. The compiled modules
have names of their own (`_core`, `_fields` …), so that no text is shadowed by what was made of it.
"""

from __future__ import annotations

import os

PURE = os.environ.get("PANELCTL_PURE") == "1"
