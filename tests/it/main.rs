//! The behaviour of the component on any host: run on the project's own and, where Spin is installed, on Spin.
//!
//! One file is one part of its behaviour. A test that needs a program which may be missing stands in a module named
//! after it, `needs_redis`: `cargo xtask test` leaves modules out by that name.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends there")]

mod access;
mod background;
mod bring_your_own;
mod cache;
mod check_ins;
mod compression;
mod concurrency;
mod generated;
mod inference_protocol;
mod inventory;
mod languages;
mod limits;
mod needs_k6;
mod needs_postgresql;
mod needs_python;
mod pages;
mod posted;
mod predictions;
mod readme;
mod redis;
mod supabase;
mod telemetry;
mod validation;
