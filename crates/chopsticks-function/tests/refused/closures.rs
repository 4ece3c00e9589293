//! Closures that cannot run on hosts.

use chopsticks_function::closure;

fn main() {
    closure!(move || -> u8 { 1 });
    closure!(|text| -> usize { 1 });
    closure!(|text: String| text.len());
}
