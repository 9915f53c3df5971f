"""Plain processes.

`provider` is the entry.  `spawn` turns a launch into a running program, `life` watches one
generation until nothing of it is left.  `tree` and `cgroup` know which processes belong to
it, `procfs` who a process is, and `reaper` collects orphans.  `capture` and `logfile` take
what it writes, `notify` what it says of itself.
"""
