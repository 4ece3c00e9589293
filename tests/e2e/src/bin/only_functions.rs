//! A program of functions alone, which is sent in place of the controller.

use chopsticks_e2e as _;

fn main() {
    chopsticks_function::init();
}
