//! The component: the service in the world that it runs in. One file a world; natively there is none.
//!
//! **Architecture invariant:** nothing is decided here. A world translates between its host's interfaces and the
//! service's.

#[cfg(all(target_family = "wasm", feature = "otel"))]
mod otel;
#[cfg(target_family = "wasm")]
mod predictor;
#[cfg(target_family = "wasm")]
mod spin;
