"""`forebay quota` and `forebay budget`: the limits in force, and changes at run time."""
