//! Automation of the chopsticks workspace.
fn main() {}
