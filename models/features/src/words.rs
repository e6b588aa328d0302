//! Words for people: the languages, the words of the statistics that features are, and what a feature's value says as
//! part of a sentence. The words of a field stand beside it, in [`FIELDS`].

use crate::checkin::{FIELDS, Unit};
use crate::feature::{FEATURES, FeatureKind};

/// A language that texts for people are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Brazilian Portuguese.
    Portuguese,
}

impl Language {
    /// Every language, in the order in which texts are listed.
    pub const ALL: [Language; 2] = [Language::English, Language::Portuguese];

    /// Returns the language tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Portuguese => "pt-BR",
        }
    }

    /// Returns the text in this language.
    pub fn pick<'a, T: ?Sized>(self, texts: &[&'a T; Language::ALL.len()]) -> &'a T {
        match self {
            Language::English => texts[0],
            Language::Portuguese => texts[1],
        }
    }
}

/// The words for a field in one language.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Words {
    /// Its name, as a label has it.
    pub label: &'static str,
    /// It as the subject of a sentence, in the singular; empty where the answers are no and yes.
    pub subject: &'static str,
    /// The word for answers near the least; the sentence for no.
    pub low: &'static str,
    /// The word for answers near the most; the sentence for yes.
    pub high: &'static str,
}

impl Words {
    pub(crate) const fn new([label, subject, low, high]: [&'static str; 4]) -> Words {
        Words { label, subject, low, high }
    }
}

/// The words of the statistics in one language. In the texts `{s}` is a field's subject or, where the answers are no
/// and yes, its sentence; `{v}` a value with its unit, `{l}` its label.
#[derive(Debug)]
pub struct StatisticWords {
    /// Labels of the three statistics of a field's history.
    pub mean_label: &'static str,
    /// The label of [`FeatureKind::Change`].
    pub change_label: &'static str,
    /// The label of [`FeatureKind::Trend`].
    pub trend_label: &'static str,
    /// Labels of the features that are of no one field, in the order of [`FeatureKind`].
    pub other_labels: [&'static str; 6],
    decimal_point: char,
    /// Units of values, and of differences, for one and for several.
    of_ten: &'static str,
    points: [&'static str; 2],
    hours: [&'static str; 2],
    minutes: [&'static str; 2],
    latest: &'static str,
    earlier: &'static str,
    value: &'static str,
    mean: &'static str,
    mean_of_yes: &'static str,
    period: &'static str,
    /// Smaller than, the same as, and larger than before.
    change: [&'static str; 3],
    change_of_yes: [&'static str; 3],
    trend: [&'static str; 3],
    trend_of_yes: [&'static str; 3],
    task_completion: &'static str,
    short_sleep: [&'static str; 3],
    missed_dose: [&'static str; 3],
    days_since: [&'static str; 3],
    checkin_count: [&'static str; 3],
    window_days: [&'static str; 3],
}

/// The words of the statistics, by [`Language`].
pub static STATISTICS: [StatisticWords; Language::ALL.len()] = [
    StatisticWords {
        mean_label: "{l}, mean",
        change_label: "{l}, change",
        trend_label: "{l}, trend a day",
        other_labels: [
            "share of tasks completed",
            "short nights in a row",
            "missed doses in a row",
            "days since the check-in before",
            "check-ins in the window",
            "days in the window",
        ],
        decimal_point: '.',
        of_ten: "{v} of 10",
        points: ["{v} point", "{v} points"],
        hours: ["{v} hour", "{v} hours"],
        minutes: ["{v} minute", "{v} minutes"],
        latest: " at the latest check-in",
        earlier: " at this check-in",
        value: "{s} was {v}",
        mean: "{s} averaged {v}",
        mean_of_yes: "{s} on {v} of the days answered",
        period: " over the last {v} days",
        change: [
            "{s} fell by {v} against the days before",
            "{s} was as on the days before",
            "{s} rose by {v} against the days before",
        ],
        change_of_yes: [
            "{s}, unlike on days before",
            "{l} was as on the days before",
            "{s}, unlike on some days before",
        ],
        trend: ["{s} fell by {v} a day", "{s} neither rose nor fell", "{s} rose by {v} a day"],
        trend_of_yes: ["{s} less and less often", "{l} was neither more nor less frequent", "{s} more and more often"],
        task_completion: "{v} of the tasks planned were completed",
        short_sleep: [
            "the latest night was not under 6 hours",
            "the latest night was under 6 hours",
            "the latest {v} nights were under 6 hours",
        ],
        missed_dose: [
            "medication was not missed at the latest check-in",
            "medication was missed at the latest check-in",
            "medication was missed at the latest {v} check-ins",
        ],
        days_since: [
            "the check-in before was of the same day",
            "the check-in before was 1 day earlier",
            "the check-in before was {v} days earlier",
        ],
        checkin_count: ["there were no check-ins", "there was 1 check-in", "there were {v} check-ins"],
        window_days: ["no day before counts", "1 day before counts", "{v} days before count"],
    },
    StatisticWords {
        mean_label: "{l}, média",
        change_label: "{l}, mudança",
        trend_label: "{l}, tendência por dia",
        other_labels: [
            "parcela de tarefas concluídas",
            "noites curtas seguidas",
            "doses perdidas seguidas",
            "dias desde o check-in anterior",
            "check-ins na janela",
            "dias na janela",
        ],
        decimal_point: ',',
        of_ten: "{v} de 10",
        points: ["{v} ponto", "{v} pontos"],
        hours: ["{v} hora", "{v} horas"],
        minutes: ["{v} minuto", "{v} minutos"],
        latest: " no último check-in",
        earlier: " neste check-in",
        value: "{s} ficou em {v}",
        mean: "{s} teve média de {v}",
        mean_of_yes: "{s} em {v} dos dias respondidos",
        period: " nos últimos {v} dias",
        change: [
            "{s} caiu {v} em relação aos dias anteriores",
            "{s} ficou como nos dias anteriores",
            "{s} subiu {v} em relação aos dias anteriores",
        ],
        change_of_yes: [
            "{s}, ao contrário de dias anteriores",
            "{l} ficou como nos dias anteriores",
            "{s}, ao contrário de alguns dias anteriores",
        ],
        trend: ["{s} caiu {v} por dia", "{s} não subiu nem caiu", "{s} subiu {v} por dia"],
        trend_of_yes: ["{s} cada vez menos", "{l} não foi mais nem menos frequente", "{s} cada vez mais"],
        task_completion: "{v} das tarefas planejadas foram concluídas",
        short_sleep: [
            "a última noite não teve menos de 6 horas",
            "a última noite teve menos de 6 horas",
            "as últimas {v} noites tiveram menos de 6 horas",
        ],
        missed_dose: [
            "a medicação não faltou no último check-in",
            "a medicação faltou no último check-in",
            "a medicação faltou nos últimos {v} check-ins",
        ],
        days_since: [
            "o check-in anterior foi do mesmo dia",
            "o check-in anterior foi 1 dia antes",
            "o check-in anterior foi {v} dias antes",
        ],
        checkin_count: ["não houve check-ins", "houve 1 check-in", "houve {v} check-ins"],
        window_days: ["nenhum dia anterior conta", "1 dia anterior conta", "{v} dias anteriores contam"],
    },
];

/// A sentence that names features: the language, and the days that their values are of.
#[derive(Clone, Copy, Debug)]
pub struct Clauses {
    /// The language.
    pub language: Language,
    /// Days from the first check-in of the window to the latest, both included.
    pub days: usize,
    /// The row is made at the latest check-in, and not at one before.
    pub is_latest: bool,
}

impl Clauses {
    /// Adds what a feature's value says, in words without an end. `says_period` is true where the days have not been
    /// named in the sentence before, and becomes false once they are. Adds nothing for a place without a feature, or a
    /// value that is missing.
    pub fn add(&self, out: &mut String, place: usize, value: f32, says_period: &mut bool) {
        let Some(feature) = FEATURES.get(place).filter(|_| !value.is_nan()) else { return };
        let words = &STATISTICS[self.language as usize];
        let among = |forms: &[&'static str; 3]| {
            let form = if value < 0.5 { 0 } else { usize::from(value >= 1.5) + 1 };
            forms[form]
        };
        let counted = |out: &mut String, forms: &[&'static str; 3]| {
            expand(out, among(forms), &mut |out, _| number(out, value.round(), words));
        };
        match feature.kind {
            FeatureKind::Latest(field) => self.add_value(out, field, value),
            // Of one day the mean is the answer.
            FeatureKind::Mean(field) if self.days <= 1 => self.add_value(out, field, value),
            FeatureKind::Mean(field) => self.add_mean(out, field, value, says_period),
            FeatureKind::Change(field) => self.add_difference(out, field, value, [&words.change, &words.change_of_yes]),
            FeatureKind::Trend(field) => {
                self.add_difference(out, field, value, [&words.trend, &words.trend_of_yes]);
                self.add_period(out, says_period);
            }
            FeatureKind::TaskCompletion => expand(out, words.task_completion, &mut |out, _| percent(out, value)),
            FeatureKind::ShortSleepStreak => counted(out, &words.short_sleep),
            FeatureKind::MissedDoseStreak => counted(out, &words.missed_dose),
            FeatureKind::DaysSincePrevious => counted(out, &words.days_since),
            FeatureKind::CheckinCount => counted(out, &words.checkin_count),
            FeatureKind::WindowDays => counted(out, &words.window_days),
        }
    }

    fn add_value(&self, out: &mut String, field: usize, value: f32) {
        let Some(field) = FIELDS.get(field) else { return };
        let (own, words) = (field.words(self.language), &STATISTICS[self.language as usize]);
        match field.unit {
            Unit::YesNo => out.push_str(if value >= 0.5 { own.high } else { own.low }),
            unit => expand(out, words.value, &mut |out, key| match key {
                's' => out.push_str(own.subject),
                _ => quantity(out, value, unit, words),
            }),
        }
        out.push_str(if self.is_latest { words.latest } else { words.earlier });
    }

    fn add_mean(&self, out: &mut String, field: usize, value: f32, says_period: &mut bool) {
        let Some(field) = FIELDS.get(field) else { return };
        let (own, words) = (field.words(self.language), &STATISTICS[self.language as usize]);
        match field.unit {
            Unit::YesNo => expand(out, words.mean_of_yes, &mut |out, key| match key {
                's' => out.push_str(own.high),
                _ => percent(out, value),
            }),
            unit => expand(out, words.mean, &mut |out, key| match key {
                's' => out.push_str(own.subject),
                _ => quantity(out, value, unit, words),
            }),
        }
        self.add_period(out, says_period);
    }

    /// Adds a change or a trend: the first of the forms for numbers, the second for no and yes.
    fn add_difference(&self, out: &mut String, field: usize, value: f32, forms: [&[&'static str; 3]; 2]) {
        let Some(field) = FIELDS.get(field) else { return };
        let (own, words) = (field.words(self.language), &STATISTICS[self.language as usize]);
        let is_yes_no = field.unit == Unit::YesNo;
        // What is written as 0 is no difference.
        let form = if value.abs() < 0.005 { 1 } else { usize::from(value > 0.0) * 2 };
        let fell_to_no = form == 0 && std::ptr::eq(forms[1], &words.change_of_yes);
        expand(out, forms[usize::from(is_yes_no)][form], &mut |out, key| match key {
            's' if is_yes_no => out.push_str(if fell_to_no { own.low } else { own.high }),
            's' => out.push_str(own.subject),
            'l' => out.push_str(own.label),
            _ => difference(out, value.abs(), field.unit, words),
        });
    }

    fn add_period(&self, out: &mut String, says_period: &mut bool) {
        if std::mem::take(says_period) {
            let words = &STATISTICS[self.language as usize];
            expand(out, words.period, &mut |out, _| number(out, self.days as f32, words));
        }
    }
}

/// Returns the label of a feature in a language.
pub fn feature_label(place: usize, language: Language) -> String {
    let words = &STATISTICS[language as usize];
    let mut out = String::new();
    let mut of_field = |form: &'static str, field: usize| {
        let label = FIELDS.get(field).map_or("", |field| field.words(language).label);
        expand(&mut out, form, &mut |out, _| out.push_str(label));
    };
    match FEATURES.get(place).map(|feature| feature.kind) {
        None => {}
        Some(FeatureKind::Latest(field)) => of_field("{l}", field),
        Some(FeatureKind::Mean(field)) => of_field(words.mean_label, field),
        Some(FeatureKind::Change(field)) => of_field(words.change_label, field),
        Some(FeatureKind::Trend(field)) => of_field(words.trend_label, field),
        Some(FeatureKind::TaskCompletion) => out.push_str(words.other_labels[0]),
        Some(FeatureKind::ShortSleepStreak) => out.push_str(words.other_labels[1]),
        Some(FeatureKind::MissedDoseStreak) => out.push_str(words.other_labels[2]),
        Some(FeatureKind::DaysSincePrevious) => out.push_str(words.other_labels[3]),
        Some(FeatureKind::CheckinCount) => out.push_str(words.other_labels[4]),
        Some(FeatureKind::WindowDays) => out.push_str(words.other_labels[5]),
    }
    out
}

/// Writes a text, and in place of each `{x}` what is put there for `x`.
fn expand(out: &mut String, text: &str, put: &mut dyn FnMut(&mut String, char)) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (key, after) = after.split_once('}').unwrap_or((after, ""));
        key.chars().for_each(|key| put(out, key));
        rest = after;
    }
    out.push_str(rest);
}

/// Writes a value with its unit.
fn quantity(out: &mut String, value: f32, unit: Unit, words: &StatisticWords) {
    match unit {
        Unit::OfTen => expand(out, words.of_ten, &mut |out, _| number(out, value, words)),
        unit => difference(out, value, unit, words),
    }
}

/// Writes a difference of values with its unit.
fn difference(out: &mut String, value: f32, unit: Unit, words: &StatisticWords) {
    let forms = match unit {
        Unit::OfTen => &words.points,
        Unit::Hours => &words.hours,
        Unit::Minutes => &words.minutes,
        Unit::Number | Unit::YesNo => return number(out, value, words),
    };
    expand(out, forms[usize::from(value != 1.0)], &mut |out, _| number(out, value, words));
}

/// Writes a number with one digit after the point, below 1 with two, as far as they are not 0.
fn number(out: &mut String, value: f32, words: &StatisticWords) {
    let value = f64::from(value);
    if value < 0.0 {
        out.push('-');
    }
    let scale: u32 = if value.abs() < 1.0 { 100 } else { 10 };
    // What is too large for the cast is written as the largest that is not.
    let scaled = (value.abs() * f64::from(scale)).round() as u64;
    push_whole(out, scaled / u64::from(scale));
    let (mut digit, mut rest) = (u64::from(scale) / 10, scaled % u64::from(scale));
    if rest > 0 {
        out.push(words.decimal_point);
    }
    while rest > 0 {
        push_whole(out, rest / digit);
        rest %= digit;
        digit /= 10;
    }
}

/// Writes a share as a whole percentage.
fn percent(out: &mut String, value: f32) {
    push_whole(out, (f64::from(value) * 100.0).round() as u64);
    // A space that does not break.
    out.push_str("\u{a0}%");
}

fn push_whole(out: &mut String, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::feature_index;
    use proptest::prelude::*;

    fn clause(language: Language, days: usize, feature: &str, value: f32) -> String {
        let mut out = String::new();
        let place = feature_index(feature).expect("a feature");
        Clauses { language, days, is_latest: true }.add(&mut out, place, value, &mut true);
        out
    }

    #[test]
    fn every_kind_of_feature_has_its_sentence_in_both_languages() {
        for (feature, value, english, portuguese) in [
            (
                "depressedMood",
                5.0,
                "depressed mood was 5 of 10 at the latest check-in",
                "o humor deprimido ficou em 5 de 10 no último check-in",
            ),
            (
                "depressedMood_mean",
                6.333,
                "depressed mood averaged 6.3 of 10 over the last 3 days",
                "o humor deprimido teve média de 6,3 de 10 nos últimos 3 dias",
            ),
            (
                "anxietyStress_change",
                2.25,
                "the level of anxiety and stress rose by 2.3 points against the days before",
                "o nível de ansiedade e estresse subiu 2,3 pontos em relação aos dias anteriores",
            ),
            (
                "hoursSlept_change",
                -1.0,
                "sleep fell by 1 hour against the days before",
                "o sono caiu 1 hora em relação aos dias anteriores",
            ),
            (
                "hoursSlept_trend",
                -0.25,
                "sleep fell by 0.25 hours a day over the last 3 days",
                "o sono caiu 0,25 horas por dia nos últimos 3 dias",
            ),
            (
                "energyLevel_trend",
                0.001,
                "energy neither rose nor fell over the last 3 days",
                "a energia não subiu nem caiu nos últimos 3 dias",
            ),
            (
                "hoursSlept",
                4.5,
                "sleep was 4.5 hours at the latest check-in",
                "o sono ficou em 4,5 horas no último check-in",
            ),
            (
                "exerciseDurationMin",
                30.0,
                "the time spent on exercise was 30 minutes at the latest check-in",
                "o tempo de exercício ficou em 30 minutos no último check-in",
            ),
            (
                "caffeineDoses",
                2.0,
                "the number of doses of caffeine was 2 at the latest check-in",
                "o número de doses de cafeína ficou em 2 no último check-in",
            ),
            (
                "medicationAdherence",
                0.0,
                "medication was not taken at the latest check-in",
                "a medicação não foi tomada no último check-in",
            ),
            (
                "medicationAdherence_mean",
                2.0 / 3.0,
                "medication was taken on 67\u{a0}% of the days answered over the last 3 days",
                "a medicação foi tomada em 67\u{a0}% dos dias respondidos nos últimos 3 dias",
            ),
            (
                "medicationAdherence_change",
                -0.5,
                "medication was not taken, unlike on days before",
                "a medicação não foi tomada, ao contrário de dias anteriores",
            ),
            (
                "medicationAdherence_change",
                0.5,
                "medication was taken, unlike on some days before",
                "a medicação foi tomada, ao contrário de alguns dias anteriores",
            ),
            (
                "medicationAdherence_change",
                0.0,
                "medication taken was as on the days before",
                "medicação tomada ficou como nos dias anteriores",
            ),
            (
                "medicationAdherence_trend",
                -0.2,
                "medication was taken less and less often over the last 3 days",
                "a medicação foi tomada cada vez menos nos últimos 3 dias",
            ),
            (
                "taskCompletion",
                0.25,
                "25\u{a0}% of the tasks planned were completed",
                "25\u{a0}% das tarefas planejadas foram concluídas",
            ),
            (
                "shortSleepStreak",
                0.0,
                "the latest night was not under 6 hours",
                "a última noite não teve menos de 6 horas",
            ),
            (
                "shortSleepStreak",
                3.0,
                "the latest 3 nights were under 6 hours",
                "as últimas 3 noites tiveram menos de 6 horas",
            ),
            (
                "missedDoseStreak",
                1.0,
                "medication was missed at the latest check-in",
                "a medicação faltou no último check-in",
            ),
            (
                "daysSincePrevious",
                2.0,
                "the check-in before was 2 days earlier",
                "o check-in anterior foi 2 dias antes",
            ),
            ("checkinCount", 1.0, "there was 1 check-in", "houve 1 check-in"),
            ("windowDays", 3.0, "3 days before count", "3 dias anteriores contam"),
        ] {
            assert_eq!(clause(Language::English, 3, feature, value), english);
            assert_eq!(clause(Language::Portuguese, 3, feature, value), portuguese);
        }
        let alone = clause(Language::English, 1, "depressedMood_mean", 6.0);
        assert_eq!(alone, "depressed mood was 6 of 10 at the latest check-in");
        assert_eq!(clause(Language::English, 3, "depressedMood", f32::NAN), "", "what is missing says nothing");
    }

    #[test]
    fn words_are_complete_and_different() {
        for language in Language::ALL {
            for field in FIELDS {
                let Words { label, subject, low, high } = field.words(language);
                assert!(!label.is_empty() && !low.is_empty() && !high.is_empty() && low != high, "{}", field.name);
                assert_eq!(subject.is_empty(), field.unit == Unit::YesNo, "{}", field.name);
            }
            let mut labels: Vec<String> = (0..FEATURES.len()).map(|place| feature_label(place, language)).collect();
            labels.sort();
            assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
        }
    }

    #[test]
    fn the_documentation_has_the_table_of_words() {
        let text = include_str!("../../../docs/MODELS.md");
        for field in FIELDS {
            let unit = match field.unit {
                Unit::YesNo => "no or yes",
                Unit::OfTen => "0 to 10",
                Unit::Hours => "hours, 0 to 24",
                Unit::Minutes => "minutes",
                Unit::Number => "number",
            };
            let ends = |language| format!("{} ... {}", field.words(language).low, field.words(language).high);
            let row = format!(
                "| `{}` | {unit} | {} | {} | {} | {} |",
                field.name,
                field.words(Language::English).label,
                ends(Language::English),
                field.words(Language::Portuguese).label,
                ends(Language::Portuguese),
            );
            assert!(text.contains(&row), "docs/MODELS.md lacks\n{row}");
        }
    }

    proptest! {
        #[test]
        fn any_number_makes_a_clause(place in 0..FEATURES.len() + 2, value: f32, days: usize, portuguese: bool) {
            let language = Language::ALL[usize::from(portuguese)];
            let (mut out, mut says_period) = (String::new(), true);
            Clauses { language, days, is_latest: false }.add(&mut out, place, value, &mut says_period);
            prop_assert_eq!(out.is_empty(), value.is_nan() || place >= FEATURES.len());
            prop_assert!(!out.contains('{'), "{}", out);
        }
    }
}
