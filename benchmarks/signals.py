"""The signals by which a measurement inside the server begins and ends: the server itself knows neither."""

import signal
from typing import Final

BEGIN: Final = signal.SIGRTMIN
END: Final = signal.SIGRTMIN + 1
