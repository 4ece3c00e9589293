//! The pencode value format: Python's primitive values as bytes, with identity and cycles, read safely.
