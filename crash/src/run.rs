//! One scene from the first image to the last.

use std::fmt::Write;

use crate::judge::judge;
use crate::memory::Memory;
use crate::recover::{Dead, recover, take_other};
use crate::scene::{Act, Scene};
use crate::stage::Stage;
use crate::watch::{Image, Way, watch};

/// Failures of one scene that are told of in full.
const TOLD: usize = 3;

/// What is to be done with each scene.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) way: Way,
    /// Of the images, and of each recovery's own images, every so many is recovered from a second time, and fewer towards the end
    /// of a long operation; 1: all; 0: none.
    pub(crate) sample: usize,
    /// This image alone, for a closer look.
    pub(crate) image: Option<usize>,
    /// And this image of its recovery.
    pub(crate) second: Option<usize>,
    /// With this variation alone: 0 is nobody's, then in the order of the scene.
    pub(crate) other: Option<usize>,
}

impl Plan {
    /// Whether an image belongs to the sample; `turn` makes different ones do in different scenes.
    fn samples(&self, number: usize, turn: usize) -> bool {
        match self.sample {
            0 => false,
            1 => true,
            n => (number + turn).is_multiple_of(n * (1 + number / 50)),
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) images: usize,
    pub(crate) recoveries: usize,
    /// Recoveries from a recovery that was cut off.
    pub(crate) second: usize,
    pub(crate) failures: usize,
    pub(crate) text: String,
}

/// Where something went wrong: what it takes to come there again.
struct Spot<'a> {
    image: usize,
    second: Option<usize>,
    other: Option<usize>,
    /// Where the victim was cut off, and the sweeper.
    places: &'a [String],
}

impl Tally {
    fn fail(&mut self, scene: &Scene, spot: &Spot<'_>, what: &str) {
        self.failures += 1;
        if self.failures > TOLD {
            return;
        }
        let mut again = format!("MP_CRASH_SCENE='{}' MP_CRASH_IMAGE={}", scene.name, spot.image);
        if let Some(second) = spot.second {
            let _ = write!(again, " MP_CRASH_SECOND={second}");
        }
        let _ = write!(again, " MP_CRASH_OTHER={}", spot.other.map_or(0, |i| i + 1));
        let _ = writeln!(self.text, "    {what}\n      again: {again}");
        for place in spot.places {
            let _ = writeln!(self.text, "      cut off in\n        {place}");
        }
    }
}

/// A scene on its stage, and the memories of the two who may be cut off.
struct Show<'a> {
    scene: &'a Scene,
    plan: &'a Plan,
    stage: Stage,
    memory: Memory,
    second: Memory,
}

/// Plays the scene. This process is a copy made for it.
pub(crate) fn run(scene: &Scene, plan: &Plan) -> Tally {
    let (memory, second) = (Memory::new(), Memory::new());
    let stage = Stage::new(&memory);
    let show = Show { scene, plan, stage, memory, second };
    let mut act = (scene.play)(&show.stage);
    let found = show.stage.heap.verify();
    let unswept = found.iter().any(|line| line.contains("dead, not swept"));
    assert!(unswept || found.is_empty(), "before the operation:\n        {}", found.join("\n        "));
    let mut tally = Tally::default();
    let Some(operation) = act.operation.take() else { return tally };
    let on_thread = act.on_thread;
    let operation = |begin: &dyn Fn()| {
        if on_thread {
            in_thread(begin, operation);
        } else {
            begin();
            operation();
        }
    };
    let played = watch(plan.way, &show.memory, show.memory.base(), operation, |image| {
        if plan.image.is_none_or(|n| n == image.number) {
            show.recover_from(image, &mut act, &mut tally);
        }
        plan.image.is_none_or(|n| n > image.number)
    });
    match played {
        Ok(images) => tally.images = images,
        Err(what) => tally.fail(scene, &Spot { image: 0, second: None, other: None, places: &[] }, &what),
    }
    tally
}

impl Show<'_> {
    /// In each variation.
    fn recover_from(&self, image: &Image<'_>, act: &mut Act, tally: &mut Tally) {
        let plan = self.plan;
        for other in (0..=act.others.len()).map(|i| i.checked_sub(1)) {
            if plan.other.is_some_and(|n| n.checked_sub(1) != other) {
                continue;
            }
            if plan.second.is_none() {
                tally.recoveries += 1;
                let judged = judge(&self.memory, self.memory.base(), || {
                    if let Some(work) = take_other(act, other) {
                        work();
                    }
                    recover(&self.stage, act, Dead::Victim);
                });
                if let Err(what) = judged {
                    let places = [image.whereabouts()];
                    let spot = Spot { image: image.number, second: None, other, places: &places };
                    tally.fail(self.scene, &spot, &what);
                    continue;
                }
            }
            let chosen = plan.second.is_some() || plan.samples(image.number, self.scene.name.len());
            if chosen && act.burial.is_none() {
                self.cut_recovery(image, act, other, tally);
            }
        }
    }

    /// The sweep is cut off in its turn.
    fn cut_recovery(&self, first: &Image<'_>, act: &mut Act, other: Option<usize>, tally: &mut Tally) {
        let plan = self.plan;
        first.snapshot.write_to(&self.second);
        // Done by the copy that sweeps. Those that come after it forget about it: what its handles held is given back, or not,
        // in the image.
        let mut work = take_other(act, other);
        let sweep = |begin: &dyn Fn()| {
            if let Some(work) = work.take() {
                work();
            }
            self.stage.victim.clone().abandon();
            begin();
            // Judged by what it leaves.
            let _ = self.stage.sweeper.notice_deaths();
        };
        let played = watch(plan.way, &self.second, self.memory.base(), sweep, |image| {
            let chosen = image.number > 0 && plan.samples(image.number, first.number);
            if plan.second.map_or(chosen, |n| n == image.number) {
                tally.second += 1;
                let judged =
                    judge(&self.second, self.memory.base(), || recover(&self.stage, act, Dead::Both));
                if let Err(what) = judged {
                    let places = [first.whereabouts(), image.whereabouts()];
                    let spot =
                        Spot { image: first.number, second: Some(image.number), other, places: &places };
                    tally.fail(self.scene, &spot, &what);
                }
            }
            plan.second.is_none_or(|n| n > image.number)
        });
        if let Some(i) = other {
            act.others[i].1 = work;
        }
        if let Err(what) = played {
            let spot = Spot { image: first.number, second: Some(0), other, places: &[first.whereabouts()] };
            tally.fail(self.scene, &spot, &what);
        }
    }
}

fn in_thread(begin: &dyn Fn(), operation: Box<dyn FnOnce()>) {
    /// For a thread that this one waits for.
    struct Moved<T>(T);
    // SAFETY: the thread that made it does nothing but wait until the other one has ended.
    unsafe impl<T> Send for Moved<T> {}
    impl<T> Moved<T> {
        fn into_inner(self) -> T {
            self.0
        }
    }
    let work = Moved((begin, operation));
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let (begin, operation) = work.into_inner();
            begin();
            operation();
        });
        // For the thread itself, whose last acts come after those of the scope.
        drop(thread.join());
    });
}
