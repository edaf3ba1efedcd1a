"""`python -m parse_engine` is the command."""

from parse_engine.cli import main

main()
