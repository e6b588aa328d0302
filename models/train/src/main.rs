//! `cargo xtask train`: makes the cohort, trains the five models, writes `models/<name>/` and the demo cohort.
//! Deterministic: equal sources give equal bytes, run after run.

use anyhow::{Context, Result, ensure};
use bipolar_edge_models::card::{Card, Display, Output, Quality, RiskLevels, Training};
use features::{FEATURES, Language};
use forest::import::Library;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use train::fit::TrainedForest;
use train::task::{Example, HELD_OUT, SEED, TRAINING, Task, VALIDATION, examples, known_features};
use train::{attributes, demo, evaluate, fit, groups, heuristics};

/// Looks at the people of each split, and the features that models are trained on, by their places in [`FEATURES`].
struct Cohort {
    training: Vec<Example>,
    validation: Vec<Example>,
    held_out: Vec<Example>,
    features: Vec<usize>,
}

fn main() -> Result<()> {
    let root = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    ensure!(root.join("models").is_dir(), "{} has no models folder: name the repository's root", root.display());
    let start = Instant::now();
    demo::write(&root.join("src/checkins/demo.csv"))?;
    let [training, validation, held_out] = [TRAINING, VALIDATION, HELD_OUT].map(examples);
    let features = known_features(&training);
    let cohort = Cohort { training, validation, held_out, features };
    println!(
        "cohort: {} rows to learn from, {} to choose the size on, {} held out ({:.1} s)",
        cohort.training.len(),
        cohort.validation.len(),
        cohort.held_out.len(),
        start.elapsed().as_secs_f32()
    );
    std::thread::scope(|scope| {
        let (cohort, root) = (&cohort, &root);
        let handles = Task::ALL.map(|task| scope.spawn(move || train(task, cohort, root)));
        for handle in handles {
            println!("{}", handle.join().map_err(|_| anyhow::anyhow!("a trainer stopped with a panic"))??);
        }
        anyhow::Ok(())
    })?;
    println!("done in {:.0} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Trains, evaluates and writes one model; returns a report. A model that does not beat its heuristic is not written.
fn train(task: Task, cohort: &Cohort, root: &Path) -> Result<String> {
    let output = output(task);
    // One file with the event's probability, or one file a class.
    let files: Vec<(String, usize)> = match &output {
        Output::Classes { classes, .. } => {
            classes.iter().enumerate().map(|(label, class)| (format!(".{class}"), label)).collect()
        }
        Output::Risk { .. } => vec![(String::new(), 1)],
    };
    let fit =
        |(_, label): &(String, usize)| fit::fit(task, *label, &cohort.features, &cohort.training, &cohort.validation);
    let fitted = files.iter().map(fit).collect::<Result<Vec<TrainedForest>>>()?;
    let quality = quality(task, &output, cohort, &fitted)?;

    let trees: Vec<usize> = fitted.iter().map(|fitted| fitted.forest.forest().parts().roots.len()).collect();
    let (model, heuristic) = (&quality.model, &quality.heuristic);
    let report = format!("{:26} trees {trees:?}\n  model     {model:?}\n  heuristic {heuristic:?}", task.name());
    ensure!(
        model.auroc > heuristic.auroc && model.brier < heuristic.brier,
        "{report}\n  does not beat its heuristic and is not shipped"
    );

    let folder = root.join("models").join(task.name());
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("card.toml"), toml::to_string(&card(task, output, cohort, quality))?)?;
    for ((suffix, _), fitted) in files.iter().zip(&fitted) {
        std::fs::write(folder.join(format!("model{suffix}.json")), &fitted.bytes)?;
        std::fs::write(folder.join(format!("covers{suffix}.json")), serde_json::to_vec(&fitted.covers)?)?;
    }
    Ok(report)
}

/// Measures the forests and the heuristic that they replace on the people held out.
fn quality(task: Task, output: &Output, cohort: &Cohort, fitted: &[TrainedForest]) -> Result<Quality> {
    let held_out = &cohort.held_out;
    let labels: Vec<usize> = held_out.iter().map(|example| example.labels[task.index()]).collect();
    let probabilities = probabilities(fitted, cohort).context("a row does not fit the model")?;
    let rules: Vec<Vec<f32>> = held_out.iter().map(|example| heuristics::predict(task, &example.row)).collect();
    let (confusion_labels, threshold) = match output {
        Output::Classes { classes, .. } => (classes.clone(), 0.5),
        Output::Risk { event, no_event, decision_threshold, .. } => {
            (vec![no_event.clone(), event.clone()], *decision_threshold as f32)
        }
    };
    Ok(Quality {
        people: HELD_OUT.count() as u32,
        rows: held_out.len() as u32,
        model: evaluate::measures(&probabilities, &labels, task.labels()),
        heuristic: evaluate::measures(&rules, &labels, task.labels()),
        confusion_labels,
        confusion: evaluate::confusion(&probabilities, &labels, task.labels(), threshold),
        calibration: evaluate::calibration(&probabilities, &labels, task.labels()),
        groups: groups::measured(task, held_out, &probabilities),
    })
}

/// The forests' probability of each label for each row held out. `None` if a row does not fit.
fn probabilities(fitted: &[TrainedForest], cohort: &Cohort) -> Option<Vec<Vec<f32>>> {
    let sigmoid = |margin: f32| 1.0 / (1.0 + (-2.0 * margin).exp());
    let of = |example: &Example| {
        let inputs = example.inputs(&cohort.features);
        let each = fitted.iter().map(|fitted| fitted.forest.forest().margin(&inputs).map(sigmoid));
        let each = each.collect::<Option<Vec<f32>>>()?;
        let total: f32 = each.iter().sum();
        Some(match each.as_slice() {
            [event] => vec![1.0 - event, *event],
            classes => classes.iter().map(|class| class / total).collect(),
        })
    };
    cohort.held_out.iter().map(of).collect()
}

fn card(task: Task, output: Output, cohort: &Cohort, quality: Quality) -> Card {
    Card {
        version: format!("{}_v1", task.name()),
        title: title(task).into(),
        draft: false,
        position: task.index() as u32 + 1,
        format: Library::Gbdt,
        rounds: None,
        transform: None,
        licence: "Apache-2.0".into(),
        warnings: vec![
            "Trained on a synthetic cohort: it has never seen a person. Not a medical device.".into(),
            "The figures of quality hold for synthetic people only.".into(),
        ],
        sensitive: task == Task::SuicidalityRisk,
        features: cohort.features.iter().map(|&place| FEATURES[place].name.to_owned()).collect(),
        critical: critical(task).iter().map(|&name| name.to_owned()).collect(),
        min_days: None,
        min_answered: None,
        // It speaks of three days: from older check-ins it would speak of the past.
        max_checkin_age_days: (task == Task::SleepDisturbanceRisk).then_some(3),
        output,
        risk_levels: risk_levels(task),
        display: display(task),
        source_attributes: attributes::attributes(task),
        training: Some(Training {
            data: format!("Synthetic cohort of models/train/src/cohort.rs, seed {SEED}; one person in one split only"),
            trained_with: "gbdt 0.1.3, cargo xtask train".into(),
            people: TRAINING.count() as u32,
            rows: cohort.training.len() as u32,
            selection: format!("number of trees with the least log loss on {} other people", VALIDATION.count()),
        }),
        quality: Some(quality),
    }
}

/// The words for people, in English and in Portuguese.
fn display(task: Task) -> BTreeMap<String, Display> {
    let (names, labels): ([&str; 2], &[[&str; 3]]) = match task {
        Task::MoodState => (
            ["Mood state", "Estado de humor"],
            &[
                ["euthymia", "euthymia", "eutimia"],
                ["mania", "mania", "mania"],
                ["depression", "depression", "depressão"],
                ["mixed", "mixed state", "estado misto"],
            ],
        ),
        Task::RelapseRisk => {
            (["Relapse", "Recaída"], &[["relapse", "relapse", "recaída"], ["no_relapse", "no relapse", "sem recaída"]])
        }
        Task::SuicidalityRisk => (
            ["Suicidality", "Suicidalidade"],
            &[["elevated", "elevated", "risco elevado"], ["not_elevated", "not elevated", "risco não elevado"]],
        ),
        Task::MedicationAdherenceRisk => (
            ["Missed medication", "Doses não tomadas"],
            &[
                ["adherent", "medication taken", "medicação tomada"],
                ["non_adherent", "doses missed", "doses não tomadas"],
            ],
        ),
        Task::SleepDisturbanceRisk => (
            ["Disturbed sleep", "Sono alterado"],
            &[["disturbed", "disturbed", "alterado"], ["undisturbed", "undisturbed", "sem alteração"]],
        ),
    };
    let of = |(at, language): (usize, Language)| {
        let labels = labels.iter().map(|label| (label[0].to_owned(), label[at + 1].to_owned())).collect();
        (language.tag().to_owned(), Display { name: names[at].to_owned(), labels })
    };
    Language::ALL.into_iter().enumerate().map(of).collect()
}

fn title(task: Task) -> &'static str {
    match task {
        Task::MoodState => "Mood state on the day of the latest check-in",
        Task::RelapseRisk => "Risk that a new episode, or another pole, begins within 14 days",
        Task::SuicidalityRisk => "Risk of suicidal ideation within 7 days",
        Task::MedicationAdherenceRisk => "Risk of two or more missed doses within 7 days",
        Task::SleepDisturbanceRisk => "Risk of two or more disturbed nights within 3 days",
    }
}

fn output(task: Task) -> Output {
    let risk = |event: &str, no_event: &str, decision_threshold, horizon_days| Output::Risk {
        event: event.into(),
        no_event: no_event.into(),
        decision_threshold,
        horizon_days,
    };
    match task {
        Task::MoodState => Output::Classes {
            classes: train::cohort::State::ALL.iter().map(|state| state.name().to_owned()).collect(),
            reference_class: "euthymia".into(),
        },
        Task::RelapseRisk => risk("relapse", "no_relapse", 0.2, 14),
        Task::SuicidalityRisk => risk("elevated", "not_elevated", 0.2, 7),
        Task::MedicationAdherenceRisk => risk("non_adherent", "adherent", 0.5, 7),
        Task::SleepDisturbanceRisk => risk("disturbed", "undisturbed", 0.5, 3),
    }
}

/// Returns the features without which there is no prediction: the means of the answers that it is about.
fn critical(task: Task) -> &'static [&'static str] {
    match task {
        Task::MoodState => &["depressedMood_mean", "energyLevel_mean"],
        Task::RelapseRisk => &["depressedMood_mean", "hoursSlept_mean"],
        Task::SuicidalityRisk => &["depressedMood_mean"],
        Task::MedicationAdherenceRisk => &["medicationAdherence_mean"],
        Task::SleepDisturbanceRisk => &["hoursSlept_mean"],
    }
}

/// Returns cautious levels by kind: a missed suicidal crisis costs more than a missed bad night.
fn risk_levels(task: Task) -> RiskLevels {
    let (medium, high, critical) = match task {
        Task::MoodState => (0.3, 0.6, 0.95),
        Task::RelapseRisk => (0.1, 0.2, 0.4),
        Task::SuicidalityRisk => (0.08, 0.2, 0.45),
        Task::MedicationAdherenceRisk | Task::SleepDisturbanceRisk => (0.3, 0.6, 0.85),
    };
    RiskLevels { medium, high, critical }
}
