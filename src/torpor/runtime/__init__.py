"""The shell around the core: the engine with its one timer, and the hands that carry out effects."""
