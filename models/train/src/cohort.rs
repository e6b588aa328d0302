//! A synthetic cohort of people with bipolar disorder who record daily check-ins.
//!
//! **None of it is data about anyone.** It is a generative model, seeded, whose constants come from published
//! figures where there are any, and are guesses, marked so, where there are none:
//!
//! - *Time in each state.* Euthymia 53 %, depression 32 %, mania or hypomania 9 %, mixed or cycling 6 % of weeks:
//!   Judd et al., Arch Gen Psychiatry 2002;59:530 (bipolar I, 12.8 years of follow-up).
//! - *Episode length.* Median about 13 weeks over all episodes, mania shorter than depression: Solomon et al., Arch
//!   Gen Psychiatry 2010;67:339. Mean days used: depression 105, mania 49, mixed 60.
//! - *Onsets.* The daily hazard of leaving euthymia follows from the two lines above. It rises when medication is
//!   missed and under stress (direction: Altman et al. 2006; size: a guess).
//! - *Prodrome.* Symptoms drift towards the next state before it begins, over weeks: Jackson et al., J Affect
//!   Disord 2003;74:209. 5 to 14 days used.
//! - *Sleep.* Insomnia complaints in 55 % of euthymic patients: Harvey et al., Am J Psychiatry 2005;162:50. Reduced
//!   need for sleep in mania, hypersomnia in part of the depressed: Harvey, Am J Psychiatry 2008;165:820.
//! - *Adherence.* About 40 % non-adherent (20 to 60 %): Lingam and Scott, Acta Psychiatr Scand 2002;105:164.
//! - *Suicidal ideation.* Far more frequent in mixed and depressed states than in euthymia: Valtonen et al., Bipolar
//!   Disord 2006;8:576. Daily rates used are guesses, chosen so that the model has positive rows to learn from;
//!   they are no estimate of anyone's risk.
//! - *Means and spreads of the answers by state*: guesses that order the states as clinicians describe them.

use features::{CheckIn, FIELDS, field_index};
use jiff::civil::Date;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, Geometric, Normal};

/// Days simulated a person. Rows are taken from the middle, so that history and future are there.
pub const DAYS: usize = 120;

/// A mood state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Neither mania nor depression.
    Euthymia,
    /// Mania or hypomania.
    Mania,
    /// Depression.
    Depression,
    /// Mania and depression at once.
    Mixed,
}

impl State {
    /// Every state, in the order of the model's classes.
    pub const ALL: [State; 4] = [State::Euthymia, State::Mania, State::Depression, State::Mixed];

    /// Returns the class's name.
    pub fn name(self) -> &'static str {
        match self {
            State::Euthymia => "euthymia",
            State::Mania => "mania",
            State::Depression => "depression",
            State::Mixed => "mixed",
        }
    }

    /// Returns the mean length of an episode in days.
    fn mean_days(self) -> f64 {
        match self {
            State::Euthymia => f64::INFINITY,
            State::Mania => 49.0,
            State::Depression => 105.0,
            State::Mixed => 60.0,
        }
    }
}

/// Share of time in each state, in the order of [`State::ALL`].
const TIME_SHARE: [f64; 4] = [0.53, 0.09, 0.32, 0.06];

/// Distribution of the answers to one field: mean in each state in the order of [`State::ALL`], spread between people,
/// spread between days. For yes/no fields the means are probabilities and the spreads are unused.
struct Answer {
    field: &'static str,
    mean: [f64; 4],
    between_people: f64,
    between_days: f64,
}

const fn answer(field: &'static str, mean: [f64; 4], between_people: f64, between_days: f64) -> Answer {
    Answer { field, mean, between_people, between_days }
}

/// Fields that depend on another answer or on the days before, drawn in [`Person::record`] and [`Person::live`].
const DEPENDENT: [&str; 9] = [
    "nappingDurationMin",
    "tasksCompleted",
    "compulsionIntensity",
    "substanceUnits",
    "caffeineDoses",
    "medicationAdherence",
    "medicationTiming",
    "medicationChangeRecent",
    "contextualStressors",
];

/// Tells whether the cohort answers a field. One that it does not answer is missing on every day and takes nothing from
/// the random numbers, so that adding a field changes neither the people nor the models trained on them.
pub fn is_simulated(field: &str) -> bool {
    DEPENDENT.contains(&field) || ANSWERS.iter().any(|answer| answer.field == field)
}

/// The fields that depend on nothing but the person and their state.
const ANSWERS: [Answer; 27] = [
    answer("hoursSlept", [7.2, 4.9, 8.6, 5.4], 0.8, 1.1),
    answer("sleepQuality", [6.2, 5.2, 3.9, 3.0], 1.1, 1.5),
    answer("perceivedSleepNeed", [7.8, 5.4, 9.2, 6.8], 0.7, 0.8),
    answer("sleepHygiene", [6.0, 3.9, 4.4, 3.6], 1.4, 1.3),
    answer("hasNapped", [0.18, 0.08, 0.42, 0.2], 0.0, 0.0),
    answer("energyLevel", [5.6, 8.1, 2.9, 6.3], 0.9, 1.3),
    answer("depressedMood", [2.3, 1.7, 6.7, 6.0], 0.9, 1.3),
    answer("anxietyStress", [3.3, 4.3, 5.6, 7.0], 1.2, 1.4),
    answer("elevation", [2.5, 7.0, 1.2, 4.9], 0.8, 1.3),
    answer("activation", [3.3, 7.4, 2.0, 6.6], 0.9, 1.4),
    answer("motivationToStart", [5.5, 7.9, 2.7, 4.7], 1.0, 1.4),
    answer("thoughtSpeed", [4.2, 7.7, 3.0, 7.2], 0.9, 1.3),
    answer("distractibility", [3.7, 6.9, 5.2, 7.0], 1.1, 1.4),
    answer("memoryConcentration", [6.2, 5.0, 3.7, 3.7], 1.0, 1.3),
    answer("ruminationAxis", [3.1, 3.2, 6.4, 6.7], 1.1, 1.4),
    answer("socialConnection", [5.7, 7.0, 3.0, 4.5], 1.3, 1.5),
    answer("socialRhythmEvent", [0.12, 0.42, 0.2, 0.4], 0.0, 0.0),
    answer("exerciseDurationMin", [28.0, 42.0, 9.0, 20.0], 14.0, 20.0),
    answer("exerciseFeeling", [6.2, 7.6, 3.9, 4.8], 1.1, 1.4),
    answer("sexualRiskBehavior", [0.02, 0.2, 0.02, 0.12], 0.0, 0.0),
    answer("tasksPlanned", [5.0, 9.0, 3.2, 7.0], 1.5, 1.6),
    answer("generalAppetite", [5.6, 4.7, 4.2, 4.3], 1.1, 1.5),
    answer("dietTracking", [0.35, 0.22, 0.15, 0.15], 0.0, 0.0),
    answer("skipMeals", [0.14, 0.42, 0.38, 0.46], 0.0, 0.0),
    answer("compulsionEpisode", [0.06, 0.26, 0.14, 0.28], 0.0, 0.0),
    answer("substanceUsage", [0.14, 0.34, 0.22, 0.36], 0.0, 0.0),
    answer("libido", [5.0, 7.6, 2.8, 5.4], 1.2, 1.3),
];

/// A day as it was, whether or not the person recorded it.
#[derive(Clone, Debug)]
pub struct Day {
    /// The state the person was in.
    pub state: State,
    /// Answers to every question, before some are left out.
    answers: [f32; FIELDS.len()],
    /// Suicidal ideation was present.
    pub ideation: bool,
    /// The check-in: some answers left out, or none made.
    pub checkin: Option<CheckIn>,
}

impl Day {
    /// Returns the true answer to a field.
    pub fn truth(&self, field: &str) -> f32 {
        field_index(field).map_or(f32::NAN, |index| self.answers[index])
    }
}

/// One synthetic person's days, [`DAYS`] of them.
pub struct History {
    /// One entry a day.
    pub days: Vec<Day>,
    /// Chronic insomnia between episodes.
    pub insomnia: bool,
}

/// The last calendar day of every history.
const LAST_DATE: Date = Date::constant(2026, 1, 31);

/// Simulates person `index` of the cohort with this seed: always the same one, however many others are made.
pub fn person(seed: u64, index: u64) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    Person::draw(&mut rng).live(&mut rng, index)
}

/// Traits of a person that do not change.
struct Person {
    /// Added to each field's mean.
    offsets: [f64; FIELDS.len()],
    /// Probability of taking the medication on a euthymic day.
    adherence: f64,
    /// Multiplies the hazard of an episode.
    vulnerability: f64,
    /// Added to the log-odds of ideation.
    ideation: f64,
    /// Probability of leaving one question out.
    skips_question: f64,
    /// Probability of recording a day at all.
    records_day: f64,
    /// Chronic insomnia between episodes.
    insomnia: bool,
    takes_caffeine: f64,
}

impl Person {
    fn draw(rng: &mut ChaCha8Rng) -> Person {
        let mut offsets = [0.0; FIELDS.len()];
        for answer in &ANSWERS {
            if let Some(index) = field_index(answer.field) {
                offsets[index] = normal(rng, 0.0, answer.between_people);
            }
        }
        Person {
            offsets,
            adherence: Beta::new(5.0, 1.2).map_or(0.8, |beta| beta.sample(rng)),
            vulnerability: normal(rng, 0.0, 0.5).exp(),
            ideation: normal(rng, 0.0, 0.9),
            skips_question: rng.random_range(0.0..0.12),
            records_day: rng.random_range(0.75..1.0),
            insomnia: rng.random_bool(0.55),
            takes_caffeine: rng.random_range(0.0..4.0),
        }
    }

    fn live(&self, rng: &mut ChaCha8Rng, index: u64) -> History {
        let mut state = pick(rng, &TIME_SHARE);
        let mut next: Option<(State, usize, usize)> = None; // the coming state, its first day, the prodrome's days
        let mut change_days_left = 0u32;
        let mut missed_yesterday = false;
        let mut days: Vec<Day> = Vec::with_capacity(DAYS);
        for day in 0..DAYS {
            if let Some((coming, first_day, _)) = next
                && day >= first_day
            {
                state = coming;
                next = None;
            }
            let stressors = rng.random_bool(0.12);
            let missed_week = days.iter().rev().take(7).filter(|day| day.truth("medicationAdherence") == 0.0).count();
            if next.is_none() {
                next = self.onset(rng, state, missed_week as f64 / 7.0, stressors, day);
            }
            // How far the coming state already shows.
            let (coming, share) = match next {
                Some((coming, first_day, length)) => {
                    (coming, 0.75 * (1.0 - (first_day - day) as f64 / (length + 1) as f64))
                }
                None => (state, 0.0),
            };
            change_days_left = change_days_left.saturating_sub(1);
            if rng.random_bool(if state == State::Euthymia { 0.008 } else { 0.025 }) {
                change_days_left = 14;
            }
            let mut adherence = self.adherence
                - match state {
                    State::Euthymia => 0.0,
                    State::Mania => 0.22,
                    State::Depression => 0.08,
                    State::Mixed => 0.15,
                };
            // Missed doses come in runs.
            if missed_yesterday {
                adherence -= 0.25;
            }
            let taken = rng.random_bool(adherence.clamp(0.03, 0.99));
            missed_yesterday = !taken;
            let mut answers = self.record(rng, state, coming, share);
            set(&mut answers, "medicationAdherence", yes(taken));
            set(&mut answers, "medicationTiming", yes(taken && rng.random_bool(0.8)));
            set(&mut answers, "medicationChangeRecent", yes(change_days_left > 0));
            set(&mut answers, "contextualStressors", yes(stressors));
            let ideation = self.has_ideation(rng, state, &answers);
            let checkin = self.check_in(rng, &answers, index, day);
            days.push(Day { state, answers, ideation, checkin });
        }
        History { days, insomnia: self.insomnia }
    }

    /// Draws if an episode, or its end, is under way from today: the coming state, its first day, the days of prodrome.
    fn onset(
        &self,
        rng: &mut ChaCha8Rng,
        state: State,
        missed_share: f64,
        stressors: bool,
        day: usize,
    ) -> Option<(State, usize, usize)> {
        let prodrome = rng.random_range(5..=14);
        if state == State::Euthymia {
            // In balance, onsets of a state a euthymic day are its share of time over its length and over
            // the share of euthymia.
            let rate = |state: State, share: f64| share / state.mean_days() / TIME_SHARE[0];
            let rates: Vec<f64> = State::ALL.iter().zip(TIME_SHARE).map(|(state, share)| rate(*state, share)).collect();
            let hazard: f64 = rates.iter().sum::<f64>()
                * self.vulnerability
                * (0.7 + 2.5 * missed_share)
                * if stressors { 1.8 } else { 0.9 };
            return rng.random_bool(hazard.min(0.5)).then(|| (pick(rng, &rates), day + prodrome, prodrome));
        }
        let length = Geometric::new(1.0 / state.mean_days()).map_or(0, |days| days.sample(rng));
        if length > 0 {
            return None;
        }
        // Most episodes end in euthymia, some in another pole.
        let coming = match state {
            _ if rng.random_bool(0.85) => State::Euthymia,
            State::Depression => State::Mania,
            _ => State::Depression,
        };
        Some((coming, day + prodrome, prodrome))
    }

    fn record(&self, rng: &mut ChaCha8Rng, state: State, coming: State, share: f64) -> [f32; FIELDS.len()] {
        let mut answers = [f32::NAN; FIELDS.len()];
        // One deviation a day that several answers share: a bad day is bad all over.
        let whole_day = normal(rng, 0.0, 0.35);
        for answer in &ANSWERS {
            let Some(index) = field_index(answer.field) else { continue };
            let mean = answer.mean[state as usize] * (1.0 - share) + answer.mean[coming as usize] * share;
            answers[index] = match FIELDS[index].range {
                features::Range::YesNo => yes(rng.random_bool(mean)),
                range => {
                    let mut value = mean + self.offsets[index] + normal(rng, 0.0, answer.between_days);
                    value += match answer.field {
                        "depressedMood" | "anxietyStress" | "ruminationAxis" => whole_day,
                        "sleepQuality" | "energyLevel" | "motivationToStart" => -whole_day,
                        _ => 0.0,
                    };
                    if self.insomnia && answer.field == "hoursSlept" {
                        value -= 0.7;
                    }
                    if self.insomnia && answer.field == "sleepQuality" {
                        value -= 1.2;
                    }
                    rounded(value, answer.field, range)
                }
            };
        }
        let napped = get(&answers, "hasNapped") == 1.0;
        set(
            &mut answers,
            "nappingDurationMin",
            if napped { (normal(rng, 45.0, 25.0).max(5.0) / 5.0).round() as f32 * 5.0 } else { 0.0 },
        );
        let episode = get(&answers, "compulsionEpisode") == 1.0;
        set(
            &mut answers,
            "compulsionIntensity",
            if episode { normal(rng, 5.5, 1.8).clamp(1.0, 10.0).round() as f32 } else { 0.0 },
        );
        let used = get(&answers, "substanceUsage") == 1.0;
        set(&mut answers, "substanceUnits", if used { normal(rng, 2.5, 1.5).max(1.0).round() as f32 } else { 0.0 });
        set(&mut answers, "caffeineDoses", normal(rng, self.takes_caffeine, 0.8).max(0.0).round() as f32);
        let done = (0.35 + 0.06 * f64::from(get(&answers, "motivationToStart"))
            - 0.03 * f64::from(get(&answers, "distractibility")))
        .clamp(0.05, 0.95);
        let planned = get(&answers, "tasksPlanned") as u32;
        set(&mut answers, "tasksCompleted", (0..planned).filter(|_| rng.random_bool(done)).count() as f32);
        answers
    }

    fn has_ideation(&self, rng: &mut ChaCha8Rng, state: State, answers: &[f32; FIELDS.len()]) -> bool {
        let value = |field| f64::from(get(answers, field));
        let log_odds = -7.0
            + self.ideation
            + match state {
                State::Euthymia => 0.0,
                State::Mania => 0.3,
                State::Depression => 1.4,
                State::Mixed => 1.9,
            }
            + 0.22 * (value("anxietyStress") - 4.0)
            + 0.22 * (value("ruminationAxis") - 4.0)
            + 0.25 * (value("depressedMood") - 3.0)
            + 0.5 * value("substanceUsage")
            + if value("hoursSlept") < 5.0 { 0.5 } else { 0.0 }
            - 0.15 * (value("socialConnection") - 5.0);
        rng.random_bool(1.0 / (1.0 + (-log_odds).exp()))
    }

    fn check_in(&self, rng: &mut ChaCha8Rng, answers: &[f32; FIELDS.len()], index: u64, day: usize) -> Option<CheckIn> {
        let recorded = rng.random_bool(self.records_day);
        let mut skipped = |value: f32| value.is_nan() || rng.random_bool(self.skips_question);
        let values = answers.map(|value| if skipped(value) { f32::NAN } else { value });
        let date = LAST_DATE.checked_sub(jiff::Span::new().days((DAYS - 1 - day) as i64)).ok()?;
        recorded.then(|| CheckIn { id: format!("{index}-{day}"), date, values })
    }
}

fn normal(rng: &mut ChaCha8Rng, mean: f64, deviation: f64) -> f64 {
    Normal::new(mean, deviation).map_or(mean, |normal| normal.sample(rng))
}

fn pick(rng: &mut ChaCha8Rng, weights: &[f64]) -> State {
    let mut at = rng.random_range(0.0..weights.iter().sum());
    for (state, weight) in State::ALL.iter().zip(weights) {
        if at < *weight {
            return *state;
        }
        at -= weight;
    }
    State::Euthymia
}

/// Rounds to the steps of the app's sliders: half hours of sleep, five minutes of exercise, whole points elsewhere.
fn rounded(value: f64, field: &str, range: features::Range) -> f32 {
    let step = match field {
        "hoursSlept" | "perceivedSleepNeed" => 0.5,
        "exerciseDurationMin" => 5.0,
        _ => 1.0,
    };
    let max = match range {
        features::Range::UpTo(max) => f64::from(max),
        _ => f64::INFINITY,
    };
    (((value / step).round() * step).clamp(0.0, max)) as f32
}

fn yes(answer: bool) -> f32 {
    f32::from(u8::from(answer))
}

fn get(answers: &[f32; FIELDS.len()], field: &str) -> f32 {
    field_index(field).map_or(f32::NAN, |index| answers[index])
}

fn set(answers: &mut [f32; FIELDS.len()], field: &str, value: f32) {
    if let Some(index) = field_index(field) {
        answers[index] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_are_simulated_are_answered_every_day_and_no_others() {
        for day in person(1, 1).days {
            for field in FIELDS {
                assert_eq!(is_simulated(field.name), !day.truth(field.name).is_nan(), "{}", field.name);
            }
        }
    }
}
