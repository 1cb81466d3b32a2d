//! Puts values into `${NOMAD_PORT_http}` and its like when an instance starts.

use super::words::is_runtime_word;

/// A runtime word that has no value on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`${{{0}}}` has no value on this machine")]
pub struct UnknownWord(pub String);

/// Returns `text` with every `${word}` replaced by what `lookup` says.
///
/// A `${word}` that is not one of Nomad's is left as it is: it may be meant for a shell.
///
/// # Errors
/// [`UnknownWord`] for a word of Nomad's that `lookup` does not know.
pub fn interpolate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, UnknownWord> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, from)) = rest.split_once("${") {
        out.push_str(before);
        let Some((word, after)) = from.split_once('}') else {
            out.push_str("${");
            rest = from;
            break;
        };
        match lookup(word.trim()) {
            Some(value) => out.push_str(&value),
            None if is_runtime_word(word.trim()) => return Err(UnknownWord(word.trim().into())),
            None => {
                out.push_str("${");
                out.push_str(word);
                out.push('}');
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_replaced_and_a_shell_s_words_are_left() {
        let lookup = |word: &str| (word == "NOMAD_PORT_http").then(|| "80".to_owned());
        for (text, wanted) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("a ${NOMAD_PORT_http} b ${ NOMAD_PORT_http }", Ok("a 80 b 80")),
            ("${HOME}/x", Ok("${HOME}/x")),
            ("${NOMAD_PORT_http", Ok("${NOMAD_PORT_http")),
            ("$HOME $${", Ok("$HOME $${")),
            ("${NOMAD_PORT_grpc}", Err("`${NOMAD_PORT_grpc}` has no value on this machine")),
            ("${attr.gpu}", Err("`${attr.gpu}` has no value on this machine")),
        ] {
            let answer = interpolate(text, &lookup).map_err(|e| e.to_string());
            assert_eq!(answer.as_deref().map_err(String::as_str), wanted, "{text}");
        }
    }
}
