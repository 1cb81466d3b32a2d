//! Trials that were made, and what has to be put back, in one SQLite file.
//!
//! A trial counts again only for the same question: function, code, model, load, promises, timing and machine.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::deploy::Held;
use super::trial::Trial;
use super::{Error, Verdict};

/// How long another process may keep the file to itself.
const BUSY: Duration = Duration::from_secs(10);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS questions (id TEXT PRIMARY KEY, question TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    question TEXT NOT NULL REFERENCES questions (id),
    began TEXT NOT NULL,
    verdict TEXT NOT NULL,
    trial TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS trials_of ON trials (question);
CREATE TABLE IF NOT EXISTS held (gateway TEXT, function TEXT, held TEXT NOT NULL, PRIMARY KEY (gateway, function));
";

/// The file of trials.
#[derive(Debug)]
pub struct Store(Connection);

/// What is asked of trials: those of another question say nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Question {
    /// The function.
    pub function: String,
    /// What runs it: version and checksum of the model, the program.
    pub code: String,
    /// What runs instances.
    pub engine: String,
    /// What is sent, how users wait, how long an answer may take.
    pub load: String,
    /// What is promised.
    pub promises: Vec<String>,
    /// How long a trial takes.
    pub timing: String,
    /// Processor, cores and memory of this machine.
    pub machine: String,
}

impl Question {
    /// Returns a name for it that no other has.
    #[must_use]
    pub fn id(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Store {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn open(file: &Path) -> Result<Self, Error> {
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).map_err(|e| Error::Store(format!("{}: {e}", dir.display())))?;
        }
        let open = || {
            let connection = Connection::open(file)?;
            connection.busy_timeout(BUSY)?;
            connection.execute_batch(TABLES)?;
            Ok(Self(connection))
        };
        open().map_err(|e: rusqlite::Error| Error::Store(format!("{}: {e}", file.display())))
    }

    /// Returns the trials of a question that count, the oldest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn trials(&self, question: &Question) -> Result<Vec<Trial>, Error> {
        let read = || {
            let mut all = self
                .0
                .prepare("SELECT trial FROM trials WHERE question = ?1 AND verdict <> 'invalid' ORDER BY rowid")?;
            let texts = all.query_map([question.id()], |row| row.get::<_, String>(0))?;
            texts.collect::<Result<Vec<_>, _>>()
        };
        // What an older version wrote may lack something: it is made again.
        Ok(read().map_err(store)?.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// Keeps a trial.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn keep(&self, question: &Question, trial: &Trial) -> Result<(), Error> {
        let id = question.id();
        let word = match trial.verdict {
            Verdict::Invalid(_) => "invalid",
            _ => trial.verdict.word(),
        };
        let text = serde_json::to_string(question).unwrap_or_default();
        let write = || {
            self.0.execute("INSERT OR IGNORE INTO questions VALUES (?1, ?2)", params![id, text])?;
            let trial_text = serde_json::to_string(trial).unwrap_or_default();
            self.0.execute("INSERT INTO trials VALUES (?1, ?2, ?3, ?4)", params![id, trial.began, word, trial_text])
        };
        write().map(|_| ()).map_err(store)
    }

    /// Notes what a function has before its first trial. A note that is there already stays: it is older, and true.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn hold(&self, gateway: &str, function: &str, held: &Held) -> Result<(), Error> {
        let text = serde_json::to_string(held).unwrap_or_default();
        self.0
            .execute("INSERT OR IGNORE INTO held VALUES (?1, ?2, ?3)", params![gateway, function, text])
            .map_err(store)?;
        Ok(())
    }

    /// Returns what a function has to be given back, if trials were cut off before they could.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn held(&self, gateway: &str, function: &str) -> Result<Option<Held>, Error> {
        let read = self.0.query_row(
            "SELECT held FROM held WHERE gateway = ?1 AND function = ?2",
            [gateway, function],
            |row| row.get::<_, String>(0),
        );
        let text = read.optional().map_err(store)?;
        text.map(|text| serde_json::from_str(&text).map_err(|e| Error::Store(e.to_string()))).transpose()
    }

    /// Forgets it: the function has it again.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn give_back(&self, gateway: &str, function: &str) -> Result<(), Error> {
        let done = self.0.execute("DELETE FROM held WHERE gateway = ?1 AND function = ?2", [gateway, function]);
        done.map(|_| ()).map_err(store)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn store(e: rusqlite::Error) -> Error {
    Error::Store(e.to_string())
}

#[cfg(test)]
mod tests {
    use drover_engine::{EngineKind, Size};

    use super::super::trial::{Offer, Trial};
    use super::super::{Candidate, Verdict};
    use super::{Held, Question, Store};

    fn question(function: &str) -> Question {
        Question {
            function: function.into(),
            code: "1 abc".into(),
            engine: "local".into(),
            load: "predict".into(),
            promises: vec!["p95<1s".into()],
            timing: "1 1 5".into(),
            machine: "a 2 cores".into(),
        }
    }

    #[test]
    fn trials_of_the_same_question_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/trials.sqlite");
        let trial = |verdict| {
            let candidate = Candidate { cpu_cores: 0.25, memory_mib: 64, count: 1 };
            Trial::example(candidate, Offer::Users(5), verdict)
        };
        let (held, broken) = (trial(Verdict::Held), trial(Verdict::Broken("p95".into())));
        {
            let store = Store::open(&file).unwrap();
            for trial in [&held, &broken, &trial(Verdict::Invalid("busy".into()))] {
                store.keep(&question("a"), trial).unwrap();
            }
            store.keep(&question("b"), &held).unwrap();
        }
        let store = Store::open(&file).unwrap();
        assert_eq!(store.trials(&question("a")).unwrap(), [held, broken]);
        let other = Question { promises: vec!["p95<2s".into()], ..question("a") };
        assert_eq!(store.trials(&other).unwrap(), []);
    }

    #[test]
    fn the_oldest_note_of_what_a_function_had_counts_until_it_has_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("trials.sqlite")).unwrap();
        let size = Size { cpu_cores: 0.5, memory_mib: 64, memory_max_mib: Some(128) };
        let first = Held { engine: EngineKind::Local, size: Some(size), count: 2, min: 0, max: 3 };
        store.hold("g", "f", &first).unwrap();
        store.hold("g", "f", &Held { count: 1, ..first.clone() }).unwrap();
        assert_eq!(store.held("g", "f").unwrap(), Some(first));
        assert_eq!(store.held("h", "f").unwrap(), None);
        store.give_back("g", "f").unwrap();
        assert_eq!(store.held("g", "f").unwrap(), None);
    }
}
