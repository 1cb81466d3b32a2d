//! Builds functions again when their source changes, and replaces their instances one by one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use drover_core::FunctionName;
use drover_engine::local::{LocalEngine, Replaced};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::jobs::Source;
use super::terminal::Terminal;
use super::{REPLACE_LIMIT, build};

/// How long nothing must change before a build begins.
const QUIET: Duration = Duration::from_millis(300);
/// What every function is built from.
const SHARED: [&str; 3] = ["runtime/sdk/src", "runtime/core/src", "Cargo.toml"];

/// Ends the watch when dropped.
pub(super) struct Watching {
    _watcher: RecommendedWatcher,
    _task: AbortOnDropHandle<()>,
}

/// Begins to watch the sources of `functions`.
pub(super) fn start(functions: Vec<Source>, engine: Arc<LocalEngine>, terminal: Terminal) -> anyhow::Result<Watching> {
    let (changed, changes) = mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        if !matches!(event.kind, EventKind::Access(_)) {
            for path in event.paths {
                let _watch_has_ended = changed.send(path);
            }
        }
    })?;
    let shared = SHARED.iter().map(PathBuf::from).filter(|path| path.exists());
    let mut watched = Vec::new();
    for path in functions.iter().map(|f| f.dir.clone()).chain(shared) {
        let path = std::path::absolute(&path)?;
        watcher.watch(&path, RecursiveMode::Recursive).with_context(|| format!("cannot watch {}", path.display()))?;
        watched.push(path);
    }
    let task = tokio::spawn(follow(changes, functions, engine, terminal));
    Ok(Watching { _watcher: watcher, _task: AbortOnDropHandle::new(task) })
}

async fn follow(
    mut changes: mpsc::UnboundedReceiver<PathBuf>,
    functions: Vec<Source>,
    engine: Arc<LocalEngine>,
    terminal: Terminal,
) {
    while let Some(first) = changes.recv().await {
        let mut paths = BTreeSet::from([first]);
        while let Ok(Some(path)) = tokio::time::timeout(QUIET, changes.recv()).await {
            paths.insert(path);
        }
        let changed = affected(&functions, &paths);
        if changed.is_empty() {
            continue;
        }
        if let Err(e) = build::functions(&changed, &terminal).await {
            terminal.warn(&format!("{e:#}; the old instances go on"));
            continue;
        }
        for function in changed {
            replace(&function, &engine, &terminal).await;
        }
    }
}

async fn replace(function: &Source, engine: &LocalEngine, terminal: &Terminal) {
    let Ok(name) = function.package.parse::<FunctionName>() else { return };
    match engine.replace(&name, REPLACE_LIMIT).await {
        Ok(Replaced { n_replaced, n_wanted, stopped: None }) => {
            terminal.say(&format!("{name}: {n_replaced} of {n_wanted} replaced"));
        }
        Ok(Replaced { n_replaced, n_wanted, stopped: Some(why) }) => {
            terminal.warn(&format!("{name}: a new instance is not ready: {why}; {n_replaced} of {n_wanted} replaced"));
        }
        Err(e) => terminal.warn(&format!("{name}: {e}")),
    }
}

/// Returns the functions that are built from any of `paths`.
fn affected(functions: &[Source], paths: &BTreeSet<PathBuf>) -> Vec<Source> {
    let is_source = |path: &Path| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        !name.starts_with('.') && !name.ends_with('~') && !name.ends_with(".swp")
    };
    let changed = |dir: &Path| {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.into());
        paths.iter().any(|path| is_source(path) && path.starts_with(&dir))
    };
    if SHARED.iter().any(|shared| changed(Path::new(shared))) {
        return functions.to_vec();
    }
    let own = |f: &Source| ["src", "model", "Cargo.toml", "build.rs"].iter().any(|part| changed(&f.dir.join(part)));
    functions.iter().filter(|f| own(f)).cloned().collect()
}
