"""``python -m mcu_hybrid``: the command line where its script is not on PATH."""

from mcu_hybrid.cli import main

if __name__ == "__main__":
    main()
