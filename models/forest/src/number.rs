//! The two precisions that libraries compute in.

use std::fmt::{Debug, Display};
use std::ops::AddAssign;

/// `f32`, as XGBoost and `gbdt` compute, or `f64`, as LightGBM does.
pub trait Number: Copy + PartialOrd + AddAssign + Debug + Display + Into<f64> + Send + Sync + 'static {
    /// Zero.
    const ZERO: Self;
    /// A missing value.
    const NAN: Self;

    /// From a wider number, rounded to the nearest.
    fn from_f64(number: f64) -> Self;

    /// Whether a value goes left at a split: at most the threshold in LightGBM (`f64`), below it in the others (`f32`).
    /// NaN never does.
    fn goes_left(self, threshold: Self) -> bool;

    /// The category that a value names, if it can name one.
    ///
    /// LightGBM (`f64`) truncates, so that -0.5 is category 0; XGBoost (`f32`) takes no negative value. NaN is none.
    fn category(self) -> Option<u32>;

    /// Whether the value is NaN.
    #[inline(always)]
    #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
    fn is_missing(self) -> bool {
        self != self
    }

    /// Whether LightGBM takes the number for zero where zero means missing: its `kZeroThreshold` is 1e-35 in f32.
    fn is_almost_zero(self) -> bool {
        self.into().abs() <= f64::from(1e-35f32)
    }
}

impl Number for f32 {
    const ZERO: f32 = 0.0;
    const NAN: f32 = f32::NAN;

    fn from_f64(number: f64) -> f32 {
        number as f32
    }

    #[inline]
    fn goes_left(self, threshold: f32) -> bool {
        self < threshold
    }

    fn category(self) -> Option<u32> {
        // 2^24: beyond it not every whole number is an f32.
        (0.0..16_777_216.0).contains(&self).then_some(self as u32)
    }
}

impl Number for f64 {
    const ZERO: f64 = 0.0;
    const NAN: f64 = f64::NAN;

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
}
