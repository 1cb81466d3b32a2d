//! What the instances of a target need: sampled each second from their own `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Client;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use super::Endpoint;
use crate::report::{InstanceReport, Point, Range};
use crate::run::Needs;

const EVERY: Duration = Duration::from_secs(1);
/// How long an instance may take to answer; one that is full has its hands busy.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Samples instances until it is dropped.
#[derive(Debug)]
pub struct Usage {
    board: Arc<Mutex<Board>>,
    _task: AbortOnDropHandle<()>,
}

/// What the newest samples say of all instances.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Now {
    /// How many there are.
    pub instances: u64,
    /// CPU of the busiest, percent of its limit.
    pub cpu_percent: Option<f64>,
    /// Memory of the fullest, percent of its limit.
    pub ram_percent: Option<f64>,
}

/// What an instance said of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sample {
    cpu_seconds: Option<f64>,
    memory_bytes: Option<f64>,
    cpu_limit_cores: Option<f64>,
    memory_limit_bytes: Option<f64>,
    invocations: Option<f64>,
}

#[derive(Debug, Default)]
struct Board {
    /// Those that run now.
    n_now: usize,
    all: BTreeMap<(String, SocketAddr), Seen>,
}

/// What has been seen of an instance.
#[derive(Debug, Default)]
struct Seen {
    last: Option<(Instant, Sample)>,
    requests: f64,
    cpu: Series,
    ram: Series,
}

#[derive(Debug, Default)]
struct Series {
    n: f64,
    sum: f64,
    max: f64,
    newest: Option<f64>,
}

impl Usage {
    /// Begins to sample: see [`Target::instances`](super::Target::instances).
    ///
    /// # Errors
    /// If no client can be made.
    pub fn start(instances: watch::Receiver<Arc<Vec<Endpoint>>>) -> Result<Self, reqwest::Error> {
        let client = Client::builder().no_proxy().timeout(ANSWER_LIMIT).build()?;
        let board = Arc::new(Mutex::new(Board::default()));
        let task = tokio::spawn(sample(client, instances, Arc::clone(&board)));
        Ok(Self { board, _task: AbortOnDropHandle::new(task) })
    }

    /// Returns what the newest samples say.
    #[must_use]
    pub fn now(&self) -> Now {
        let board = lock(&self.board);
        let most = |of: fn(&Seen) -> Option<f64>| board.all.values().filter_map(of).max_by(f64::total_cmp);
        Now {
            instances: board.n_now as u64,
            cpu_percent: most(|seen| seen.cpu.newest),
            ram_percent: most(|seen| seen.ram.newest),
        }
    }

    /// Returns what each instance needed and answered since the start or the last [`reset`](Self::reset), also of
    /// those that have gone.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceReport> {
        let board = lock(&self.board);
        board.all.iter().map(|((id, address), seen)| seen.report(id, *address)).collect()
    }

    /// Forgets what has been measured so far.
    pub fn reset(&self) {
        let mut board = lock(&self.board);
        for seen in board.all.values_mut() {
            *seen = Seen { last: seen.last, ..Seen::default() };
        }
    }
}

impl Needs for Usage {
    fn reset(&self) {
        self.reset();
    }

    fn fill(&self, point: &mut Point) {
        let now = self.now();
        (point.instances, point.cpu_percent, point.ram_percent) =
            (Some(now.instances), now.cpu_percent, now.ram_percent);
    }

    fn instances(&self) -> Vec<InstanceReport> {
        self.instances()
    }
}

async fn sample(client: Client, instances: watch::Receiver<Arc<Vec<Endpoint>>>, board: Arc<Mutex<Board>>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // An instance that comes later has begun to count after the run did.
    let mut is_first = true;
    loop {
        ticks.tick().await;
        let all = Arc::clone(&instances.borrow());
        let client = &client;
        let asked = all.iter().map(|endpoint| async move {
            let answer = client.get(format!("http://{}/metrics", endpoint.address)).send().await.ok()?;
            let text = answer.error_for_status().ok()?.text().await.ok()?;
            Some((endpoint, Instant::now(), Sample::read(&text)))
        });
        let samples: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        let mut board = lock(&board);
        board.n_now = all.len();
        board.all.values_mut().for_each(|seen| (seen.cpu.newest, seen.ram.newest) = (None, None));
        for endpoint in all.iter().filter(|_| is_first) {
            board.all.entry(endpoint.key()).or_default();
        }
        is_first = false;
        for (endpoint, at, sample) in samples {
            let from_zero =
                || Seen { last: Some((at, Sample { invocations: Some(0.0), ..Sample::default() })), ..Seen::default() };
            board.all.entry(endpoint.key()).or_insert_with(from_zero).add(at, sample);
        }
    }
}

impl Endpoint {
    fn key(&self) -> (String, SocketAddr) {
        let id = self.instance.as_ref().map_or_else(|| self.address.to_string(), ToString::to_string);
        (id, self.address)
    }
}

impl Sample {
    /// Reads Prometheus text.
    fn read(text: &str) -> Self {
        let mut sample = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            match series.split('{').next().unwrap_or_default() {
                "process_cpu_seconds_total" => sample.cpu_seconds = Some(value),
                "process_resident_memory_bytes" => sample.memory_bytes = Some(value),
                "drover_cpu_limit_cores" => sample.cpu_limit_cores = Some(value),
                "drover_memory_limit_bytes" => sample.memory_limit_bytes = Some(value),
                "drover_invocations_total" => *sample.invocations.get_or_insert(0.0) += value,
                _ => {}
            }
        }
        sample
    }
}

impl Seen {
    fn add(&mut self, at: Instant, sample: Sample) {
        let share = |part: Option<f64>, whole: Option<f64>| Some(100.0 * part? / whole.filter(|n| *n > 0.0)?);
        self.ram.add(share(sample.memory_bytes, sample.memory_limit_bytes));
        if let Some((before, last)) = self.last {
            // A counter that falls begins anew: the process is another one.
            let grown = |now: Option<f64>, then: Option<f64>| Some(now? - then?).filter(|grown| *grown >= 0.0);
            let seconds = at.duration_since(before).as_secs_f64();
            let cores = grown(sample.cpu_seconds, last.cpu_seconds).map(|cpu| cpu / seconds.max(f64::EPSILON));
            self.cpu.add(share(cores, sample.cpu_limit_cores));
            self.requests += grown(sample.invocations, last.invocations).or(sample.invocations).unwrap_or_default();
        }
        self.last = Some((at, sample));
    }

    fn report(&self, id: &str, address: SocketAddr) -> InstanceReport {
        let last = self.last.map(|(_, sample)| sample).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts and bytes, far below 2^53")]
        let whole = |n: f64| n.max(0.0) as u64;
        InstanceReport {
            id: id.to_owned(),
            address: address.to_string(),
            requests: whole(self.requests),
            cpu_limit_cores: last.cpu_limit_cores,
            memory_limit_bytes: last.memory_limit_bytes.map(whole),
            cpu_percent: self.cpu.range(),
            ram_percent: self.ram.range(),
        }
    }
}

impl Series {
    fn add(&mut self, value: Option<f64>) {
        self.newest = value;
        if let Some(value) = value {
            self.n += 1.0;
            self.sum += value;
            self.max = self.max.max(value);
        }
    }

    fn range(&self) -> Option<Range> {
        (self.n > 0.0).then(|| Range { mean: self.sum / self.n, max: self.max })
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cpu: f64, memory: f64, invocations: [f64; 2]) -> String {
        format!(
            "# HELP process_cpu_seconds_total x\nprocess_cpu_seconds_total {cpu}\nprocess_resident_memory_bytes {memory}\n\
             drover_cpu_limit_cores 0.5\ndrover_memory_limit_bytes 1000\n\
             drover_invocations_total{{code=\"200\",kind=\"ok\"}} {}\ndrover_invocations_total{{code=\"422\",kind=\"x y\"}} {}\n",
            invocations[0], invocations[1]
        )
    }

    #[test]
    fn shares_are_of_the_limits_and_a_restart_is_no_fall() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let mut add = |second: u64, text: &str| seen.add(start + Duration::from_secs(second), Sample::read(text));
        add(0, &text(1.0, 500.0, [10.0, 0.0]));
        add(1, &text(1.25, 600.0, [30.0, 5.0]));
        add(3, &text(2.25, 700.0, [50.0, 5.0]));
        // Another process at the same place.
        add(4, &text(0.1, 100.0, [7.0, 0.0]));
        let report = seen.report("i1", ([127, 0, 0, 1], 80).into());
        assert_eq!(report.requests, 25 + 20 + 7);
        assert_eq!(report.cpu_percent, Some(Range { mean: 75.0, max: 100.0 }));
        assert_eq!(report.ram_percent, Some(Range { mean: 47.5, max: 70.0 }));
        assert_eq!((report.cpu_limit_cores, report.memory_limit_bytes), (Some(0.5), Some(1000)));
    }

    #[test]
    fn what_an_instance_does_not_say_is_not_made_up() {
        let mut seen = Seen::default();
        let sample = Sample::read("process_cpu_seconds_total 3\nother{a=\"b c\"} 5\nbroken\n");
        assert_eq!(sample, Sample { cpu_seconds: Some(3.0), ..Sample::default() });
        seen.add(Instant::now(), sample);
        let report = seen.report("i1", ([127, 0, 0, 1], 80).into());
        assert_eq!((report.cpu_percent, report.ram_percent, report.requests), (None, None, 0));
    }
}
