"""Pure decisions over values: no I/O, no clock, no randomness, no logging.

`machine` decides for one instance, `app` for one app with its waiting requests,
`fleet` for all of them.  Everything here is called with `now` (monotonic
seconds) and returns effects for others to carry out.
"""
