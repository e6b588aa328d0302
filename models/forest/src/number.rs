//! The two precisions that libraries compute in, and the keys that stand for their numbers.

use std::fmt::{Debug, Display};
use std::ops::AddAssign;

/// `f32`, as XGBoost and `gbdt` compute, or `f64`, as LightGBM does.
pub trait Number: Copy + PartialOrd + AddAssign + Debug + Display + Into<f64> + Send + Sync + 'static {
    /// Zero.
    const ZERO: Self;
    /// A missing value.
    const NAN: Self;
    /// The threshold that every number goes left of, and only what is missing may not.
    const ABOVE_ALL: Self;

    /// Converts a wider number, rounded to the nearest.
    fn from_f64(number: f64) -> Self;

    /// Tells if a value, which is not missing, goes left at a split: at most the threshold in LightGBM (`f64`), below
    /// it in the others (`f32`).
    fn goes_left(self, threshold: Self) -> bool;

    /// Returns the category that a value names, if it can name one.
    ///
    /// LightGBM (`f64`) truncates, so that -0.5 is category 0; XGBoost (`f32`) takes no negative value. NaN is none.
    fn category(self) -> Option<u32>;

    /// Returns the least key that does not go left of this threshold, for values that an f32 is.
    fn threshold_key(self) -> i32;

    /// Tells if it can be a threshold: a number, or [`Number::ABOVE_ALL`].
    fn is_threshold(self) -> bool;

    /// Returns the threshold of a key. In `f64`, of which the key is a rounding, not to be asked for.
    fn from_key(key: i32) -> Self;

    /// Returns the value of an `f32` leaf.
    fn from_leaf_bits(bits: i32) -> Self;

    /// Returns the bits of a leaf that a node keeps: its value in `f32`, nothing in `f64`.
    fn leaf_bits(self) -> i32;

    /// Tells if the value is NaN.
    #[inline(always)]
    #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
    fn is_missing(self) -> bool {
        self != self
    }

    /// Tells if LightGBM takes the number for zero where zero means missing: its `kZeroThreshold` is 1e-35 in f32.
    fn is_almost_zero(self) -> bool {
        self.into().abs() <= f64::from(1e-35f32)
    }
}

/// Maps f32s to whole numbers in their order, both zeros to one. Not for NaN.
#[inline(always)]
pub(crate) const fn key(number: f32) -> i32 {
    // Adding zero turns -0 into +0. As integers positive floats are in order, and negative ones in the reverse.
    let bits = (number + 0.0).to_bits() as i32;
    bits ^ ((bits >> 31) as u32 >> 1) as i32
}

impl Number for f32 {
    const ZERO: f32 = 0.0;
    const NAN: f32 = f32::NAN;
    // No number: its key is above that of infinity. One bit tells it from what a file may have in place of a number.
    const ABOVE_ALL: f32 = f32::from_bits(0x7fc0_0001);

    fn from_f64(number: f64) -> f32 {
        number as f32
    }

    #[inline]
    fn goes_left(self, threshold: f32) -> bool {
        self < threshold || threshold.is_missing()
    }

    fn category(self) -> Option<u32> {
        // 2^24: beyond it not every whole number is an f32.
        (0.0..16_777_216.0).contains(&self).then_some(self as u32)
    }

    fn threshold_key(self) -> i32 {
        if self.is_missing() { key(f32::INFINITY) + 1 } else { key(self) }
    }

    fn is_threshold(self) -> bool {
        !self.is_missing() || self.to_bits() == f32::ABOVE_ALL.to_bits()
    }

    #[inline]
    fn from_key(key: i32) -> f32 {
        f32::from_bits((key ^ ((key >> 31) as u32 >> 1) as i32) as u32)
    }

    #[inline(always)]
    fn from_leaf_bits(bits: i32) -> f32 {
        f32::from_bits(bits as u32)
    }

    fn leaf_bits(self) -> i32 {
        // A leaf of -0 becomes +0, which adds the same: the bits of -0 are the key of slot 0.
        (self + 0.0).to_bits() as i32
    }
}

impl Number for f64 {
    const ZERO: f64 = 0.0;
    const NAN: f64 = f64::NAN;
    const ABOVE_ALL: f64 = f64::INFINITY;

    fn from_f64(number: f64) -> f64 {
        number
    }

    #[inline]
    fn goes_left(self, threshold: f64) -> bool {
        self <= threshold
    }

    fn category(self) -> Option<u32> {
        (self > -1.0 && self < 2_147_483_648.0).then_some(self as u32)
    }

    fn threshold_key(self) -> i32 {
        let nearest = self as f32;
        let below = if f64::from(nearest) > self { nearest.next_down() } else { nearest };
        key(below) + 1
    }

    fn is_threshold(self) -> bool {
        !self.is_missing()
    }

    fn from_key(_: i32) -> f64 {
        f64::NAN
    }

    #[inline(always)]
    fn from_leaf_bits(_: i32) -> f64 {
        0.0
    }

    fn leaf_bits(self) -> i32 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_their_numbers_and_lead_back_to_them() {
        let numbers = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-45, 0.0, 1e-45, 1e-36, 1.0, f32::MAX, f32::INFINITY];
        for pair in numbers.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        for number in numbers {
            assert_eq!(f32::from_key(key(number)).to_bits(), number.to_bits());
        }
        assert_eq!(key(-0.0), key(0.0));
    }

    #[test]
    fn the_key_of_an_f64_threshold_parts_f32s_as_the_threshold_does() {
        for threshold in [0.1, -0.1, 1e-35, -1e-35, 0.0, 5e-324, -5e-324, 1e39, -1e39, 16_777_217.0, 0.5, f64::INFINITY]
        {
            let nearest = threshold as f32;
            for value in [nearest.next_down(), nearest, nearest.next_up(), 0.0, -0.0, f32::INFINITY, f32::MIN] {
                let left = f64::from(value) <= threshold;
                assert_eq!(key(value) < threshold.threshold_key(), left, "{value} and {threshold}");
            }
        }
    }
}
