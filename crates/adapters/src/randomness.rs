//! Randomness of the operating system, for jitter.

use damascus_engine::Randomness;

/// The thread's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fraction(&self) -> f64 {
        rand::random()
    }
}
