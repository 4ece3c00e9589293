//! Codebases: finds the Python modules that chopsticks serves to its agents.
