//! `cargo xtask bench`: the benchmarks, one after the other, and one table of what they were to reach.
//!
//! Each benchmark prints its own tables, with all of its peers. It also appends its figures to a file, from which the table at the end
//! is made: a line for each goal, with the row of ours, what it is compared with, their ratio, the goal, and whether it is met. `--json`
//! keeps that file. Goals are named `P1` to `P7`, by what they are about. `cargo xtask bench curves` draws the pictures of `docs/performance.md`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::Result;
use crate::job;
use crate::json::Json;
use crate::project::Project;

/// Which benchmarks answer which group of goals.
const GROUPS: &[(&str, &str, &[&str])] = &[
    ("P1", "start and join", &["start", "flat"]),
    ("P2", "pool", &["pool"]),
    ("P3", "queue", &["queue"]),
    ("P4", "pipe, waiting for many", &["pipe", "wait"]),
    ("P5", "locks", &["locks"]),
    ("P6", "shared memory", &["shared"]),
    ("P7", "manager", &["manager", "gateway"]),
];

/// Takes long and has no goals: only when it is named.
const CURVES: &str = "curves";

#[derive(Debug, Default)]
struct Options {
    names: Vec<String>,
    json: Option<PathBuf>,
    /// For the benchmarks themselves.
    passed_on: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut next = || words.next().cloned().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => options.passed_on.push(word.clone()),
                "--rounds" => options.passed_on.extend([word.clone(), next()?]),
                "--rows" => options.passed_on.extend(["--only".into(), next()?]),
                "--json" => options.json = Some(std::path::absolute(next()?)?),
                "--only" => {
                    for wanted in next()?.split(',') {
                        let group = GROUPS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(wanted));
                        let (.., names) =
                            group.ok_or_else(|| format!("no group of goals is called {wanted}"))?;
                        options.names.extend(names.iter().map(ToString::to_string));
                    }
                }
                flag if flag.starts_with('-') => {
                    return Err(format!("bench does not know {flag}; see `cargo xtask help`").into());
                }
                name => options.names.push(name.to_owned()),
            }
        }
        Ok(options)
    }
}

/// Runs what the arguments ask for, all when they name none.
pub(crate) fn main(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse(arguments)?;
    let project = Project::load()?;
    let there = project.package("mp-benches").map_or(&[][..], |package| &package.benches);
    let named_in_a_group = |name: &String| GROUPS.iter().any(|(.., names)| names.contains(&name.as_str()));
    if let Some(unknown) = options.names.iter().find(|name| !there.contains(name) && !named_in_a_group(name))
    {
        return Err(format!("no benchmark is called {unknown}; there are {}", there.join(", ")).into());
    }
    let usual = |name: &String| options.names.is_empty() && name != CURVES;
    let wanted: Vec<&String> =
        there.iter().filter(|name| usual(name) || options.names.contains(name)).collect();
    let folder = project.target.join("bench");
    std::fs::create_dir_all(&folder)?;
    let mut build = project.cargo("bench");
    build.args(["--package", "mp-benches", "--benches", "--no-run"]);
    if !job::run(&mut build)? {
        return Err("the benchmarks do not build".into());
    }
    let (mut good, mut all, mut lines) = (true, String::new(), Vec::new());
    for name in wanted {
        let file = folder.join(format!("{name}.jsonl"));
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        let mut command = project.cargo("bench");
        command.args(["--package", "mp-benches", "--bench", name, "--"]).args(&options.passed_on);
        good &= job::run(command.arg("--record").arg(&file))?;
        let text = if file.exists() { std::fs::read_to_string(&file)? } else { String::new() };
        lines.extend(verdicts(name, &text)?);
        all.push_str(&text);
    }
    print(&lines);
    if let Some(file) = &options.json {
        write(file, &all)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As one JSON list.
fn write(file: &Path, lines: &str) -> Result<()> {
    let rows: Vec<&str> = lines.lines().collect();
    std::fs::write(file, format!("[\n{}\n]\n", rows.join(",\n")))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(())
}

/// One goal, and how it went.
#[derive(Debug, PartialEq)]
struct Verdict {
    group: &'static str,
    metric: String,
    ours: String,
    peer: String,
    /// `None`: it could not be measured.
    ratio: Option<f64>,
    goal: String,
    met: bool,
}

fn verdicts(bench: &str, lines: &str) -> Result<Vec<Verdict>> {
    let group = GROUPS.iter().find(|(.., names)| names.contains(&bench)).map_or("", |(group, ..)| group);
    let mut verdicts = Vec::new();
    for line in lines.lines() {
        let row = Json::parse(line)?;
        let unit = row.get("unit").text();
        let spread = |of: &Json| {
            let of = of.list();
            let part = |at: usize| of.get(at).map_or(f64::NAN, Json::number);
            (part(1), format!("{} {unit} [{} .. {}]", figure(part(1)), figure(part(0)), figure(part(2))))
        };
        let (median, ours) = spread(row.get("wall"));
        for goal in row.get("goals").list() {
            let bound = goal.get("bound").number();
            let (ratio, peer, text) = match goal.get("peer").text() {
                "" => (median / bound, "-".to_owned(), format!("<= {} {unit}", figure(bound))),
                peer => {
                    let (theirs, spread) = spread(goal.get("other"));
                    (median / theirs, format!("{peer}: {spread}"), format!("<= {} x", figure(bound)))
                }
            };
            let limit = if goal.get("peer").text().is_empty() { 1.0 } else { bound };
            verdicts.push(Verdict {
                group,
                metric: format!(
                    "{} ({}): {}",
                    row.get("title").text(),
                    row.get("placement").text(),
                    row.get("name").text()
                ),
                ours: ours.clone(),
                peer,
                ratio: Some(ratio).filter(|ratio| ratio.is_finite()),
                goal: text,
                met: ratio <= limit,
            });
        }
    }
    Ok(verdicts)
}

fn print(verdicts: &[Verdict]) {
    if verdicts.is_empty() {
        return;
    }
    println!(
        "\n==== goals (median [min .. max]; the ratio is ours to the peer's, or to the goal where there is no peer)"
    );
    for verdict in verdicts {
        let Verdict { group, metric, ours, peer, goal, .. } = verdict;
        let (ratio, word) = match verdict.ratio {
            Some(ratio) => (figure(ratio), if verdict.met { "met" } else { "not met" }),
            None => ("-".into(), "not measured"),
        };
        println!("{group:2} | {metric} | {peer} | mp: {ours} | {ratio} | {goal} | {word}");
    }
    let met = verdicts.iter().filter(|verdict| verdict.met).count();
    println!("{met} of {} goals met", verdicts.len());
}

/// Three significant digits.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged() {
        let row = r#"{"title":"t","placement":"two cores","name":"mp x","unit":"us","wall":[1.0,2.0,3.0],"cpu":null,"failure":null,"goals":[{"bound":1.3,"peer":"floor","other":[1.0,1.6,1.7]},{"bound":1.5,"peer":null,"other":null},{"bound":2,"peer":"gone","other":null}]}"#;
        let verdicts = verdicts("queue", row).unwrap();
        assert_eq!(verdicts.iter().map(|v| v.met).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!((verdicts[0].group, verdicts[0].ratio), ("P3", Some(1.25)));
        assert_eq!(verdicts[2].ratio, None);
    }

    #[test]
    fn options_choose_benchmarks() {
        let parse =
            |words: &[&str]| Options::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let options = parse(&["--only", "P1,p3", "--quick", "--rows", "mp"]).unwrap();
        assert_eq!(options.names, ["start", "flat", "queue"]);
        assert_eq!(options.passed_on, ["--quick", "--only", "mp"]);
        assert!(
            parse(&["--only", "P9"]).is_err() && parse(&["--what"]).is_err() && parse(&["--json"]).is_err()
        );
    }
}
