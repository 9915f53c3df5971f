"""What instances are made of.  `base` is the protocol; each provider keeps its contract suite green."""
