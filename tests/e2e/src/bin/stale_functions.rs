//! A program of functions that was built before they were changed.

use chopsticks_function::function;

#[function(name = "e2e::program")]
fn program() -> std::io::Result<(u32, u64)> {
    Ok((0, 0))
}

fn main() {
    chopsticks_function::init();
}
