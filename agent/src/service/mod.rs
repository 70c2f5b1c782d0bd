//! What is said to whom.

pub mod lunasentri;
pub mod orchestrator;
