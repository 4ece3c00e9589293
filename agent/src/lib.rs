//! The Python agent of chopsticks, packed as constants.
