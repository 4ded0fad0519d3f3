//! Rows, rounds, medians, ratios, goals.

use std::time::{Duration, Instant};

use crate::machine::{self, Placement};
use crate::options::Options;
use crate::record;

/// Why a row could not be measured.
pub type Failure = Box<dyn std::error::Error>;

/// What so many operations took.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// By the clock.
    pub wall: Duration,
    /// On the processors, of everybody who takes part, where a row counts that.
    pub cpu: Option<Duration>,
}

/// What a row is to reach.
#[derive(Clone, Debug)]
pub enum Goal {
    /// At most so many times what that row takes.
    Times(f64, &'static str),
    /// At most so many of the table's unit: only a hint where the machine is another one.
    AtMost(f64),
}

/// Does so many operations.
type Run<'a> = Box<dyn FnMut(u32) -> Result<Spent, Failure> + 'a>;

struct Row<'a> {
    name: &'static str,
    operations: u32,
    run: Run<'a>,
    goals: Vec<Goal>,
    wall: Vec<f64>,
    cpu: Vec<f64>,
    failure: Option<String>,
}

/// A question, and the rows that answer it.
pub struct Table<'a> {
    title: &'static str,
    unit: Unit,
    placement: Placement,
    rows: Vec<Row<'a>>,
    notes: Vec<String>,
}

/// What times are printed in.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Microseconds an operation.
    Micros,
    /// Nanoseconds an operation, and millions of operations in a second.
    Nanos,
}

impl Unit {
    fn of(self, seconds: f64) -> f64 {
        seconds
            * match self {
                Unit::Micros => 1e6,
                Unit::Nanos => 1e9,
            }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Micros => "us",
            Unit::Nanos => "ns",
        }
    }
}

/// Runs something and takes the time.
///
/// # Errors
/// Those of what it runs.
pub fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<Spent, Failure> {
    let begin = Instant::now();
    work()?;
    Ok(Spent { wall: begin.elapsed(), cpu: None })
}

/// As [`timed`], and takes the CPU time of this process, of children that it has reaped meanwhile, and of those processes.
///
/// # Errors
/// Those of what it runs.
pub fn timed_with_cpu(others: &[u32], work: impl FnOnce() -> Result<(), Failure>) -> Result<Spent, Failure> {
    let before = machine::cpu_of(others);
    let begin = Instant::now();
    work()?;
    let wall = begin.elapsed();
    Ok(Spent { wall, cpu: Some(machine::cpu_of(others).saturating_sub(before)) })
}

impl<'a> Table<'a> {
    /// An empty table. Everybody has been placed as `placement` says: see [`placed`](machine::placed).
    pub fn new(title: &'static str, unit: Unit, placement: Placement) -> Table<'a> {
        Table { title, unit, placement, rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row: `run` does as many operations as it is told, `operations` in each round.
    pub fn row(
        &mut self,
        name: &'static str,
        operations: u32,
        goals: &[Goal],
        run: impl FnMut(u32) -> Result<Spent, Failure> + 'a,
    ) {
        let (wall, cpu) = (Vec::new(), Vec::new());
        let goals = goals.to_vec();
        self.rows.push(Row { name, operations, run: Box::new(run), goals, wall, cpu, failure: None });
    }

    /// A line below the table, for a row that is not there.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Measures all rows in turn, round after round, and prints the table.
    pub fn measure(mut self) {
        let options = Options::from_arguments();
        self.keep(options.only.as_deref());
        if self.rows.is_empty() {
            return;
        }
        // The first round fills caches, starts servers and pools, and is not counted.
        for round in 0..=options.rounds {
            for row in self.rows.iter_mut().filter(|row| row.failure.is_none()) {
                let operations = if round == 0 { options.first(row.operations) } else { row.operations };
                match (row.run)(operations) {
                    Err(error) => row.failure = Some(error.to_string()),
                    Ok(spent) if round == 0 => {
                        row.operations = options.each(row.operations, operations, spent.wall)
                    }
                    Ok(spent) => {
                        let each = |time: Duration| time.as_secs_f64() / f64::from(operations);
                        row.wall.push(each(spent.wall));
                        row.cpu.extend(spent.cpu.map(each));
                    }
                }
            }
        }
        self.print(options.rounds);
        if let Some(file) = &options.record
            && let Err(error) = record::append(file, &self.records())
        {
            println!("{}: {error}", file.display());
        }
    }

    /// What was measured, as `cargo xtask bench` reads it.
    fn records(&self) -> Vec<record::Row<'_>> {
        self.rows
            .iter()
            .map(|row| {
                let goals = row.goals.iter().map(|goal| {
                    let (bound, peer) = match goal {
                        Goal::Times(bound, peer) => (*bound, Some(*peer)),
                        Goal::AtMost(bound) => (*bound, None),
                    };
                    let other = peer.and_then(|peer| self.rows.iter().find(|r| r.name == peer));
                    record::Goal {
                        bound,
                        peer,
                        other: other.map(|r| spread(&r.wall).map(|s| self.unit.of(s))),
                    }
                });
                record::Row {
                    title: self.title,
                    placement: self.placement.to_string(),
                    name: row.name,
                    unit: self.unit.name(),
                    wall: spread(&row.wall).map(|s| self.unit.of(s)),
                    cpu: self.unit.of(spread(&row.cpu)[1]),
                    failure: row.failure.as_deref(),
                    goals: goals.collect(),
                }
            })
            .collect()
    }

    fn keep(&mut self, only: Option<&str>) {
        let Some(only) = only else { return };
        let wanted: Vec<&str> = self.rows.iter().map(|r| r.name).filter(|n| n.contains(only)).collect();
        let compared: Vec<&str> = self
            .rows
            .iter()
            .filter(|r| wanted.contains(&r.name))
            .flat_map(|r| &r.goals)
            .filter_map(|g| if let Goal::Times(_, peer) = g { Some(*peer) } else { None })
            .collect();
        self.rows.retain(|r| wanted.contains(&r.name) || compared.contains(&r.name));
    }

    fn print(&self, rounds: usize) {
        println!(
            "\n{} [{}; median of {rounds} interleaved runs; {}]",
            self.title,
            self.placement,
            machine::name()
        );
        let widest = self.rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0);
        let u = self.unit.name();
        println!(
            "{:widest$} {:>10} {:>10} {:>10} {:>9}  goal",
            "",
            format!("min {u}"),
            format!("median {u}"),
            format!("max {u}"),
            format!("cpu {u}")
        );
        for row in &self.rows {
            if let Some(failure) = &row.failure {
                println!("{:widest$} failed: {failure}", row.name);
                continue;
            }
            let [low, middle, high] = spread(&row.wall).map(|s| self.unit.of(s));
            let cpu = spread(&row.cpu)[1];
            let cpu = if cpu.is_nan() { String::new() } else { figure(self.unit.of(cpu)) };
            let rate = match self.unit {
                Unit::Nanos if row.goals.is_empty() => format!("{:.2} M/s", 1e3 / middle),
                Unit::Nanos => format!("{:.2} M/s; ", 1e3 / middle),
                Unit::Micros => String::new(),
            };
            let goals: Vec<String> = row.goals.iter().map(|goal| self.verdict(goal, middle)).collect();
            println!(
                "{:widest$} {:>10} {:>10} {:>10} {cpu:>9}  {rate}{}",
                row.name,
                figure(low),
                figure(middle),
                figure(high),
                goals.join("; ")
            );
        }
        for note in &self.notes {
            println!("{note}");
        }
    }

    fn verdict(&self, goal: &Goal, median: f64) -> String {
        let word = |met: bool| if met { "met" } else { "MISSED" };
        match goal {
            Goal::Times(bound, peer) => {
                let Some(other) = self.rows.iter().find(|r| r.name == *peer && r.failure.is_none()) else {
                    return format!("goal <= {bound} x {peer}: not measured");
                };
                let ratio = median / self.unit.of(spread(&other.wall)[1]);
                format!("goal <= {bound} x {peer}: {ratio:.2} {}", word(ratio <= *bound))
            }
            Goal::AtMost(bound) => {
                format!("goal <= {bound} {}: {} {}", self.unit.name(), figure(median), word(median <= *bound))
            }
        }
    }
}

impl std::fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("title", &self.title).finish_non_exhaustive()
    }
}

/// Least, median, greatest; not numbers where there are none.
fn spread(times: &[f64]) -> [f64; 3] {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => [f64::NAN; 3],
        n if n % 2 == 1 => [sorted[0], sorted[n / 2], sorted[n - 1]],
        n => [sorted[0], (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0, sorted[n - 1]],
    }
}

/// Three significant digits.
fn figure(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
