//! Loading: the model, a worker for each core, and a warm-up that also decides where inference runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::Model;
use crate::batch::{INLINE_MAX, Queue, Worker};
use crate::config::{Config, Placement};
use crate::decode::Decoder;
use crate::function::{Failure, Function};
use crate::metrics::Metrics;
use crate::schema::RequestSchema;

/// What the loading of one instance needs.
pub(crate) struct Loader<F: Function> {
    pub(crate) config: Config,
    pub(crate) queue: Arc<Queue<F>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) workers: usize,
}

/// Opens the model, starts the workers and warms them up. Blocks; to be called off the server's threads.
pub(crate) fn load<F: Function>(loader: &Loader<F>) -> Result<Model, Failure> {
    let model = open::<F>(&loader.config)?;
    let handle = Handle::current();
    let mut placement = loader.config.placement;
    for index in 0..loader.workers {
        let mut worker = Worker {
            function: F::load(&model)?,
            queue: Arc::clone(&loader.queue),
            metrics: Arc::clone(&loader.metrics),
            batch_rows: loader.config.batch_rows,
        };
        let full_batch = warm_up(&mut worker.function, loader.config.batch_rows)?;
        if placement == Placement::Auto {
            placement = if full_batch <= INLINE_MAX { Placement::Inline } else { Placement::Threads };
            tracing::info!(?full_batch, rows = loader.config.batch_rows, ?placement, "warm");
        }
        if placement == Placement::Inline {
            handle.spawn(worker.run());
        } else {
            let handle = handle.clone();
            std::thread::Builder::new()
                .name(format!("inference-{index}"))
                .spawn(move || handle.block_on(worker.run()))?;
        }
    }
    Ok(model)
}

/// Opens the model that the settings name, or that lies where a checkout or an archive puts it.
pub(crate) fn open<F: Function>(config: &Config) -> Result<Model, Failure> {
    let path = match &config.model {
        Some(path) => path.clone(),
        None => find(F::NAME)
            .ok_or_else(|| Failure::new(format!("no model card: set DROVER_MODEL to the model.toml of {}", F::NAME)))?,
    };
    let model = Model::open(&path)?;
    if model.name() != F::NAME {
        let card = path.display();
        return Err(Failure::new(format!("{card} is the model of `{}`, this function is `{}`", model.name(), F::NAME)));
    }
    Ok(model)
}

/// Looks beside the binary, in the folder of the call, and in the checkout that built the binary.
fn find(name: &str) -> Option<PathBuf> {
    let binary = std::env::current_exe().ok();
    let folder = binary.as_deref().and_then(Path::parent);
    let checkouts = folder.into_iter().flat_map(|f| f.ancestors().skip(1).take(3));
    let beside = folder.map(|f| f.join("model"));
    let here = [PathBuf::from("model"), PathBuf::from("functions").join(name).join("model")];
    let built = checkouts.map(|f| f.join("functions").join(name).join("model"));
    beside.into_iter().chain(here).chain(built).map(|f| f.join("model.toml")).find(|f| f.is_file())
}

/// Runs the example of the schema, alone and as a full batch; returns the time of a full batch.
fn warm_up<F: Function>(function: &mut F, full_batch: usize) -> Result<Duration, Failure> {
    let schema = RequestSchema::of::<F::Request>()?;
    let example = schema.example.clone();
    let decoder = Decoder::new(schema, full_batch);
    let mut run = |n: usize| -> Result<Duration, Failure> {
        let rows = decoder.decode_values::<F::Request>(vec![example.clone(); n]).map_err(|e| {
            let wrong: Vec<String> = e.fields.iter().map(|f| format!("{} {}", f.pointer, f.detail)).collect();
            Failure::new(format!("the examples of the fields are not valid: {}", wrong.join("; ")))
        })?;
        let started = Instant::now();
        let answers = function.predict(&rows);
        let took = started.elapsed();
        match answers.into_iter().find_map(Result::err) {
            Some(why) => Err(Failure::new(format!("the model cannot answer its own example: {why}"))),
            None => Ok(took),
        }
    };
    run(1)?;
    // The shortest of a few: a process that has little CPU is stopped in between.
    (0..5).try_fold(Duration::MAX, |shortest, _| Ok(shortest.min(run(full_batch)?)))
}
