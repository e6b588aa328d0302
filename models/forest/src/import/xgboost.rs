//! XGBoost's JSON and UBJSON, as 1.x to 3.x write it with `save_model`.
//!
//! Its rules, read from its source and tried: a feature is cast to f32 and goes left when it is below the condition;
//! NaN follows `default_left`. Categories in a node's set go right, all others left. The f32 sum begins at the base
//! margin, and the trees are added to it in file order, tree `t` to output `tree_info[t]`.

use super::categories::{Categories, CategorySet, set_words};
use super::document::{self, JsonPath, float, index};
use super::tree::{Builder, Missing, Side, Source};
use super::{Forests, ImportError, Imported, Library, MAX_OUTPUTS};
use crate::layout::MAX_FEATURES;
use crate::transform::Transform;
use serde_json::Value;
use std::rc::Rc;

/// Reads an XGBoost model, or its first boosting `rounds`. Errors name the path in the file.
pub fn read(bytes: &[u8], rounds: Option<usize>) -> Result<Imported, ImportError> {
    let file = document::read(bytes)?;
    let file = JsonPath::root(&file);
    let learner = file.get("learner")?;
    let parameters = learner.get("learner_model_param")?;
    let features = parameters.get("num_feature")?.index()?;
    if features == 0 || features > MAX_FEATURES {
        return Err(parameters.get("num_feature")?.refuse(format!("{features} is not between 1 and {MAX_FEATURES}")));
    }
    let booster = learner.get("gradient_booster")?;
    let (model, weights) = match booster.get("name")?.text()? {
        "gbtree" => (booster.get("model")?, None),
        "dart" => {
            let inner = match booster.optional("gbtree") {
                Some(gbtree) => gbtree.get("model")?,
                None => booster.get("model")?,
            };
            (inner, Some(booster.get("weight_drop")?))
        }
        other => {
            let reason = format!("{other:?} has no trees to be served; gbtree and dart are known");
            return Err(booster.get("name")?.refuse(reason));
        }
    };
    let categories = categories(&learner, &model)?;
    let trees = model.get("trees")?.array()?;
    let tree_info: Vec<usize> = model.get("tree_info")?.numbers(trees.len(), index)?;
    let weights = match weights {
        Some(weights) => weights.numbers(trees.len(), float)?,
        None => vec![1.0; trees.len()],
    };
    let classes = parameters.optional("num_class").map_or(Ok(0), |place| place.index())?.max(1);
    let targets = parameters.optional("num_target").map_or(Ok(1), |place| place.index())?.max(1);
    let outputs = classes.saturating_mul(targets);
    // As many forests are made as this says, so it may not exceed what the file has trees for, or leaves' parts.
    let parts = trees.first().and_then(|tree| tree.optional("base_weights")?.value.as_array()).map_or(0, Vec::len);
    if outputs > trees.len().max(parts).clamp(1, MAX_OUTPUTS) {
        let reason = format!("{outputs} outputs, and {} trees (at most {MAX_OUTPUTS} outputs are read)", trees.len());
        return Err(parameters.refuse(reason));
    }
    let objective = learner.get("objective")?.get("name")?;
    let (transform, link) = objective_of(objective.text()?).map_err(|reason| objective.refuse(reason))?;
    let version = version(&file);
    // A booster that was never updated and was given no base score has its own as it is, since 3.1; before, as others.
    let given = parameters.optional("boost_from_average").is_some_and(|fitted| fitted.whole() == Ok(0));
    let link =
        if trees.is_empty() && !given && version.as_slice() >= [3, 1].as_slice() { Link::Identity } else { link };
    let base_margins = base_margins(&parameters.get("base_score")?, outputs, link)?;

    let mut warnings = Vec::new();
    let starts = round_starts(&model, trees.len(), outputs)?;
    let kept = kept_trees(&starts, trees.len(), rounds)?;
    let best = learner.optional("attributes").and_then(|attributes| attributes.optional("best_iteration"));
    // Without rounds XGBoost 1.7 writes -1.
    let best = best.map(|best| best.whole()).transpose()?.and_then(|best| usize::try_from(best.saturating_add(1)).ok());
    let leaves_some_out = |best: &usize| {
        rounds.is_none() && kept_trees(&starts, trees.len(), Some(*best)).is_ok_and(|kept| kept < trees.len())
    };
    if let Some(best) = best.filter(leaves_some_out) {
        warnings.push(format!(
            "training stopped early and best was round {best}: all rounds are used, as Booster.predict does; the \
             scikit-learn wrapper would use {best} (set rounds = {best} for that)"
        ));
    }
    let mut forests: Vec<Builder<f32>> = base_margins.iter().map(|base| Builder::new(*base, features)).collect();
    let mut tree_rounds: Vec<Vec<u32>> = vec![Vec::new(); outputs];
    let mut set_words = set_words(bytes.len());
    let mut splits_by_category = false;
    for (number, tree) in trees[..kept].iter().enumerate() {
        let read = Tree::read(tree, weights[number], categories.as_ref(), &mut set_words)?;
        splits_by_category |= read.by_category.contains(&true);
        let own = match &read.vectors {
            Some(vectors) if vectors.size == outputs => {
                // Each output has its own copy of the sets of categories.
                let words: usize = read.sets.iter().map(|set| set.len()).sum();
                let left = set_words.checked_sub(words.saturating_mul(outputs - 1));
                set_words = left.ok_or_else(|| tree.refuse("the sets of categories would dwarf the file"))?;
                0..outputs
            }
            Some(vectors) => {
                return Err(tree.refuse(format!("leaves of {} numbers for {outputs} outputs", vectors.size)));
            }
            None => tree_info[number]..tree_info[number].saturating_add(1),
        };
        for output in own {
            let forest = forests.get_mut(output);
            let forest = forest.ok_or_else(|| tree.refuse(format!("output {output} is out of range")))?;
            read.append(forest, tree, output)?;
            tree_rounds[output].push(starts.partition_point(|start| *start <= number) as u32);
        }
    }
    if splits_by_category && categories.is_none() {
        warnings.push(
            "there are splits by category, and the file has no values of them: of a pandas column of categories callers \
             have to send the codes (`frame[column].cat.codes`)"
                .to_owned(),
        );
    }
    Ok(Imported {
        library: Library::XgBoost,
        version: (!version.is_empty()).then(|| version.iter().map(i64::to_string).collect::<Vec<_>>().join(".")),
        objective: objective.text()?.to_owned(),
        feature_names: match learner.optional("feature_names") {
            Some(names) => {
                names.array()?.iter().map(|name| name.text().map(str::to_owned)).collect::<Result<_, _>>()?
            }
            None => Vec::new(),
        },
        forests: Forests::F32(forests.into_iter().map(|forest| forest.finish(Vec::new())).collect::<Result<_, _>>()?),
        transform,
        divisor: 1.0,
        tree_rounds,
        warnings,
    })
}

/// Reads the library's version; empty if the file does not say it.
fn version(file: &JsonPath<'_>) -> Vec<i64> {
    let version = file.optional("version").and_then(|version| version.array().ok()).unwrap_or_default();
    version.iter().filter_map(|part| part.whole().ok()).collect()
}

/// Function from a base score in the objective's own terms to a margin.
#[derive(Clone, Copy)]
enum Link {
    Identity,
    Logit,
    Log,
}

fn objective_of(name: &str) -> Result<(Transform, Link), String> {
    Ok(match name {
        "binary:logistic" | "reg:logistic" => (Transform::SigmoidF32, Link::Logit),
        "binary:logitraw" => (Transform::Identity, Link::Identity),
        "binary:hinge" => (Transform::XgboostHinge, Link::Identity),
        "multi:softprob" => (Transform::SoftmaxF32, Link::Identity),
        "multi:softmax" => (Transform::XgboostGreatest, Link::Identity),
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map" => (Transform::Identity, Link::Identity),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (Transform::XgboostExp, Link::Log)
        }
        _ => {
            return Err(format!(
                "{name:?} is not known; binary:logistic, binary:logitraw, binary:hinge, multi:softprob, multi:softmax, \
                 reg:* but expectile, count:poisson, survival:cox, survival:aft and rank:* are"
            ));
        }
    })
}

/// Reads `base_score`, which is text: a number, or since 3.1 an array of one or of as many as there are outputs. It is
/// stored as it was given, so its margin is computed here, in f32 with the platform's `logf`, which is what XGBoost
/// itself calls.
fn base_margins(place: &JsonPath<'_>, outputs: usize, link: Link) -> Result<Vec<f32>, ImportError> {
    let text = match place.value {
        Value::Number(number) => number.to_string(),
        _ => place.text()?.to_owned(),
    };
    let inner = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text);
    let scores: Result<Vec<f32>, _> = inner.split(',').map(|score| score.trim().parse::<f32>()).collect();
    let scores = scores.map_err(|_| place.refuse(format!("{text:?} is no number, and no array of numbers")))?;
    let margin = |score: f32| match link {
        Link::Identity => score,
        Link::Logit => -(1.0 / score - 1.0).ln(),
        Link::Log => score.ln(),
    };
    let margins: Vec<f32> = scores.into_iter().map(margin).collect();
    if let Some(margin) = margins.iter().find(|margin| !margin.is_finite()) {
        return Err(place.refuse(format!("{text:?} gives a margin of {margin}")));
    }
    match margins.as_slice() {
        [one] => Ok(vec![*one; outputs]),
        several if several.len() == outputs => Ok(margins),
        several => Err(place.refuse(format!("{} base scores for {outputs} outputs", several.len()))),
    }
}

/// Returns the first tree of each round, and last the number of trees: the file says where each begins, or trees are
/// evenly spread.
fn round_starts(model: &JsonPath<'_>, trees: usize, outputs: usize) -> Result<Vec<usize>, ImportError> {
    if let Some(starts) = model.optional("iteration_indptr") {
        return starts.numbers(starts.array()?.len(), index);
    }
    let parallel = model.optional("gbtree_model_param").and_then(|model| model.optional("num_parallel_tree"));
    let parallel = parallel.map_or(Ok(1), |place| place.index())?.max(1);
    Ok((0..=trees).step_by(outputs.saturating_mul(parallel)).collect())
}

/// Returns how many trees the first `rounds` have.
fn kept_trees(starts: &[usize], trees: usize, rounds: Option<usize>) -> Result<usize, ImportError> {
    let Some(rounds) = rounds else { return Ok(trees) };
    let kept = starts.get(rounds).copied().filter(|kept| rounds > 0 && *kept <= trees);
    kept.ok_or_else(|| ImportError::new("rounds", format!("the file has {} rounds", starts.len().saturating_sub(1))))
}

/// Reads the values of categories, which files have since 3.1: for each feature that was a column of them in a frame.
/// `None` if the file does not say whether there were any.
fn categories(learner: &JsonPath<'_>, model: &JsonPath<'_>) -> Result<Option<Categories>, ImportError> {
    let mut categories = None;
    for holder in [learner, model] {
        let Some(encoded) = holder.optional("cats").and_then(|categories| categories.optional("enc")) else { continue };
        let own = categories.get_or_insert_with(Categories::default);
        for (feature, column) in encoded.array()?.into_iter().enumerate() {
            // Text has the offsets of its parts, and here only whether there is any is asked.
            let is_text = column.optional("offsets").is_some();
            let values = column.get("values")?;
            let list = values.value.as_array().ok_or_else(|| values.refuse("is not an array"))?;
            let as_text = [Value::String("...".to_owned())];
            own.add(feature, if is_text && !list.is_empty() { &as_text } else { list }, values.path())?;
        }
    }
    Ok(categories)
}

/// One tree's arrays. A left child of -1 marks a leaf, whose value stands in `conditions`.
struct Tree {
    left: Vec<i64>,
    right: Vec<i64>,
    features: Vec<usize>,
    conditions: Vec<f32>,
    default_left: Vec<bool>,
    by_category: Vec<bool>,
    /// For each node its categories; empty for splits by size.
    sets: Vec<Rc<Vec<u32>>>,
    covers: Option<Vec<f32>>,
    weight: f32,
    /// The leaves' values, if each is of all outputs.
    vectors: Option<LeafVectors>,
    /// The places of the nodes that are left, in the file's order; the others were pruned, and stay in the file.
    left_over: Vec<usize>,
}

impl Tree {
    fn read(
        place: &JsonPath<'_>,
        weight: f32,
        categories: Option<&Categories>,
        set_words: &mut usize,
    ) -> Result<Tree, ImportError> {
        let parameters = place.get("tree_param")?;
        if !weight.is_finite() {
            return Err(place.refuse("its weight_drop is not a finite number"));
        }
        let count = place.get("left_children")?.array()?.len();
        let answer = |value: &Value| match value {
            Value::Bool(answer) => Some(*answer),
            Value::Number(number) => number.as_u64().filter(|number| *number <= 1).map(|number| number == 1),
            _ => None,
        };
        let by_category = match place.optional("split_type") {
            Some(kinds) if kinds.value.as_array().is_some_and(|kinds| !kinds.is_empty()) => {
                kinds.numbers(count, answer)?
            }
            _ => vec![false; count],
        };
        let left = place.get("left_children")?.numbers(count, Value::as_i64)?;
        let right = place.get("right_children")?.numbers(count, Value::as_i64)?;
        let deleted = parameters.optional("num_deleted").map_or(Ok(0), |place| place.index())?;
        let features = place.get("split_indices")?.numbers(count, index)?;
        let size = parameters.optional("size_leaf_vector").map_or(Ok(0), |place| place.index())?;
        let tree = Tree {
            vectors: if size > 1 { Some(LeafVectors::read(place, size, &left, &right)?) } else { None },
            left_over: left_over(&left, &right, deleted),
            left,
            right,
            conditions: place.get("split_conditions")?.numbers(count, float)?,
            default_left: place.get("default_left")?.numbers(count, answer)?,
            sets: sets(place, &features, categories, set_words)?,
            features,
            covers: place.optional("sum_hessian").map(|covers| covers.numbers(count, float)).transpose()?,
            by_category,
            weight,
        };
        Ok(tree)
    }

    /// Adds the tree to the forest of an output.
    fn append(&self, forest: &mut Builder<f32>, place: &JsonPath<'_>, output: usize) -> Result<(), ImportError> {
        let in_file = |node: usize| self.left_over.get(node).copied().unwrap_or(node);
        let node_place = |node: usize| format!("{}, node {}", place.path(), in_file(node));
        forest.append(self.left_over.len(), node_place, |node| {
            let source =
                self.source(in_file(node), output).map_err(|reason| ImportError::new(node_place(node), reason))?;
            Ok((source, self.covers.as_ref().map(|covers| covers[in_file(node)])))
        })
    }

    fn source(&self, node: usize, output: usize) -> Result<Source<f32>, String> {
        if self.left[node] == -1 {
            let value = match &self.vectors {
                Some(vectors) => vectors.value(node, output)?,
                None => self.conditions[node],
            };
            return Ok(Source::Leaf(value * self.weight));
        }
        let child = |child: i64| {
            let child = usize::try_from(child).map_err(|_| format!("child {child} is out of range"))?;
            // Where none was pruned a node's place is its number.
            Ok::<usize, String>(match self.left_over.len() == self.left.len() {
                true => child,
                false => self.left_over.binary_search(&child).map_err(|_| format!("child {child} is not there"))?,
            })
        };
        let (left, right) = (child(self.left[node])?, child(self.right[node])?);
        let feature = self.features[node];
        if self.by_category[node] {
            let missing = if self.default_left[node] { Side::Second } else { Side::First };
            return Ok(Source::InSet { feature, set: self.sets[node].clone(), inside: right, outside: left, missing });
        }
        let missing = Missing::To(if self.default_left[node] { Side::First } else { Side::Second });
        Ok(Source::Split { feature, threshold: self.conditions[node], left, right, missing })
    }
}

/// The values of leaves that are of all outputs.
struct LeafVectors {
    /// The number of outputs.
    size: usize,
    values: Vec<f32>,
    /// The place of each node's values; of splits none is asked for.
    places: Vec<usize>,
}

impl LeafVectors {
    fn read(place: &JsonPath<'_>, size: usize, left: &[i64], right: &[i64]) -> Result<LeafVectors, ImportError> {
        // Since 3.2 leaves have values of their own, at the number in place of a right child; before, every node had.
        let leaves =
            place.optional("leaf_weights").filter(|own| own.value.as_array().is_some_and(|own| !own.is_empty()));
        let leaves_only = leaves.is_some();
        let (own, places) = match leaves {
            Some(own) => {
                let leaf = |(left, right): (&i64, &i64)| {
                    if *left == -1 { usize::try_from(*right).unwrap_or(usize::MAX) } else { 0 }
                };
                (own, left.iter().zip(right).map(leaf).collect())
            }
            None => (place.get("base_weights")?, (0..left.len()).collect()),
        };
        // As many as there are, lest a tree of few numbers is laid out for many outputs.
        let vectors = if leaves_only { left.iter().filter(|left| **left == -1).count() } else { left.len() };
        let values = own.numbers(vectors.saturating_mul(size), float)?;
        Ok(LeafVectors { size, values, places })
    }

    fn value(&self, node: usize, output: usize) -> Result<f32, String> {
        let place = self.places[node].checked_mul(self.size).and_then(|start| start.checked_add(output));
        let value = place.and_then(|place| self.values.get(place)).copied();
        value.ok_or_else(|| "the leaf's values are not there".to_owned())
    }
}

/// Finds the nodes that are left of a tree of which so many were deleted: those that the root leads to. All of them if
/// the number is not that of the others, which is then refused where it is wrong.
fn left_over(left: &[i64], right: &[i64], deleted: usize) -> Vec<usize> {
    let all = || (0..left.len()).collect();
    if deleted == 0 {
        return all();
    }
    let mut is_reached = vec![false; left.len()];
    let mut waiting = vec![0];
    while let Some(node) = waiting.pop() {
        match is_reached.get_mut(node) {
            Some(reached) if !*reached => *reached = true,
            _ => continue,
        }
        let children = [left.get(node), right.get(node)].into_iter().flatten();
        waiting.extend(children.filter_map(|child| usize::try_from(*child).ok()));
    }
    let reached: Vec<usize> = (0..left.len()).filter(|node| is_reached[*node]).collect();
    if reached.len() + deleted == left.len() { reached } else { all() }
}

/// Reads the sets of categories: `categories` holds all behind one another, and node `categories_nodes[i]` has
/// `categories_sizes[i]` of them from `categories_segments[i]`.
fn sets(
    place: &JsonPath<'_>,
    features: &[usize],
    values: Option<&Categories>,
    words_left: &mut usize,
) -> Result<Vec<Rc<Vec<u32>>>, ImportError> {
    let Some(nodes) = place.optional("categories_nodes") else { return Ok(vec![Rc::default(); features.len()]) };
    let mut sets = vec![CategorySet::default(); features.len()];
    let nodes_count = nodes.array()?.len();
    let numbers = |key: &str, count: usize| place.get(key)?.numbers(count, index);
    let (segments, sizes) = (numbers("categories_segments", nodes_count)?, numbers("categories_sizes", nodes_count)?);
    let all = place.get("categories")?;
    let categories = numbers("categories", all.array()?.len())?;
    for ((node, segment), size) in nodes.numbers(nodes_count, index)?.into_iter().zip(segments).zip(sizes) {
        let own = segment.checked_add(size).and_then(|end| categories.get(segment..end));
        let own = own.ok_or_else(|| all.refuse(format!("{size} categories from {segment} are out of range")))?;
        let set = sets.get_mut(node).ok_or_else(|| nodes.refuse(format!("node {node} is out of range")))?;
        for &code in own {
            let category = values.map_or(Ok(code), |values| values.value(features[node], code));
            category.and_then(|category| set.insert(category, words_left)).map_err(|reason| all.refuse(reason))?;
        }
    }
    Ok(sets.into_iter().map(|set| Rc::new(set.0)).collect())
}
