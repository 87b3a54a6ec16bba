"""`unitcost` and `python -m unitcost`: signals are handled before the rest, which takes a second, is imported."""

from __future__ import annotations

import sys
import traceback

from unitcost.ending import ENDING, leave


def script() -> None:
    """Run the command line of this process."""
    try:
        serving = "serve" in sys.argv and "--once" not in sys.argv
        # The sample's configuration is nobody's to change: with its terminal it ends.
        ENDING.watch(graceful=serving, hangup=serving and "--sample" not in sys.argv)
        from unitcost.cli.main import main  # noqa: PLC0415 - see above

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = ENDING.code()
    except Exception:  # noqa: BLE001 - the last place where one can be told
        code = 1
        if ENDING.received is None:
            traceback.print_exc()
    leave(code if ENDING.received is None else ENDING.code())


if __name__ == "__main__":
    script()
