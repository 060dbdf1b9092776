//! Brokers: what wakes workers. They carry no work and no state; losing one delays, and loses nothing.

pub mod postgres;
