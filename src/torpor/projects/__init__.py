"""What lies in a directory: which apps there are, how they are run, and a configuration for them.

Nothing of a project is executed to find that out.
"""
