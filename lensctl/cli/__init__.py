"""The command line: one thin module per command. Nothing outside this folder imports it."""
