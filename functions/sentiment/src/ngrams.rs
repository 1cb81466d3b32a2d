//! A text as the set of ids that the model takes; the contract is written in `train/ngrams.py`.

use unicode_general_category::{GeneralCategory as Category, get_general_category};
use unicode_normalization::UnicodeNormalization as _;

/// Lengths of the substrings, in code points.
const SHORTEST: usize = 2;
const LONGEST: usize = 8;
/// Ids are 1 to this.
const BUCKETS: u32 = 1 << 18;

/// Returns the ids of a text, each once, in ascending order.
pub(crate) fn ids(text: &str) -> Vec<i64> {
    let padded = tokens(text);
    let mut ids = Vec::with_capacity(padded.len() * (LONGEST - SHORTEST + 1));
    for start in 0..padded.len() {
        let mut hash: u32 = 0x811C_9DC5;
        for (length, c) in padded.iter().skip(start).take(LONGEST).enumerate() {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            }
            if length + 1 >= SHORTEST {
                ids.push(i64::from(hash % BUCKETS) + 1);
            }
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What a code point is to the tokens.
enum Part {
    /// Goes on with a word.
    Word,
    /// Is a token by itself.
    Mark,
    /// Separates.
    Gap,
}

/// Returns one space, then each token and one space after it.
fn tokens(text: &str) -> Vec<char> {
    let mut padded = vec![' '];
    let mut in_word = false;
    for c in text.nfc().flat_map(char::to_lowercase) {
        let part = part(c);
        if in_word && !matches!(part, Part::Word) {
            padded.push(' ');
        }
        in_word = matches!(part, Part::Word);
        match part {
            Part::Word => padded.push(c),
            Part::Mark => padded.extend([c, ' ']),
            Part::Gap => {}
        }
    }
    if in_word {
        padded.push(' ');
    }
    padded
}

fn part(c: char) -> Part {
    match get_general_category(c) {
        Category::UppercaseLetter
        | Category::LowercaseLetter
        | Category::TitlecaseLetter
        | Category::ModifierLetter
        | Category::OtherLetter
        | Category::NonspacingMark
        | Category::SpacingMark
        | Category::EnclosingMark
        | Category::DecimalNumber
        | Category::LetterNumber
        | Category::OtherNumber => Part::Word,
        Category::ConnectorPunctuation
        | Category::DashPunctuation
        | Category::OpenPunctuation
        | Category::ClosePunctuation
        | Category::InitialPunctuation
        | Category::FinalPunctuation
        | Category::OtherPunctuation
        | Category::MathSymbol
        | Category::CurrencySymbol
        | Category::ModifierSymbol
        | Category::OtherSymbol => Part::Mark,
        _ => Part::Gap,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn ids_are_those_of_the_trainer() {
        let vectors = include_str!("../tests/hash_vectors.jsonl");
        assert!(vectors.lines().count() >= 200);
        for line in vectors.lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let text = vector["text"].as_str().unwrap();
            let expected: Vec<i64> = vector["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
            assert_eq!(super::ids(text), expected, "{text:?}");
        }
    }
}
