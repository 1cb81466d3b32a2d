//! A timer that is right to some ten microseconds.
//!
//! The timers of tokio go off at whole milliseconds and are rounded up, so that each request of a schedule
//! would be 1 ms late on average, and that would be counted as the target's. The kernel's timer is not.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{timerfd_create, timerfd_settime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "its successor is unsafe; what that asks for, an owned descriptor upholds")]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Waits until `at`. Cancel safe: who waits anew sets the timer anew.
    pub(super) async fn until(&self, at: Instant) -> io::Result<()> {
        const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // What is further away than the timer can be set is waited for in parts.
            let left = left.min(Duration::from_secs(3600));
            let it_value =
                Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(1), tv_nsec: left.subsec_nanos().into() };
            let new = Itimerspec { it_interval: NEVER, it_value };
            timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &new)?;
            let mut ready = self.timer.readable().await?;
            // Nothing is there to be read if it was set anew meanwhile.
            let _read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0; 8])?));
        }
    }
}
