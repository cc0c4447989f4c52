"""Where it runs: one module for each engine, none loaded by the core."""
