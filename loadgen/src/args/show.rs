//! What is promised, shown and written.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use loadgen::report::{Report, csv, html, json, markdown};
use loadgen::scenario;
use loadgen::slo::{self, Promise};

/// What is promised, shown and written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct ShowArgs {
    /// What must hold, of all or a task: 'p95<1s,failures<1%,predict:p99<2s,rps>900,cpu<90%,ram<90%'.
    #[arg(long, value_name = "PROMISES")]
    pub(crate) slo: Vec<String>,
    /// Ends the run once a promise is broken for good.
    #[arg(long)]
    pub(crate) abort_on_fail: bool,
    /// Shows nothing while it runs.
    #[arg(long)]
    pub(crate) headless: bool,
    /// A live page, which starts the run. Without a target it waits for the console to say what to run.
    #[arg(long, conflicts_with = "headless")]
    pub(crate) web: bool,
    /// The live page's port.
    #[arg(short = 'P', long, default_value_t = 8089)]
    pub(crate) web_port: u16,
    /// The live page's address.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) web_host: IpAddr,
    /// Starts the run without waiting for the page.
    #[arg(long, requires = "web")]
    pub(crate) autostart: bool,
    /// Ends with the run; the page goes with it.
    #[arg(long, requires = "web")]
    pub(crate) autoquit: bool,
    /// Writes PREFIX_stats.csv, PREFIX_stats_history.csv and PREFIX_failures.csv, each second while it runs.
    #[arg(long, value_name = "PREFIX")]
    csv: Option<PathBuf>,
    /// Writes a page with charts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes all figures; `loadgen schema` says how, `loadgen compare` reads them.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes tables.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

impl ShowArgs {
    /// Reads what is promised, on the command line or else in the scenario.
    pub(crate) fn promises(&self, scenario: Option<&scenario::Settings>) -> Result<Vec<Promise>> {
        let mut promises = Vec::new();
        for text in &self.slo {
            promises.extend(slo::parse(text).context("--slo")?);
        }
        let written = scenario.map(|settings| settings.promises.as_slice()).unwrap_or_default();
        for one in written.iter().filter(|_| self.slo.is_empty()) {
            let parsed = slo::parse(&one.text).with_context(|| one.place.clone())?;
            promises.extend(
                parsed.into_iter().map(|promise| Promise { task: promise.task.or(one.task.clone()), ..promise }),
            );
        }
        Ok(promises)
    }

    /// Makes the files that are written while it runs, if they are asked for.
    pub(crate) fn csv(&self) -> Result<Option<csv::Files>> {
        let files = self.csv.as_ref().map(|prefix| {
            csv::Files::create(prefix).with_context(|| format!("--csv: {}_*.csv cannot be written", prefix.display()))
        });
        files.transpose()
    }

    /// Writes the files that are made at its end.
    pub(crate) fn write(&self, report: &Report) -> Result<()> {
        let write = |file: &Option<PathBuf>, text: fn(&Report) -> String| match file {
            Some(file) => std::fs::write(file, text(report)).with_context(|| file.display().to_string()),
            None => Ok(()),
        };
        write(&self.html, html::page)?;
        write(&self.json, json::text)?;
        write(&self.markdown, markdown::text)
    }
}
