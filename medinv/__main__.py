"""`python -m medinv`."""

from medinv.cli.main import main

main()
