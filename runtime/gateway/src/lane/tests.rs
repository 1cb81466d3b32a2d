use std::collections::BTreeMap;

use drover_core::InstanceId;
use drover_engine::{Instance, InstanceState};
use proptest::prelude::*;

use super::*;
use crate::metrics::Metrics;

fn instance(n: u16, state: InstanceState, slots: usize) -> Arc<Instance> {
    Arc::new(Instance {
        id: InstanceId::from(format!("i{n}").as_str()),
        function: "penguins".parse().unwrap(),
        index: u32::from(n),
        address: Some(([127, 0, 0, 1], 40_000 + n).into()),
        state,
        reason: None,
        restarts: 0,
        node: None,
        pid: None,
        meta: BTreeMap::from([("slots".into(), slots.to_string())]),
    })
}

fn lane(settings: Settings) -> Arc<Lane> {
    let metrics = Metrics::new().unwrap();
    Lane::new("penguins".parse().unwrap(), settings, metrics.lane("penguins"), Arc::default())
}

fn show(lane: &Arc<Lane>, instances: Vec<Arc<Instance>>) -> Vec<(Arc<Backend>, Out)> {
    lane.show(&Arc::new(Function { instances, ..Function::default() }))
}

/// Takes a slot if one is free at once.
async fn take(lane: &Arc<Lane>) -> Option<Lease> {
    let wait = Duration::from_millis(1);
    tokio::time::timeout(wait, lane.lease(&mut None, 0, None)).await.ok().map(Result::unwrap)
}

#[tokio::test(start_paused = true)]
async fn no_instance_holds_more_than_its_slots() {
    let lane = lane(Settings::default());
    show(&lane, vec![instance(0, InstanceState::Ready, 2), instance(1, InstanceState::Ready, 1)]);
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(take(&lane).await.expect("a slot is free"));
    }
    assert!(take(&lane).await.is_none());
    let in_flight: Vec<_> = lane.instances().iter().map(|(b, n, _)| (b.index, *n)).collect();
    assert_eq!(in_flight, [(0, 2), (1, 1)]);
    leases.pop();
    assert!(take(&lane).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_when_nobody_will_run() {
    let lane = lane(Settings::default());
    let asked = Instant::now();
    let tell = async {
        tokio::task::yield_now().await;
        lane.may_wake(false);
    };
    let mut place = None;
    let (waited, ()) = tokio::join!(lane.lease(&mut place, 7, None), tell);
    assert_eq!(waited.unwrap_err().kind, ErrorKind::NotReady);
    assert!(asked.elapsed() < Settings::default().cold_start_timeout);
    assert_eq!((lane.load().n_waiting, lane.state().waiting.n_bytes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_the_order_in_which_they_came() {
    let lane = lane(Settings::default());
    show(&lane, vec![instance(0, InstanceState::Ready, 1)]);
    let first = take(&lane).await.unwrap();
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..5 {
        let (lane, sender) = (Arc::clone(&lane), sender.clone());
        tokio::spawn(async move {
            let lease = lane.lease(&mut None, 0, None).await.unwrap();
            sender.send(n).unwrap();
            drop(lease);
        });
        tokio::task::yield_now().await;
    }
    assert_eq!(lane.load().n_waiting, 5);
    drop(first);
    for n in 0..5 {
        assert_eq!(served.recv().await, Some(n));
    }
    assert_eq!(lane.load().n_waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_the_queue_gives_the_place_back() {
    let lane = lane(Settings { queue_max: 1, ..Settings::default() });
    show(&lane, vec![instance(0, InstanceState::Ready, 1)]);
    let lease = take(&lane).await.unwrap();
    for _ in 0..3 {
        assert!(take(&lane).await.is_none());
        assert_eq!(lane.load().n_waiting, 0);
    }
    let waits = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { lane.lease(&mut None, 0, None).await.map(drop) }
    });
    tokio::task::yield_now().await;
    let full = lane.lease(&mut None, 0, None).await.unwrap_err();
    assert_eq!(
        (full.kind, full.detail.as_str()),
        (ErrorKind::Overloaded, "the queue of `penguins` is full: 1 requests, limit is 1")
    );
    drop(lease);
    waits.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_in_bytes_too() {
    let lane = lane(Settings { queue_max_bytes: 100, ..Settings::default() });
    let waits = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { lane.lease(&mut None, 60, None).await.map(drop) }
    });
    tokio::task::yield_now().await;
    let full = lane.lease(&mut None, 41, None).await.unwrap_err();
    assert_eq!(full.detail, "the queue of `penguins` is full: 60 bytes of bodies, limit is 100");
    show(&lane, vec![instance(0, InstanceState::Ready, 1)]);
    waits.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_takes_a_slot_of_a_new_instance() {
    let lane = lane(Settings::default());
    show(&lane, vec![instance(0, InstanceState::Ready, 1)]);
    let busy = take(&lane).await.unwrap();
    let waits = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { lane.lease(&mut None, 0, None).await.unwrap().backend.index }
    });
    tokio::task::yield_now().await;
    let to_ask = show(&lane, vec![instance(0, InstanceState::Ready, 1), instance(1, InstanceState::Starting, 1)]);
    assert_eq!(to_ask.iter().map(|(b, why)| (b.index, *why)).collect::<Vec<_>>(), [(1, Out::New)]);
    assert!(!waits.is_finished());
    lane.open(&to_ask[0].0);
    assert_eq!(waits.await.unwrap(), 1);
    drop(busy);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_back_is_first_and_goes_elsewhere() {
    let lane = lane(Settings::default());
    show(&lane, vec![instance(0, InstanceState::Ready, 1), instance(1, InstanceState::Ready, 1)]);
    let (a, b) = (take(&lane).await.unwrap(), take(&lane).await.unwrap());
    let (failed, mut place) = (Arc::clone(&a.backend), None);
    let later = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { lane.lease(&mut None, 0, None).await.unwrap() }
    });
    tokio::task::yield_now().await;
    // It came before the other one.
    place.replace(0);
    let again = tokio::spawn({
        let lane = Arc::clone(&lane);
        async move { lane.lease(&mut place, 0, Some(&failed)).await.unwrap() }
    });
    tokio::task::yield_now().await;
    let (index_a, index_b) = (a.backend.index, b.backend.index);
    drop(a);
    assert_eq!(later.await.unwrap().backend.index, index_a);
    drop(b);
    assert_eq!(again.await.unwrap().backend.index, index_b);
}

#[tokio::test(start_paused = true)]
async fn never_more_than_half_are_out_for_failing_but_all_may_be_unreachable() {
    let lane = lane(Settings::default());
    show(&lane, (0..4).map(|n| instance(n, InstanceState::Ready, 1)).collect());
    let all: Vec<_> = lane.instances().into_iter().map(|(backend, ..)| backend).collect();
    let ejected: Vec<_> = all.iter().map(|backend| lane.eject(backend, Out::Failing)).collect();
    assert_eq!(ejected, [true, true, false, false]);
    assert!(lane.eject(&all[2], Out::Unreachable) && lane.eject(&all[3], Out::Unreachable));
    assert_eq!(lane.n_open(), 0);
    lane.open(&all[1]);
    assert_eq!(take(&lane).await.unwrap().backend.index, 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_leaves_finishes_and_takes_nothing_new() {
    let lane = lane(Settings::default());
    show(&lane, vec![instance(0, InstanceState::Ready, 8)]);
    let lease = take(&lane).await.unwrap();
    show(&lane, vec![instance(0, InstanceState::Draining, 8)]);
    assert!(take(&lane).await.is_none());
    show(&lane, vec![]);
    assert_eq!(lane.instances().len(), 1);
    assert!(lease.backend.gone.is_cancelled());
    drop(lease);
    assert_eq!(lane.instances().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_anybody_to_start_one_a_request_does_not_wait() {
    let lane = lane(Settings::default());
    lane.may_wake(false);
    assert_eq!(lane.lease(&mut None, 0, None).await.unwrap_err().kind, ErrorKind::NotReady);
    lane.may_wake(true);
    let late = lane.lease(&mut None, 0, None).await.unwrap_err();
    assert_eq!(
        (late.kind, late.detail.as_str()),
        (ErrorKind::ColdStartTimeout, "no instance of `penguins` came within 30s")
    );
}

#[tokio::test(start_paused = true)]
async fn load_is_weighted_by_time() {
    let lane = lane(Settings::default());
    let visit = lane.enter(Instant::now(), None);
    assert_eq!((lane.load().n_requests, lane.load().n_inside), (1, 1));
    std::thread::sleep(Duration::from_millis(20));
    drop(visit);
    let load = lane.load();
    assert!((0.02..1.0).contains(&load.request_seconds) && load.n_inside == 0, "{load:?}");
}

/// What may happen to a lane.
#[derive(Debug, Clone, Copy)]
enum Step {
    Ask,
    Finish(usize),
    Leave(usize),
    Show(u16),
    Eject(usize),
    Open(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        3 => (0..8usize).prop_map(Step::Finish),
        1 => (0..8usize).prop_map(Step::Leave),
        1 => (0..4u16).prop_map(Step::Show),
        1 => (0..4usize).prop_map(Step::Eject),
        1 => (0..4usize).prop_map(Step::Open),
    ]
}

proptest! {
    /// Whatever happens: no instance holds more than its slots, and nobody waits while a slot is free.
    #[test]
    fn slots_are_neither_lost_nor_given_twice(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let lane = lane(Settings::default());
            let (mut waits, mut held) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Ask => {
                        let lane = Arc::clone(&lane);
                        waits.push(tokio::spawn(async move { lane.lease(&mut None, 1, None).await }));
                    }
                    Step::Finish(n) if n < held.len() => drop(held.swap_remove(n)),
                    Step::Leave(n) if n < waits.len() => waits.swap_remove(n).abort(),
                    Step::Show(n) => drop(show(&lane, (0..n).map(|n| instance(n, InstanceState::Ready, 2)).collect())),
                    Step::Eject(n) => drop(lane.instances().get(n).map(|(b, ..)| lane.eject(b, Out::Unreachable))),
                    Step::Open(n) => drop(lane.instances().get(n).map(|(b, ..)| lane.open(b))),
                    _ => {}
                }
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
                let (done, pending): (Vec<_>, Vec<_>) = waits.into_iter().partition(|w: &tokio::task::JoinHandle<_>| w.is_finished());
                waits = pending;
                for lease in done {
                    held.extend(lease.await.ok().map(Result::unwrap));
                }
                let all = lane.instances();
                assert!(all.iter().all(|(_, n, _)| *n <= 2), "{all:?}");
                assert_eq!(all.iter().map(|(_, n, _)| n).sum::<usize>(), held.len());
                let free = all.iter().any(|(b, n, out)| *n < 2 && out.is_none() && !b.gone.is_cancelled());
                assert!(!free || lane.load().n_waiting == 0, "{all:?}");
            }
        });
    }
}
