//! From margins to predictions, as each library does it after the sum.

/// Function from the margins of one row, one a class, to its prediction. Each is computed in the precision in which its
/// library computes it: of the `f32` ones the arguments are `f32` widened, and so are the results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// The margins themselves.
    Identity,
    /// `gbdt`, LogLikelyhood: `1 / (1 + exp(-2 x))` in f32. Its labels are -1 and +1.
    GbdtSigmoid,
    /// XGBoost: `1 / (exp(min(-x, 88.7)) + 1 + 1e-16)` in f32; ONNX Runtime's is within a last bit of it.
    SigmoidF32,
    /// XGBoost: softmax with f32 exponentials, summed in f64; ONNX Runtime's is within a last bit of it.
    SoftmaxF32,
    /// XGBoost, multi:softmax: the number of the greatest margin.
    XgboostGreatest,
    /// XGBoost, binary:hinge: 1 above 0, else 0.
    XgboostHinge,
    /// XGBoost: `exp(x)` in f32.
    XgboostExp,
    /// LightGBM: `1 / (1 + exp(-scale x))`.
    Sigmoid {
        /// The `sigmoid` parameter.
        scale: f64,
    },
    /// LightGBM: softmax, shifted by the greatest margin.
    Softmax,
    /// LightGBM: `exp(x)`.
    Exp,
    /// LightGBM, cross_entropy_lambda: `ln(1 + exp(x))`.
    Log1pExp,
    /// LightGBM, regression with `sqrt`: `sign(x) x^2`.
    SignedSquare,
    /// ONNX: margins that are probabilities, but for rounding.
    Clamp,
}

impl Transform {
    /// Turns margins into the prediction, in place. [`Transform::XgboostGreatest`] leaves one number.
    pub fn apply(self, margins: &mut Vec<f64>) {
        let each = |margins: &mut Vec<f64>, f: fn(f64) -> f64| margins.iter_mut().for_each(|x| *x = f(*x));
        match self {
            Transform::Identity => {}
            Transform::GbdtSigmoid => each(margins, |x| (1.0 / (1.0 + (-2.0 * x as f32).exp())).into()),
            Transform::SigmoidF32 => each(margins, |x| {
                // 1e-16 is in the formula and vanishes in f32.
                let exponential = (-(x as f32)).min(88.7).exp();
                (1.0 / (exponential + 1.0 + 1e-16)).into()
            }),
            Transform::SoftmaxF32 => {
                let greatest = margins.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b)) as f32;
                let exponentials: Vec<f32> = margins.iter().map(|x| (*x as f32 - greatest).exp()).collect();
                let sum = exponentials.iter().map(|x| f64::from(*x)).sum::<f64>() as f32;
                margins.iter_mut().zip(exponentials).for_each(|(x, exponential)| *x = (exponential / sum).into());
            }
            Transform::XgboostGreatest => {
                let mut greatest = 0;
                for (index, margin) in margins.iter().enumerate() {
                    if *margin > margins[greatest] {
                        greatest = index;
                    }
                }
                *margins = vec![greatest as f64];
            }
            Transform::XgboostHinge => each(margins, |x| if x > 0.0 { 1.0 } else { 0.0 }),
            Transform::XgboostExp => each(margins, |x| (x as f32).exp().into()),
            Transform::Sigmoid { scale } => margins.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-scale * *x).exp())),
            Transform::Softmax => {
                let greatest = margins.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
                each_exp(margins, greatest);
                let sum: f64 = margins.iter().sum();
                margins.iter_mut().for_each(|x| *x /= sum);
            }
            Transform::Exp => each(margins, f64::exp),
            Transform::Log1pExp => each(margins, |x| x.exp().ln_1p()),
            Transform::SignedSquare => each(margins, |x| x.signum() * x * x),
            Transform::Clamp => each(margins, |x| x.clamp(0.0, 1.0)),
        }
    }

    /// Returns the function from the margins to probabilities: the library's own `predict_proba` where `predict` gives
    /// the number of a class. `None` if there are none.
    pub fn to_probabilities(self) -> Option<Transform> {
        match self {
            Transform::XgboostGreatest => Some(Transform::SoftmaxF32),
            transform => transform.is_probability().then_some(transform),
        }
    }

    /// Tells if every prediction is a probability.
    pub fn is_probability(self) -> bool {
        matches!(
            self,
            Transform::GbdtSigmoid
                | Transform::SigmoidF32
                | Transform::SoftmaxF32
                | Transform::Sigmoid { .. }
                | Transform::Softmax
                | Transform::Clamp
        )
    }
}

fn each_exp(margins: &mut [f64], shift: f64) {
    margins.iter_mut().for_each(|x| *x = (*x - shift).exp());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(transform: Transform, margins: &[f64]) -> Vec<f64> {
        let mut margins = margins.to_vec();
        transform.apply(&mut margins);
        margins
    }

    #[test]
    fn no_finite_margin_makes_a_probability_that_is_none() {
        for margin in [-1e30, -750.0, -89.0, 0.0, 89.0, 750.0, 1e30] {
            for transform in [
                Transform::GbdtSigmoid,
                Transform::SigmoidF32,
                Transform::SoftmaxF32,
                Transform::Sigmoid { scale: 2.0 },
                Transform::Softmax,
                Transform::Clamp,
            ] {
                for probability in applied(transform, &[margin, 0.5]) {
                    assert!((0.0..=1.0).contains(&probability), "{transform:?} of {margin}: {probability}");
                }
            }
        }
    }

    #[test]
    fn the_greatest_is_the_first_of_equals() {
        assert_eq!(applied(Transform::XgboostGreatest, &[1.0, 3.0, 3.0]), [1.0]);
        assert_eq!(applied(Transform::SignedSquare, &[-3.0]), [-9.0]);
    }
}
