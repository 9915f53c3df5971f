"""Plain processes.

`provider` is the entry.  `spawn` turns a launch into a running program, `life` watches one
generation until nothing of it is left.  `tree` and `cgroup` know which processes belong to
it, `procfs` who a process is, and `reaper` collects orphans.  `nursery` bears children, `exits`
knows how a process ended.  `providers.capture` takes what it writes; `notify` receives what it
says of itself, `voice` understands it, and `fdstore` keeps the descriptors that it gives away.
`record` writes down what lives, for `adoption` to find it under the next daemon.
"""
