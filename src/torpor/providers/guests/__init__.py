"""Apps that others made and that live elsewhere: containers, LXC guests, units, things behind commands."""
