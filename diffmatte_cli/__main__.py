"""``python -m diffmatte_cli``."""

from .commands.app import main

if __name__ == "__main__":
    main()
