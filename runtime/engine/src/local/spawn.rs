//! Starts processes from one thread that lives as long as the engine.
//!
//! The kernel's parent-death signal is tied to the thread that forked, not to the process: a child of
//! a pool thread would be killed when the pool shrinks.

use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

type Order = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts processes from one thread.
#[derive(Debug)]
pub(crate) struct Spawner {
    orders: mpsc::Sender<Order>,
}

impl Spawner {
    /// Starts the thread. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says when no thread can be made.
    pub(crate) fn start() -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        let runtime = tokio::runtime::Handle::current();
        thread::Builder::new().name("spawner".into()).spawn(move || {
            let _inside = runtime.enter();
            for (mut command, reply) in inbox {
                let _receiver_gone = reply.send(command.spawn());
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts `command`.
    ///
    /// # Errors
    /// What the kernel says, e.g. that there is no such program.
    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the spawner thread has ended");
        self.orders.send((command, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
