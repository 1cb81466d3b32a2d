//! A worker: does what a master says.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Brief;
use super::key::{Key, Side, nonce};
use super::link::micros;
use super::master::is_own;
use super::message::{FromMaster, FromWorker, Told};
use super::packed::Packed;
use super::wire::{BRIEF_BYTES_MAX, Lost, Wire};
use crate::control::Control;
use crate::drive::Course;
use crate::run::{Local, Run};

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A master that says nothing for so long is gone. It asks each second.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same while a brief, which may be large, is on its way.
const BRIEF_PATIENCE: Duration = Duration::from_secs(90);

/// One worker.
#[derive(Debug)]
pub struct Worker {
    /// Its name in reports.
    pub name: String,
    /// The fleet's key.
    pub key: Key,
    /// Ends it: it leaves its share to the others, and waits for its last answers.
    pub leave: CancellationToken,
}

/// Why a worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The master needs it no more.
    Dismissed,
    /// It was told to leave.
    Left,
}

/// Why a worker does not take part.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The connection has ended. Trying again may help.
    #[error("{0}")]
    Lost(#[from] Lost),
    /// Without a key only this machine's own master is obeyed.
    #[error("it is on another machine: give LOADGEN_KEY or --key-file")]
    NoKey,
    /// The master does not want it.
    #[error("the master refuses this worker: {0}")]
    ByMaster(String),
    /// Whoever listens there does not know the key.
    #[error("whoever listens there does not know the fleet's key, and is not obeyed")]
    Master,
    /// It cannot do what the brief says.
    #[error("this worker cannot take part: {0}")]
    Unable(String),
}

type Preparing<'a> = Pin<Box<dyn Future<Output = Result<Run, String>> + 'a>>;

/// What a worker has in hand.
struct Hand<'a> {
    /// Its clock counts from here.
    epoch: Instant,
    preparing: Option<Preparing<'a>>,
    run: Option<Run>,
    /// The run that goes on, with its number.
    going: Option<(u64, Local)>,
    is_leaving: bool,
}

impl Worker {
    /// Does what the master at `address`, a name or address with a port, says, until it is dismissed or told to
    /// leave. `prepare` makes a run of a brief.
    ///
    /// # Errors
    /// Why it does not go on.
    pub async fn work<F>(&self, address: &str, prepare: impl Fn(Brief) -> F) -> Result<Ended, Refused>
    where
        F: Future<Output = Result<Run, String>>,
    {
        let mut wire = tokio::select! {
            greeted = self.greet(address) => greeted?,
            () = self.leave.cancelled() => return Ok(Ended::Left),
        };
        tracing::info!("the master at {address} is found");
        let mut hand = Hand { epoch: Instant::now(), preparing: None, run: None, going: None, is_leaving: false };
        let ended = self.obey(&mut wire, &mut hand, prepare).await;
        if let Some((_, mut local)) = hand.going {
            // Nobody is there to steer it.
            local.follow(Control::Stop);
            while local.second().await.is_some() {}
        }
        ended
    }

    /// Shows the master that this worker knows the key, and lets the master show it.
    async fn greet(&self, address: &str) -> Result<Wire<FromMaster>, Refused> {
        let silent = |_| Lost::Silent(CONNECT_LIMIT);
        let stream = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await.map_err(silent)?;
        let stream = stream.map_err(Lost::Io)?;
        if self.key.is_none() && !is_own(stream.peer_addr().map_err(Lost::Io)?) {
            return Err(Refused::NoKey);
        }
        let mut wire = Wire::new(stream).map_err(Lost::Io)?;
        let talk = async {
            let (name, own) = (&self.name, nonce().map_err(Lost::Io)?);
            let FromMaster::Challenge { version: _, nonce } = wire.hear().await? else {
                return Err(Refused::Master);
            };
            let words = [nonce.as_str(), &own, name];
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let proof = self.key.prove(Side::Worker, &words);
            wire.say(&FromWorker::Hello { version, name: name.clone(), nonce: own.clone(), proof }).await?;
            match wire.hear().await? {
                FromMaster::Welcome { proof } if self.key.is_proven(&proof, Side::Master, &words) => Ok(()),
                FromMaster::Refused { why } => Err(Refused::ByMaster(why)),
                _ => Err(Refused::Master),
            }
        };
        timeout(CONNECT_LIMIT, talk).await.map_err(silent)??;
        wire.trust(BRIEF_BYTES_MAX);
        Ok(wire)
    }

    async fn obey<'a, F>(
        &self,
        wire: &mut Wire<FromMaster>,
        hand: &mut Hand<'a>,
        prepare: impl Fn(Brief) -> F,
    ) -> Result<Ended, Refused>
    where
        F: Future<Output = Result<Run, String>> + 'a,
    {
        let mut heard = Instant::now();
        loop {
            let is_informed = hand.run.is_some() || hand.preparing.is_some();
            let patience = if is_informed { PATIENCE } else { BRIEF_PATIENCE };
            tokio::select! {
                message = wire.hear() => {
                    heard = Instant::now();
                    match message? {
                        FromMaster::Brief(brief) => hand.preparing = Some(Box::pin(prepare(*brief))),
                        FromMaster::Bye {} => return Ok(Ended::Dismissed),
                        FromMaster::Ping { number } => wire.say(&hand.pong(number)).await?,
                        FromMaster::Begin { run, at_us, course } => hand.begin(run, at_us, course)?,
                        FromMaster::Course { run, course } => hand.steer(run, course),
                        FromMaster::Challenge { .. } | FromMaster::Welcome { .. } | FromMaster::Refused { .. } => {
                            return Err(Refused::Master);
                        }
                    }
                }
                prepared = prepared(&mut hand.preparing) => {
                    hand.preparing = None;
                    match prepared {
                        Ok(run) => hand.run = Some(run),
                        Err(why) => {
                            wire.say(&FromWorker::Unable { why: why.clone() }).await?;
                            return Err(Refused::Unable(why));
                        }
                    }
                    wire.say(&FromWorker::Ready {}).await?;
                }
                told = told(&mut hand.going) => {
                    let is_last = told.number.is_none();
                    wire.say(&FromWorker::Second(Box::new(told))).await?;
                    if is_last {
                        hand.going = None;
                        if hand.is_leaving {
                            return Ok(Ended::Left);
                        }
                    }
                }
                () = self.leave.cancelled(), if !hand.is_leaving => {
                    hand.is_leaving = true;
                    wire.say(&FromWorker::Leaving {}).await?;
                    if hand.going.is_none() {
                        return Ok(Ended::Left);
                    }
                }
                () = tokio::time::sleep_until((heard + patience).into()) => return Err(Lost::Silent(patience).into()),
            }
        }
    }
}

impl Hand<'_> {
    fn pong(&self, number: u64) -> FromWorker {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        FromWorker::Pong { number, clock_us: micros(self.epoch.elapsed()), unix_us: micros(unix) }
    }

    fn begin(&mut self, number: u64, at_us: i64, course: Course) -> Result<(), Refused> {
        let unable = |why: &dyn std::fmt::Display| Refused::Unable(why.to_string());
        let Some(run) = &self.run else { return Err(unable(&"it was to begin before it was ready")) };
        let at = Duration::from_micros(at_us.unsigned_abs());
        let began = if at_us < 0 { self.epoch.checked_sub(at) } else { self.epoch.checked_add(at) };
        let began = began.ok_or_else(|| unable(&"the master's clock is no clock"))?;
        let local = Local::start(run, began, course).map_err(|e| unable(&e))?;
        self.going = Some((number, local));
        Ok(())
    }

    fn steer(&self, number: u64, course: Course) {
        if let Some((_, local)) = self.going.as_ref().filter(|(run, _)| *run == number) {
            local.steer(course);
        }
    }
}

/// Waits for what is being prepared; for ever if nothing is. Cancel safe.
async fn prepared(preparing: &mut Option<Preparing<'_>>) -> Result<Run, String> {
    match preparing {
        Some(preparing) => preparing.await,
        None => std::future::pending().await,
    }
}

/// Waits for the next second of the run that goes on; for ever if none does. Cancel safe.
async fn told(going: &mut Option<(u64, Local)>) -> Told {
    let Some((run, local)) = going else { std::future::pending().await };
    let Some((second, standing)) = local.second().await else { std::future::pending().await };
    Told {
        run: *run,
        number: second.number,
        seen: Packed::of(&second.seen),
        usage: standing.usage,
        cpu_percent: standing.cpu_percent,
        invalid: standing.invalid,
    }
}
