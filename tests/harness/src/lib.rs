//! Code that tests and benchmarks share.
//!
//! [`process`] starts any server and stops it; without the feature `tests` that is all. With it comes what the
//! integration tests share: the `Host` that runs the component, and what stands around it: `supabase`, `redis`,
//! `tokens`, and the demo `people`.
//!
//! ```no_run
//! # #[cfg(feature = "tests")] {
//! use harness::{DEPRESSED, Host};
//!
//! let host = Host::demo();
//! let answer = host.predictions(DEPRESSED, "?types=relapse_risk");
//! assert_eq!((answer.status, answer.header("x-cache")), (200, "MISS"));
//! # }
//! ```

#[cfg(feature = "tests")]
mod host;
#[cfg(feature = "tests")]
pub mod http;
#[cfg(feature = "tests")]
pub mod people;
pub mod process;
#[cfg(feature = "tests")]
pub mod redis;
#[cfg(feature = "tests")]
pub mod supabase;
#[cfg(feature = "tests")]
pub mod tokens;

#[cfg(feature = "tests")]
pub use host::{
    FAST, Host, PORTABLE, Response, at_once, built, free_port, is_on_spin, platform, root, runs_the_fast_module, state,
    store_file, wait_for, wait_until,
};
#[cfg(feature = "tests")]
pub use people::{DEPRESSED, EUTHYMIC, MANIC, MIXED, WITHOUT_CHECK_INS, demo_check_ins, demo_rows, moved, without_ids};

/// The shipped prediction types, in the order of answers.
#[cfg(feature = "tests")]
pub const TYPES: [&str; bipolar_edge_models::MODELS.len()] = {
    let mut names = [""; bipolar_edge_models::MODELS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = bipolar_edge_models::MODELS[index].name;
        index += 1;
    }
    names
};
