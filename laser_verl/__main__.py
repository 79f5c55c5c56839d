"""`python -m laser_verl` is `laser-verl`."""

from laser_verl.cli import main

if __name__ == "__main__":
    main()
