"""The ledger: the lifetime of every thread, cut into parts that add up to it."""
