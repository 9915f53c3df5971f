"""Apps that others made and that live elsewhere: containers, LXC guests, units, things behind commands.

`driver` is what is asked of a host, `drivers` says which one drives what, and `provider` makes a
provider of any of them.  A `ward` is one guest in our care: it looks, compares and tells; an
`attempt` starts it, a `life` is one run of it for which we answer, written down in a `record`.
The `lookout` hears of news from the host, the `scribe` copies what a run writes and keeps a
`bookmark`, the `gauge` asks what it uses.
"""
