//! The tables of a report, the same in a terminal and in Markdown.

use super::figures::{bytes, count, millis, percent, rate, share};
use super::table::Table;
use super::{Latency, Range, Report, TaskReport, Usage};

/// Returns the tables that have rows, each with its title.
pub(super) fn sections(report: &Report) -> Vec<(&'static str, Table)> {
    let mut sections = vec![("Response times, from the moment a request was due", tasks(report, |task| &task.latency))];
    if is_corrected(report) {
        sections.push(("Response times, from the moment it was sent", tasks(report, |task| &task.service)));
    }
    sections.extend([
        ("Failures", failures(report)),
        ("Promises", promises(report)),
        ("Instances", instances(report)),
        ("Generator", generator(report)),
        ("Clocks of workers, as the master sees them", clocks(report)),
    ]);
    sections.retain(|(_, table)| !table.is_empty());
    sections
}

/// Whether it makes a difference from when a request is measured.
pub(super) fn is_corrected(report: &Report) -> bool {
    report.total.latency != report.total.service
}

fn tasks(report: &Report, of: impl Fn(&TaskReport) -> &Latency) -> Table {
    let figures = ["Requests", "Failures", "Requests/s", "Mean", "p50", "p90", "p95", "p99", "p99.9", "Max", "Bytes"];
    let mut table = Table::new(["Task"], figures);
    let one_only = report.tasks.len() == 1;
    for (task, name) in report.tasks.iter().map(|task| (task, task.name.as_str())).chain([(&report.total, "all")]) {
        if one_only && name == "all" {
            continue;
        }
        let l = of(task);
        let failed = share(task.failures, task.requests);
        let failures =
            if task.failures == 0 { "0".into() } else { format!("{} ({})", count(task.failures), percent(failed)) };
        let name = if task.method.is_empty() { name.to_owned() } else { format!("{} {name}", task.method) };
        let times = [l.mean_ms, l.p50_ms, l.p90_ms, l.p95_ms, l.p99_ms, l.p999_ms, l.max_ms];
        let times = times.map(|ms| if task.requests == 0 { String::from("-") } else { millis(ms) });
        let size = bytes_of(task.mean_bytes);
        table.row([name, count(task.requests), failures, rate(task.rps)].into_iter().chain(times).chain([size]));
    }
    table
}

fn failures(report: &Report) -> Table {
    let mut table = Table::new(["Task", "Kind", "What"], ["How often"]);
    for failure in &report.failures {
        let task = format!("{} {}", failure.method, failure.task).trim().to_owned();
        table.row([task, failure.kind.clone(), failure.detail.clone(), count(failure.count)]);
    }
    table
}

fn promises(report: &Report) -> Table {
    let mut table = Table::new(["Promise", "Task", "Seen", "Kept"], []);
    for promise in &report.promises {
        let kept = match promise.kept {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not known",
        };
        let task = promise.task.clone().unwrap_or_else(|| "all".into());
        table.row([promise.promise.clone(), task, promise.seen.clone(), kept.into()]);
    }
    table
}

fn instances(report: &Report) -> Table {
    let figures = ["Requests", "Share", "CPU limit", "CPU mean", "CPU max", "RAM limit", "RAM mean", "RAM max"];
    let mut table = Table::new(["Instance", "Address"], figures);
    let all = report.instances.iter().map(|instance| instance.requests).sum();
    for instance in &report.instances {
        let range = |range: Option<Range>| {
            range.map_or(["-".into(), "-".into()], |r| [percent(r.mean), percent(r.max)]).into_iter()
        };
        let cpu = instance.cpu_limit_cores.map_or_else(|| "-".into(), rate);
        let ram = instance.memory_limit_bytes.map_or_else(|| "-".into(), bytes);
        let begin = [instance.id.clone(), instance.address.clone()];
        let counts = [count(instance.requests), percent(share(instance.requests, all)), cpu];
        let row = begin.into_iter().chain(counts).chain(range(instance.cpu_percent)).chain([ram]);
        table.row(row.chain(range(instance.ram_percent)));
    }
    table
}

fn generator(report: &Report) -> Table {
    let mut table =
        Table::new(["Generator"], ["Requests", "Late", "CPU mean", "CPU max", "Cores", "RAM", "Waited/s", "Stolen/s"]);
    let mut row = |name: String, requests, late, usage: &Usage| {
        let cpu = [percent(usage.cpu_percent.mean), percent(usage.cpu_percent.max), rate(usage.cores)];
        let row = [name, count(requests), count(late)].into_iter().chain(cpu);
        table.row(row.chain([bytes(usage.memory_bytes), millis(usage.waited_ms), millis(usage.stolen_ms)]));
    };
    let name = if report.workers.is_empty() { "this process" } else { "all workers" };
    row(name.into(), report.total.requests, report.late, &report.generator);
    for worker in &report.workers {
        let lost = if worker.lost { " LOST" } else { "" };
        let name = format!("{} {}{lost}", worker.id, worker.address);
        row(name, worker.requests, worker.late, &worker.usage);
    }
    table
}

fn clocks(report: &Report) -> Table {
    let mut table = Table::new(["Worker"], ["Ahead", "Round trip"]);
    for worker in &report.workers {
        let ahead = if worker.clock_ahead_ms < 0.0 { "-" } else { "" };
        let ahead = format!("{ahead}{}", millis(worker.clock_ahead_ms.abs()));
        table.row([worker.id.clone(), ahead, millis(worker.round_trip_ms)]);
    }
    table
}

fn bytes_of(mean: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and it saturates")]
    bytes(mean.round() as u64)
}
