//! Loading: the model, a worker for each core, and a warm-up that also decides where inference runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::batch::{INLINE_MAX, Queue, Worker};
use crate::config::{Config, Placement};
use crate::decode::Decoder;
use crate::function::{Failure, Function};
use crate::metrics::Metrics;
use crate::schema::RequestSchema;
use crate::{Card, Model, onnx};

/// What the loading of one instance needs.
pub(crate) struct Loader<F: Function> {
    pub(crate) config: Config,
    pub(crate) queue: Arc<Queue<F>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) workers: usize,
}

impl<F: Function> Loader<F> {
    /// Opens the model, starts the first worker and warms it up: enough to serve. Blocks; to be called
    /// off the server's threads, as is [`Loader::rest`].
    pub(crate) fn first(&self) -> Result<(Model, Placement), Failure> {
        let path = card::<F>(&self.config)?;
        let (card, file) = Card::read(&path)?;
        let model = std::thread::scope(|threads| {
            if file.extension().is_some_and(|kind| kind == "onnx") {
                threads.spawn(onnx::prepare);
            }
            Model::checked(card, file)
        })?;
        let model = named::<F>(&path, model)?;
        let (worker, full_batch) = self.worker(&model)?;
        let placement = match self.config.placement {
            Placement::Auto if full_batch <= INLINE_MAX => Placement::Inline,
            Placement::Auto => Placement::Threads,
            asked => asked,
        };
        tracing::info!(?full_batch, rows = self.config.batch_rows, ?placement, "warm");
        start(worker, placement, 0)?;
        Ok((model, placement))
    }

    /// Starts the other workers, while the first one serves.
    pub(crate) fn rest(&self, model: &Model, placement: Placement) -> Result<(), Failure> {
        (1..self.workers).try_for_each(|index| start(self.worker(model)?.0, placement, index))
    }

    /// Makes a warm worker; returns the time of a full batch, too.
    fn worker(&self, model: &Model) -> Result<(Worker<F>, Duration), Failure> {
        let mut worker = Worker {
            function: F::load(model)?,
            queue: Arc::clone(&self.queue),
            metrics: Arc::clone(&self.metrics),
            batch_rows: self.config.batch_rows,
        };
        let full_batch = warm_up(&mut worker.function, self.config.batch_rows)?;
        Ok((worker, full_batch))
    }
}

fn start<F: Function>(worker: Worker<F>, placement: Placement, index: usize) -> Result<(), Failure> {
    let handle = Handle::current();
    if placement == Placement::Inline {
        handle.spawn(worker.run());
    } else {
        let name = format!("inference-{index}");
        std::thread::Builder::new().name(name).spawn(move || handle.block_on(worker.run()))?;
    }
    Ok(())
}

/// Opens the model that the settings name, or that lies where a checkout or an archive puts it.
pub(crate) fn open<F: Function>(config: &Config) -> Result<Model, Failure> {
    let path = card::<F>(config)?;
    named::<F>(&path, Model::open(&path)?)
}

/// Returns where the card of the model is.
fn card<F: Function>(config: &Config) -> Result<PathBuf, Failure> {
    let unknown = || Failure::new(format!("no model card: set DROVER_MODEL to the model.toml of {}", F::NAME));
    config.model.clone().or_else(|| find(F::NAME)).ok_or_else(unknown)
}

/// Refuses the model of another function.
fn named<F: Function>(path: &Path, model: Model) -> Result<Model, Failure> {
    if model.name() == F::NAME {
        return Ok(model);
    }
    let card = path.display();
    Err(Failure::new(format!("{card} is the model of `{}`, this function is `{}`", model.name(), F::NAME)))
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
