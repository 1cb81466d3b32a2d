//! The master's end of a connection to a worker.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::clock::{Answer, Clock, Moment};
use super::key::{Key, Side, nonce};
use super::message::{FromMaster, FromWorker, Told};
use super::wire::{Lost, WORKER_BYTES_MAX, Wire};
use super::{Brief, Error, PING_EVERY, SILENCE};
use crate::drive::{Course, Share};

/// How long somebody may take to show that it knows the key.
const STRANGER_LIMIT: Duration = Duration::from_secs(5);
/// Questions to a new worker's clock.
const FIRST_PINGS: u64 = 8;
/// The longest name of a worker.
const NAME_MAX: usize = 100;

/// A worker that can take part.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    orders: mpsc::UnboundedSender<Order>,
    clock: Arc<Mutex<Clock>>,
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Order {
    Begin { run: u64, began: Instant, course: Course },
    Course { run: u64, course: Course },
    Bye,
}

/// What is to be known of a worker.
#[derive(Debug)]
pub(super) enum Event {
    /// It can take part.
    Joined(Link),
    /// It cannot.
    Unable(Error),
    /// It saw a second.
    Told(Box<Told>),
    /// It is about to end.
    Leaving,
    /// Its connection has ended.
    Gone(Lost),
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) key: Key,
    pub(super) brief: Brief,
    /// How many workers are expected at least.
    pub(super) expected: usize,
    /// The master's clock counts from here.
    pub(super) epoch: Instant,
    /// Each with the number of the worker.
    pub(super) events: mpsc::UnboundedSender<(usize, Event)>,
}

impl Link {
    pub(super) fn order(&self, order: Order) {
        // Who has gone is told of by its last event.
        let _gone = self.orders.send(order);
    }

    /// Returns how the worker's clock stands.
    pub(super) fn clock(&self) -> Option<Answer> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).best()
    }
}

impl Host {
    /// Goes through the life of a connection. What comes of it before the worker has shown that it knows the key
    /// is a line in the log, and nothing else.
    pub(super) async fn serve(&self, number: impl FnOnce() -> usize, stream: TcpStream, address: SocketAddr) {
        let greeted = timeout(STRANGER_LIMIT, self.greet(stream)).await;
        let (mut wire, name) = match greeted.unwrap_or(Err(Lost::Silent(STRANGER_LIMIT))) {
            Ok(Some(greeted)) => greeted,
            Ok(None) => return tracing::warn!(%address, "a worker was refused: its key or its version is another"),
            // Whoever looks whether somebody listens, such as Consul.
            Err(Lost::Closed | Lost::Io(_)) => return,
            Err(error) => return tracing::warn!(%address, %error, "somebody who is no worker was refused"),
        };
        let number = number();
        let gone = self.lead(&mut wire, number, &name, address).await;
        self.tell(number, Event::Gone(gone));
    }

    /// Lets who knows the key in, and shows that the master knows it.
    async fn greet(&self, stream: TcpStream) -> Result<Option<(Wire<FromWorker>, String)>, Lost> {
        let mut wire = Wire::new(stream)?;
        let (version, own) = (env!("CARGO_PKG_VERSION").to_owned(), nonce()?);
        wire.say(&FromMaster::Challenge { version: version.clone(), nonce: own.clone() }).await?;
        let FromWorker::Hello { version: theirs, name, nonce, proof } = wire.hear().await? else {
            return Err(Lost::Closed);
        };
        let words = [own.as_str(), &nonce, &name];
        let why = if !self.key.is_proven(&proof, Side::Worker, &words) {
            "its key is not this fleet's: give all of them the same LOADGEN_KEY or --key-file".to_owned()
        } else if theirs != version {
            format!("it is loadgen {theirs}, and the master is {version}")
        } else {
            wire.say(&FromMaster::Welcome { proof: self.key.prove(Side::Master, &words) }).await?;
            wire.trust(WORKER_BYTES_MAX);
            return Ok(Some((wire, name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect())));
        };
        wire.say(&FromMaster::Refused { why }).await?;
        Ok(None)
    }

    /// Tells the worker what to do, and everybody what it says, until it is lost.
    async fn lead(&self, wire: &mut Wire<FromWorker>, number: usize, name: &str, address: SocketAddr) -> Lost {
        let (orders, mut ordered) = mpsc::unbounded_channel();
        let clock = Arc::new(Mutex::new(Clock::default()));
        let link = Link { name: name.to_owned(), address, orders, clock: Arc::clone(&clock) };
        let mut talk = Talk { host: self, wire, clock, n_asked: 0, asked: Vec::new() };
        match talk.go(number, link, &mut ordered).await {
            Ok(()) => Lost::Closed,
            Err(lost) => lost,
        }
    }

    fn tell(&self, number: usize, event: Event) {
        // Nobody listens only while the master ends.
        let _over = self.events.send((number, event));
    }

    fn now(&self) -> Moment {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { clock_us: micros(self.epoch.elapsed()), unix_us: micros(unix) }
    }
}

/// The talk with one worker.
struct Talk<'a> {
    host: &'a Host,
    wire: &'a mut Wire<FromWorker>,
    clock: Arc<Mutex<Clock>>,
    n_asked: u64,
    /// Questions that have no answer yet.
    asked: Vec<(u64, Moment)>,
}

impl Talk<'_> {
    async fn go(
        &mut self,
        number: usize,
        link: Link,
        ordered: &mut mpsc::UnboundedReceiver<Order>,
    ) -> Result<(), Lost> {
        let mut link = Some(link);
        while self.n_asked < FIRST_PINGS {
            self.ping().await?;
            let answer = timeout(SILENCE, self.wire.hear()).await.map_err(|_| Lost::Silent(SILENCE))??;
            self.pong(&answer);
        }
        let share = Share { index: number, of: self.host.expected.max(number + 1) };
        let brief = Brief { share, ..self.host.brief.clone() };
        self.wire.say(&FromMaster::Brief(Box::new(brief))).await?;
        let mut ticks = interval(PING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A large brief takes its time.
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                said = self.wire.hear() => {
                    heard = Instant::now();
                    match said? {
                        FromWorker::Ready {} => {
                            if let Some(link) = link.take() {
                                self.host.tell(number, Event::Joined(link));
                            }
                        }
                        FromWorker::Unable { why } => {
                            let (name, address) =
                                link.take().map(|link| (link.name, link.address.to_string())).unwrap_or_default();
                            self.host.tell(number, Event::Unable(Error::Unable { name, address, why }));
                            return Ok(());
                        }
                        FromWorker::Second(told) => self.host.tell(number, Event::Told(told)),
                        FromWorker::Leaving {} => self.host.tell(number, Event::Leaving),
                        pong @ FromWorker::Pong { .. } => self.pong(&pong),
                        FromWorker::Hello { .. } => return Err(Lost::Closed),
                    }
                }
                order = ordered.recv() => match order {
                    Some(Order::Begin { run, began, course }) => {
                        let ahead = self.clock.lock().unwrap_or_else(PoisonError::into_inner).best();
                        let at = micros(began.saturating_duration_since(self.host.epoch));
                        let at_us = at.saturating_add(ahead.map_or(0, |ahead| ahead.ahead_us));
                        self.wire.say(&FromMaster::Begin { run, at_us, course }).await?;
                    }
                    Some(Order::Course { run, course }) => self.wire.say(&FromMaster::Course { run, course }).await?,
                    Some(Order::Bye) | None => {
                        self.wire.say(&FromMaster::Bye {}).await?;
                        return Ok(());
                    }
                },
                _ = ticks.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Err(Lost::Silent(SILENCE));
                    }
                    self.ping().await?;
                }
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Lost> {
        self.n_asked += 1;
        self.asked.push((self.n_asked, self.host.now()));
        self.wire.say(&FromMaster::Ping { number: self.n_asked }).await
    }

    fn pong(&mut self, said: &FromWorker) {
        let FromWorker::Pong { number, clock_us, unix_us } = *said else { return };
        let heard = self.host.now();
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, asked) in self.asked.extract_if(.., |(one, _)| *one == number) {
            clock.note(asked, Moment { clock_us, unix_us }, heard);
        }
    }
}

/// Returns whole microseconds.
pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
