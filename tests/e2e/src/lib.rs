//! End to end tests of chopsticks against real interpreters.
