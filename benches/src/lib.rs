//! Benchmarks of chopsticks.
