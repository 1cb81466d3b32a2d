//! Settings from one file, the environment and flags; each later one wins, and each value knows where
//! it comes from.

use std::collections::BTreeMap;
use std::path::Path;

use drover_core::config::Source;

use super::file;
use super::known::{self, OF_A_FUNCTION, SETTINGS};

/// What the environment variables of settings begin with.
pub const ENV_PREFIX: &str = "DROVER_GATEWAY_";
/// The variable that names the file, which is no setting.
const OF_THE_FILE: &str = "DROVER_GATEWAY_CONFIG";

/// Settings as they were written, and where.
#[derive(Debug, Default)]
pub struct Layers {
    values: BTreeMap<String, Value>,
    mistakes: Vec<String>,
}

#[derive(Debug)]
struct Value {
    text: String,
    /// What a person calls it: file, line and key, a variable or a flag.
    place: String,
}

impl Layers {
    /// Adds what the TOML file at `path` says.
    pub fn file(&mut self, path: &Path) {
        let shown = path.display();
        match std::fs::read_to_string(path) {
            Ok(text) => self.text(&shown.to_string(), &text),
            Err(e) => self.mistakes.push(format!("{shown}: {e}")),
        }
    }

    /// Adds what the TOML `text` of the file called `name` says.
    pub fn text(&mut self, name: &str, text: &str) {
        let entries = match file::entries(text) {
            Ok(entries) => entries,
            Err(wrong) => return self.mistakes.extend(wrong.iter().map(|why| format!("{name}{why}"))),
        };
        for entry in entries {
            let place = format!("{name}:{}: {}", entry.line, entry.key);
            match entry.text {
                Err(why) => self.mistakes.push(format!("{place}: {why}")),
                Ok(text) => self.set(&entry.key, place, text),
            }
        }
    }

    /// Adds what the variables of `environment` say: ours, and those of Consul's and Nomad's own tools.
    pub fn environment(&mut self, environment: &dyn Source) {
        let mut ours = environment.keys(ENV_PREFIX);
        ours.retain(|name| name != OF_THE_FILE);
        ours.sort();
        for setting in SETTINGS {
            let own = setting.variable();
            let names = [setting.also, own.as_str()];
            ours.retain(|name| *name != own);
            for name in names.into_iter().filter(|name| !name.is_empty()) {
                // What is empty is as good as unset: job files cannot leave a variable out.
                if let Some(text) = environment.get(name).filter(|text| !text.is_empty()) {
                    self.set(setting.key, name.to_owned(), text);
                }
            }
        }
        for name in ours {
            let key = name.trim_start_matches(ENV_PREFIX).to_lowercase();
            let variables = SETTINGS.iter().map(|s| (s.key.replace('.', "_"), s.variable()));
            let distance =
                |(called, variable): (String, String)| (strsim::damerau_levenshtein(&called, &key), variable);
            let near = variables.map(distance).min().filter(|(distance, _)| *distance <= 2.max(key.len() / 3));
            self.unknown(&name, near.map(|(_, variable)| variable));
        }
    }

    /// Adds what the flag called `flag` says about the setting `key`.
    pub fn flag(&mut self, key: &str, flag: &str, text: impl Into<String>) {
        self.set(key, flag.to_owned(), text.into());
    }

    /// Adds what `--set KEY=VALUE` says.
    pub fn set_flag(&mut self, pair: &str) {
        match pair.split_once('=') {
            Some((key, text)) => self.set(key.trim(), format!("--set {}", key.trim()), text.trim().into()),
            None => self.mistakes.push(format!("--set: `{pair}` is not KEY=VALUE")),
        }
    }

    /// Returns where the value of `key` comes from, if it is set.
    pub(super) fn place(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|value| value.place.as_str())
    }

    /// Takes the mistakes that show before any value is read.
    pub(super) fn mistakes(&self) -> &[String] {
        &self.mistakes
    }

    fn set(&mut self, key: &str, place: String, text: String) {
        let known = match known::of_a_function(key) {
            Some((_, field)) => OF_A_FUNCTION.contains(&field),
            None => known::find(key).is_some(),
        };
        if known {
            self.values.insert(key.to_owned(), Value { text, place });
        } else {
            self.unknown(&place, known::nearest(key));
        }
    }

    fn unknown(&mut self, place: &str, near: Option<String>) {
        let hint = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
        self.mistakes.push(format!("{place}: no such setting{hint}"));
    }
}

impl Source for Layers {
    fn get(&self, key: &str) -> Option<String> {
        let set = self.values.get(key).map(|value| value.text.trim());
        let text = set.or_else(|| known::find(key).map(|setting| setting.default))?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        self.values.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    fn name(&self, key: &str) -> String {
        self.place(key).unwrap_or(key).to_owned()
    }
}
