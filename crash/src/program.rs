//! The program: chooses scenes, plays them side by side, and reports.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::control::Control;
use crate::run::{Plan, run};
use crate::scene::Scene;
use crate::scenes::{ALL, BROKEN};
use crate::system::{End, Pid, alarm, by_default, ended, exit, in_copy};
use crate::watch::Way;

const USAGE: &str = "\
mp-crash [--only TEXT]... [--all] [--sample N] [--steps] [--list]

  --only TEXT   scenes whose names contain it
  --all         every recovery is cut off after each of its changes, too
  --sample N    of the images, and of their recoveries' images, every Nth (7), fewer in long operations; 0: none
  --steps       by ptrace, instruction by instruction
  --list        the names of the scenes
  --patience N  so many seconds for one recovery (30)
  --broken      scenes that have to fail

  MP_CRASH_SCENE=name MP_CRASH_IMAGE=n [MP_CRASH_SECOND=n] [MP_CRASH_OTHER=n]   one image again
";

/// What a scene may take.
const SECONDS: u32 = 1200;

struct Options {
    only: Vec<String>,
    plan: Plan,
    list: bool,
    scenes: &'static [&'static [Scene]],
}

fn options() -> Result<Options, String> {
    let number =
        |text: Option<String>| text.map(|t| t.parse::<usize>().map_err(|e| format!("{t}: {e}"))).transpose();
    let var = |name: &str| std::env::var(name).ok();
    let mut plan = Plan {
        way: Way::BEST,
        sample: 7,
        image: number(var("MP_CRASH_IMAGE"))?,
        second: number(var("MP_CRASH_SECOND"))?,
        other: number(var("MP_CRASH_OTHER"))?,
    };
    let mut only: Vec<String> = var("MP_CRASH_SCENE").into_iter().collect();
    let (mut list, mut scenes) = (false, ALL);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--all" => plan.sample = 1,
            "--steps" => plan.way = Way::Steps,
            "--list" => list = true,
            "--broken" => scenes = BROKEN,
            "--patience" => {
                let seconds = number(words.next())?.ok_or("--patience needs a number")?;
                crate::judge::PATIENCE.store(seconds as u32, Relaxed);
            }
            "--only" => only.push(words.next().ok_or("--only needs a text")?),
            "--sample" => plan.sample = number(words.next())?.ok_or("--sample needs a number")?,
            _ => return Err(format!("there is no {word}\n\n{USAGE}")),
        }
    }
    Ok(Options { only, plan, list, scenes })
}

/// A scene that is being played.
struct Playing {
    scene: &'static Scene,
    control: &'static Control,
    since: Instant,
}

/// Does what the arguments and the environment say.
pub fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(text) => {
            eprintln!("mp-crash: {text}");
            return ExitCode::from(2);
        }
    };
    let chosen = |scene: &&Scene| {
        options.only.is_empty() || options.only.iter().any(|text| scene.name.contains(text.as_str()))
    };
    let mut waiting: Vec<&'static Scene> = options.scenes.iter().copied().flatten().filter(chosen).collect();
    if options.list {
        waiting.iter().for_each(|scene| println!("{}", scene.name));
        return ExitCode::SUCCESS;
    }
    waiting.reverse();
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let begun = Instant::now();
    let (mut sums, mut failed, mut played) = ([0_usize; 3], 0, 0);
    let mut playing: HashMap<Pid, Playing> = HashMap::new();
    while !waiting.is_empty() || !playing.is_empty() {
        if playing.len() < at_once
            && let Some(scene) = waiting.pop()
        {
            let control = Control::new();
            let pid = in_copy(|| perform(scene, &options.plan, control));
            playing.insert(pid, Playing { scene, control, since: Instant::now() });
            continue;
        }
        let over = playing.keys().find_map(|pid| Some((*pid, ended(*pid)?)));
        let Some((pid, end)) = over else {
            std::thread::park_timeout(Duration::from_millis(2));
            continue;
        };
        let Some(Playing { scene, control, since }) = playing.remove(&pid) else { continue };
        let text = control.heard();
        let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let numbers: Vec<usize> = head.split(' ').filter_map(|n| n.parse().ok()).collect();
        played += 1;
        match (end, numbers.as_slice()) {
            (End::Code(0), [images, recoveries, second, failures]) => {
                let time = since.elapsed().as_secs_f64();
                println!(
                    "{:<58} {images:>5} images {recoveries:>6} recoveries {second:>6} cut {time:>6.2} s",
                    scene.name
                );
                sums = [sums[0] + images, sums[1] + recoveries, sums[2] + second];
                if *failures > 0 {
                    failed += 1;
                    println!("  FAILED {failures} times\n{rest}");
                }
            }
            _ => {
                failed += 1;
                println!("{:<58}\n  FAILED: {end:?}: {text}", scene.name);
            }
        }
    }
    let [images, recoveries, second] = sums;
    println!(
        "{played} scenes, {images} images, {recoveries} recoveries, {second} of them from a recovery that was cut off: \
         {failed} failed, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    if failed == 0 && played > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn perform(scene: &Scene, plan: &Plan, control: &'static Control) {
    crate::judge::say_what_panics_say(control);
    by_default(libc::SIGALRM);
    alarm(SECONDS);
    let tally = run(scene, plan);
    control.say(&format!(
        "{} {} {} {}\n{}",
        tally.images, tally.recoveries, tally.second, tally.failures, tally.text
    ));
    exit(0);
}
