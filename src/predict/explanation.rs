//! The explanation in words: the contributions that moved a prediction most, each with what it says and in which
//! direction it moved it.

use super::numbers::Contribution;
use bipolar_edge_models::{Model, Output};
use features::{Clauses, Language};

/// How many contributions the explanation in words names.
pub(super) const NAMED_CONTRIBUTIONS: usize = 3;

/// The ends of a clause in one language: of the contribution that moved it most, of one that moved it, and of one that
/// moved it as one before did.
struct Directions {
    raises: [&'static str; 3],
    lowers: [&'static str; 3],
}

/// The ends of clauses about a risk, by [`Language`].
const OF_RISK: [Directions; Language::ALL.len()] = [
    Directions {
        raises: [", which raises this risk most", ", which raises this risk", ", which raises it too"],
        lowers: [", which lowers this risk most", ", which lowers this risk", ", which lowers it too"],
    },
    Directions {
        raises: [", o que mais aumenta este risco", ", o que aumenta este risco", ", o que também o aumenta"],
        lowers: [", o que mais diminui este risco", ", o que diminui este risco", ", o que também o diminui"],
    },
];

/// The ends of clauses about a class, by [`Language`]; `*` stands for its name.
const OF_CLASS: [Directions; Language::ALL.len()] = [
    Directions {
        raises: [", which speaks most for “*”", ", which speaks for “*”", ", which speaks for it too"],
        lowers: [", which speaks most against “*”", ", which speaks against “*”", ", which speaks against it too"],
    },
    Directions {
        raises: [", o que mais indica “*”", ", o que indica “*”", ", o que também aponta para isso"],
        lowers: [", o que mais pesa contra “*”", ", o que pesa contra “*”", ", o que também pesa contra isso"],
    },
];

const NOTHING_MOVED: [&str; Language::ALL.len()] =
    ["No answer moved this prediction.", "Nenhuma resposta pesou nesta previsão."];
const NO_COVERS: [&str; Language::ALL.len()] = [
    "This model's file does not say what its trees were trained on, so there is no explanation.",
    "O arquivo deste modelo não diz com o que as árvores foram treinadas; por isso não há explicação.",
];

/// Returns the sentence about a prediction with a label. `contributions` are strongest first, all of them or as many as
/// are needed for this.
pub(super) fn explain_in_words(
    model: &Model,
    label: &str,
    contributions: &[Contribution],
    clauses: &Clauses,
) -> String {
    let language = clauses.language;
    let Some(strongest) = contributions.first() else { return NO_COVERS[language as usize].to_owned() };
    let directions = match model.output {
        Output::Risk { .. } => &OF_RISK[language as usize],
        Output::Classes { .. } => &OF_CLASS[language as usize],
    };
    let mut text = String::with_capacity(320);
    let mut says_period = true;
    let mut has_said = [false; 2];
    // What was not answered moves a prediction, and is no reason for it.
    let answered = contributions.iter().filter(|contribution| !contribution.value.is_nan());
    for (index, contribution) in answered.take(NAMED_CONTRIBUTIONS).enumerate() {
        if index > 0 {
            text.push_str("; ");
        }
        clauses.add(&mut text, contribution.place, contribution.value, &mut says_period);
        let raises = contribution.impact > 0.0;
        let is_strongest = index == 0 && !strongest.value.is_nan();
        let said = &mut has_said[usize::from(raises)];
        let form = if *said { 2 } else { usize::from(!is_strongest) };
        *said = true;
        let end = if raises { directions.raises } else { directions.lowers }[form];
        match end.split_once('*') {
            Some((before, after)) => {
                text.extend([before, model.display_label(label, language), after]);
            }
            None => text.push_str(end),
        }
    }
    if text.is_empty() {
        return NOTHING_MOVED[language as usize].to_owned();
    }
    text.push('.');
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bipolar_edge_models::MODELS;
    use features::{MadeAt, feature_index};

    fn model(is_risk: bool) -> &'static Model {
        let kind = |model: &&Model| matches!(model.output, Output::Risk { .. }) == is_risk;
        MODELS.iter().find(kind).expect("a model of each kind")
    }

    fn of(feature: &str, value: f32, impact: f32) -> Contribution {
        Contribution { place: feature_index(feature).expect("a feature"), value, impact }
    }

    fn clauses(language: Language) -> Clauses {
        Clauses { language, days: 3, made_at: MadeAt::Today }
    }

    fn said(is_risk: bool, contributions: &[Contribution]) -> [String; 2] {
        Language::ALL.map(|language| explain_in_words(model(is_risk), "depression", contributions, &clauses(language)))
    }

    #[test]
    fn a_sentence_names_what_moved_the_prediction_and_in_which_direction() {
        let some = [
            of("depressedMood_mean", 6.333, 1.5),
            of("sleepHygiene", f32::NAN, -1.0),
            of("energyLevel_mean", 3.333, 0.5),
            of("medicationAdherence", 1.0, -0.25),
            of("hoursSlept", 7.0, 0.1),
        ];
        assert_eq!(
            said(true, &some),
            [
                "Depressed mood averaged 6.3 of 10 over the last 3 days, which raises this risk most; energy averaged 3.3 \
                 of 10, which raises it too; medication was taken at the latest check-in, which lowers this risk.",
                "O humor deprimido teve média de 6,3 de 10 nos últimos 3 dias, o que mais aumenta este risco; a energia \
                 teve média de 3,3 de 10, o que também o aumenta; a medicação foi tomada no último check-in, o que \
                 diminui este risco."
            ]
        );
        assert_eq!(
            said(false, &some),
            [
                "Depressed mood averaged 6.3 of 10 over the last 3 days, which speaks most for “depression”; energy \
                 averaged 3.3 of 10, which speaks for it too; medication was taken at the latest check-in, which speaks \
                 against “depression”.",
                "O humor deprimido teve média de 6,3 de 10 nos últimos 3 dias, o que mais indica “depressão”; a energia \
                 teve média de 3,3 de 10, o que também aponta para isso; a medicação foi tomada no último check-in, o que pesa \
                 contra “depressão”."
            ]
        );
    }

    #[test]
    fn what_was_not_answered_is_no_reason() {
        let some = [of("sleepHygiene", f32::NAN, 2.0), of("hoursSlept", 4.5, 1.0)];
        let [english, portuguese] = said(true, &some);
        assert_eq!(
            english, "Sleep was 4.5 hours at the latest check-in, which raises this risk.",
            "not most: something was missing"
        );
        assert_eq!(portuguese, "O sono ficou em 4,5 horas no último check-in, o que aumenta este risco.");
        assert_eq!(said(true, &some[..1]), NOTHING_MOVED);
        assert_eq!(said(true, &[]), NO_COVERS);
    }
}
