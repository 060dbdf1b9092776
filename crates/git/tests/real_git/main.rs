//! Damascus' git against real git programs and real files, once for every version on the machine.
//!
//! Invariant: nothing is faked, and nothing outside a temporary folder is touched.

mod altered;
mod hostile;
mod merging;
mod remote;
mod round_trip;
mod trouble;
mod world;
