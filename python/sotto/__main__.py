"""The command line: `python -m sotto` becomes the program `sotto`, or `sotto-server` where there is only that half."""
from __future__ import annotations

import os
import pathlib
import sys
from typing import NoReturn


def main() -> NoReturn:
    folder = pathlib.Path(__file__).parent / "bin"
    for name in ("sotto", "sotto-server"):
        program = folder / name
        if program.exists():
            os.execv(program, [name, *sys.argv[1:]])
    sys.exit("sotto: an installation of the half of clients has no program; use the module sotto")


if __name__ == "__main__":
    main()
