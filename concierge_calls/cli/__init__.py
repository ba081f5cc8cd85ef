"""The command line: reads options, calls one function, shows the result."""
