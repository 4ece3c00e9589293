//! The chopsticks program: call a Python function of your codebase on many targets.
fn main() {}
