"""`python -m livestock_utils`: the command line, see livestock_utils.cli."""

from livestock_utils.cli import main

if __name__ == "__main__":
    main()
