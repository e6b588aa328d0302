//! Random trees against a naive walk over the trees as the importer was given them, by the libraries' rules in floats.

use super::tree::{Builder, Missing, OwnedForest, Side, Source};
use crate::number::Number;
use proptest::prelude::*;
use std::rc::Rc;

const FEATURES: usize = 5;
/// Features from here on are categories.
const CATEGORICAL: usize = 4;

/// A tree before it has an order in memory.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(f64),
    Split { feature: usize, threshold: f64, missing: To, children: Box<[Tree; 2]> },
    InSet { set: Vec<u32>, missing_inside: bool, children: Box<[Tree; 2]> },
}

#[derive(Clone, Copy, Debug)]
enum To {
    Left,
    Right,
    Value(f64),
}

/// Numbers that are easy to get wrong, and their neighbours.
fn number() -> impl Strategy<Value = f64> {
    let special = [0.0, -0.0, 1e-45, -1e-45, 1e-40, 0.1, -0.1, 0.5, 1.0, 16_777_216.0, 3.4e38, -3.4e38, 1e300, 1e-300];
    let near = (proptest::sample::select(special.to_vec()), 0..5).prop_map(|(number, step): (f64, i32)| match step {
        0 => number.next_down(),
        1 => number.next_up(),
        2 => f64::from((number as f32).next_down()),
        3 => f64::from((number as f32).next_up()),
        _ => number,
    });
    prop_oneof![3 => near, 1 => (-4..5).prop_map(f64::from), 1 => -1.0..1.0, 1 => Just(f64::INFINITY), 1 => Just(f64::NEG_INFINITY)]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![5 => number(), 1 => Just(f64::NAN)]
}

fn tree(exits: bool, sets: bool) -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![4 => -2.0..2.0, 1 => Just(-0.0)].prop_map(Tree::Leaf);
    leaf.prop_recursive(7, 40, 2, move |inner| {
        let missing = prop_oneof![
            2 => Just(To::Left),
            2 => Just(To::Right),
            if exits { 3 } else { 0 } => (-1.0..1.0).prop_map(To::Value)
        ];
        let split = (0..FEATURES, number(), missing, inner.clone(), inner.clone()).prop_map(
            |(feature, threshold, missing, left, right)| Tree::Split {
                feature,
                threshold,
                missing,
                children: Box::new([left, right]),
            },
        );
        let set = (proptest::collection::vec(any::<u32>(), 1..3), any::<bool>(), inner.clone(), inner).prop_map(
            |(set, missing_inside, inside, outside)| Tree::InSet {
                set,
                missing_inside,
                children: Box::new([inside, outside]),
            },
        );
        prop_oneof![4 => split, if sets { 2 } else { 0 } => set]
    })
}

impl Tree {
    /// Returns the tree's answer, as its library would.
    fn answer<T: Number>(&self, row: &[T]) -> T {
        match self {
            Tree::Leaf(value) => T::from_f64(*value),
            Tree::Split { feature, threshold, missing, children } => {
                let value = row[*feature];
                match (value.is_missing(), missing) {
                    (true, To::Left) => children[0].answer(row),
                    (true, To::Right) => children[1].answer(row),
                    (true, To::Value(value)) => T::from_f64(*value),
                    (false, _) if value.goes_left(T::from_f64(*threshold)) => children[0].answer(row),
                    (false, _) => children[1].answer(row),
                }
            }
            Tree::InSet { set, missing_inside, children } => {
                let value = row[CATEGORICAL];
                let has = |category: u32| {
                    set.get(category as usize / 32).is_some_and(|word| word >> (category % 32) & 1 == 1)
                };
                let inside = if value.is_missing() { *missing_inside } else { value.category().is_some_and(has) };
                children[usize::from(!inside)].answer(row)
            }
        }
    }

    /// The nodes as a file would list them, the root first, with covers that make either child the hotter one.
    fn list<T: Number>(&self, nodes: &mut Vec<(Source<T>, Option<f32>)>) -> usize {
        let at = nodes.len();
        nodes.push((Source::Leaf(T::ZERO), Some((at * 7919 % 101) as f32)));
        let mut children = |children: &[Tree; 2]| (children[0].list(nodes), children[1].list(nodes));
        nodes[at].0 = match self {
            Tree::Leaf(value) => Source::Leaf(T::from_f64(*value)),
            Tree::Split { feature, threshold, missing, children: both } => {
                let (left, right) = children(both);
                let missing = match missing {
                    To::Left => Missing::To(Side::First),
                    To::Right => Missing::To(Side::Second),
                    To::Value(value) => Missing::Value(T::from_f64(*value)),
                };
                Source::Split { feature: *feature, threshold: T::from_f64(*threshold), left, right, missing }
            }
            Tree::InSet { set, missing_inside, children: both } => {
                let (inside, outside) = children(both);
                let missing = if *missing_inside { Side::First } else { Side::Second };
                Source::InSet { feature: CATEGORICAL, set: Rc::new(set.clone()), inside, outside, missing }
            }
        };
        at
    }
}

fn laid_out<T: Number>(trees: &[Tree]) -> OwnedForest<T> {
    let mut builder = Builder::new(T::from_f64(0.25), FEATURES);
    for tree in trees {
        let mut nodes = Vec::new();
        tree.list(&mut nodes);
        let count = nodes.len();
        let mut nodes: Vec<Option<_>> = nodes.into_iter().map(Some).collect();
        let read = |node: usize| Ok(nodes[node].take().expect("each node is read once"));
        builder.append(count, |node| node.to_string(), read).expect("a tree");
    }
    builder.finish(Vec::new()).expect("the parts fit together")
}

/// One by one and all at once, each row's margin has the bits of the naive sum.
fn check<T: Number>(trees: &[Tree], rows: &[[f64; FEATURES]]) -> Result<(), TestCaseError> {
    let forest = laid_out::<T>(trees);
    let forest = forest.forest();
    let rows: Vec<Vec<T>> = rows.iter().map(|row| row.iter().map(|x| T::from_f64(*x)).collect()).collect();
    let mut all = vec![T::ZERO; rows.len()];
    prop_assert_eq!(forest.margins(&rows.concat(), &mut all), Some(()));
    for (row, at_once) in rows.iter().zip(all) {
        let mut naive = T::from_f64(0.25);
        trees.iter().for_each(|tree| naive += tree.answer(row));
        let (naive, alone, at_once): (f64, f64, f64) =
            (naive.into(), forest.margin(row).expect("the row fits").into(), at_once.into());
        prop_assert_eq!(alone.to_bits(), naive.to_bits(), "{} is not {} for {:?}", alone, naive, row);
        prop_assert_eq!(at_once.to_bits(), naive.to_bits());
        let staged: Option<f64> = forest.staged_margins(row).expect("the row fits").last().map(|last| (*last).into());
        prop_assert!(staged.is_none_or(|staged| staged.to_bits() == naive.to_bits()));
    }
    Ok(())
}

fn trees(exits: bool, sets: bool) -> impl Strategy<Value = Vec<Tree>> {
    // Enough for whole groups of trees walked side by side, and for what remains.
    proptest::collection::vec(tree(exits, sets), 0..20)
}

/// Rows of whole groups and what remains; some with values that no f32 is, and some without.
fn rows() -> impl Strategy<Value = Vec<[f64; FEATURES]>> {
    let exact = proptest::collection::vec(proptest::array::uniform5(value()), 1..50);
    (exact, any::<bool>()).prop_map(|(rows, narrow)| {
        rows.into_iter().map(|row| if narrow { row.map(|x| f64::from(x as f32)) } else { row }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn in_f32(trees in trees(false, false), rows in rows()) {
        check::<f32>(&trees, &rows)?;
    }

    #[test]
    fn in_f32_with_exits(trees in trees(true, false), rows in rows()) {
        check::<f32>(&trees, &rows)?;
    }

    #[test]
    fn in_f32_with_exits_and_sets(trees in trees(true, true), rows in rows()) {
        check::<f32>(&trees, &rows)?;
    }

    #[test]
    fn in_f64(trees in trees(false, false), rows in rows()) {
        check::<f64>(&trees, &rows)?;
    }

    #[test]
    fn in_f64_with_sets(trees in trees(false, true), rows in rows()) {
        check::<f64>(&trees, &rows)?;
    }
}
