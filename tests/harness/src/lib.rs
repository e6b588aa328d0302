//! Code that tests and benchmarks share: [`process`] starts any server and stops it.

pub mod process;
