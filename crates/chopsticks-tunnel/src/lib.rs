//! Tunnels: start a Python agent through a driver, and call functions in it.
