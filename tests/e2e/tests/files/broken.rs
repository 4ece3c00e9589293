//! Transfers that fail: the target is as it was, and nothing else is there.
