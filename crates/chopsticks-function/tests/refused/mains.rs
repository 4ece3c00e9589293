//! A `main` without a runtime.

#[chopsticks_function::main]
async fn start() {}

fn main() {}
