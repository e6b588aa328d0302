//! Chance, from the host's random numbers.

use uuid::Uuid;

/// Returns true with a probability from 0 to 1.
pub(crate) fn chance(probability: f64) -> bool {
    probability >= 1.0 || uniform() < probability
}

/// Returns a number from 0 to 1, 1 excluded.
pub(crate) fn uniform() -> f64 {
    #[cfg(test)]
    if let Some(number) = SEEDED.get().map(next) {
        return number;
    }
    // Of a random UUID's 128 bits six are fixed, which are not among the last 53.
    (Uuid::new_v4().as_u128() as u64 & ((1 << 53) - 1)) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
thread_local! {
    static SEEDED: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// Has a test's numbers follow from a seed.
#[cfg(test)]
pub(crate) fn seed(seed: u64) {
    SEEDED.set(Some(seed));
}

#[cfg(test)]
fn next(state: u64) -> f64 {
    let state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    SEEDED.set(Some(state));
    (state >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_over_their_range() {
        let numbers: Vec<f64> = (0..10_000).map(|_| uniform()).collect();
        for tenth in 0..10 {
            let within = |number: &&f64| (**number * 10.0) as i32 == tenth;
            let count = numbers.iter().filter(within).count();
            assert!((800..1200).contains(&count), "{tenth}: {count}");
        }
        assert!(chance(1.0) && !chance(0.0));
    }
}
