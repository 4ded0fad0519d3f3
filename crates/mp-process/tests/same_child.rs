//! A child is what its parent is at the moment of the start, by whichever method it is started: also where the parent has changed
//! since the fork server was.

#![cfg(target_os = "linux")] // what a process is, is read from /proc

use std::collections::BTreeMap;

use mp_process::{Builder, Process, StartMethod};

mp_process::enable_in_tests!();

/// All that can be seen of this process which has to do with its start, by name.
fn what_i_am() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut put = |key: &str, value: String| drop(all.insert(key.to_owned(), value));
    for (key, value) in std::env::vars() {
        put(&format!("env {key}"), value);
    }
    put("directory", std::env::current_dir().unwrap().display().to_string());
    put("limits", std::fs::read_to_string("/proc/self/limits").unwrap());
    put("score", std::fs::read_to_string("/proc/self/oom_score_adj").unwrap());
    put("name", std::fs::read_to_string("/proc/self/comm").unwrap());
    put("cgroup", std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
    for line in std::fs::read_to_string("/proc/self/status").unwrap().lines() {
        let told = [
            "Umask",
            "Uid",
            "Gid",
            "Groups",
            "Sig",
            "Shd",
            "Cap",
            "NoNewPrivs",
            "Seccomp",
            "Cpus_allowed",
            "Threads",
            "PPid",
        ];
        let (key, value) = line.split_once(':').unwrap();
        // Signals may come, and go.
        if told.iter().any(|told| key.starts_with(told)) && !matches!(key, "SigQ" | "SigPnd" | "ShdPnd") {
            put(key, value.trim().to_owned());
        }
    }
    // SAFETY: plain calls; 0 means this process.
    let (session, group, nice) =
        unsafe { (libc::getsid(0), libc::getpgid(0), libc::getpriority(libc::PRIO_PROCESS, 0)) };
    put("session, group, nice", format!("{session} {group} {nice}"));
    for fd in open_descriptors() {
        let what = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        put(&format!("descriptor of {}", what.display()), String::new());
    }
    all
}

fn open_descriptors() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers: Vec<i32> =
        entries.map(|e| e.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    // SAFETY: plain calls. The directory's own is closed by now.
    numbers.into_iter().filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).collect()
}

fn by(method: StartMethod) -> Builder {
    Process::builder().start_method(method).name("the-child")
}

/// Changes what it is, in each way that it may, and compares after each what its children are.
fn changing() -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |when: &str| {
        let spawned = by(StartMethod::Spawn).spawn(what_i_am, ()).unwrap().join().unwrap();
        // Several, so that one of them is a child that was started ahead.
        for i in 0..12 {
            let forked = by(StartMethod::ForkServer).spawn(what_i_am, ()).unwrap().join().unwrap();
            let keys = spawned.keys().chain(forked.keys());
            let differ = keys.filter(|key| spawned.get(*key) != forked.get(*key));
            for key in differ.collect::<std::collections::BTreeSet<_>>() {
                let (one, other) = (spawned.get(key), forked.get(key));
                differences
                    .push(format!("{when}, {i}: {key}: {one:?} by spawn, {other:?} by the fork server"));
            }
        }
    };
    compare("at first");
    std::env::set_current_dir("/").unwrap();
    compare("directory");
    let change = |what: &str, done: i32| assert!(done >= 0, "{what}: {}", std::io::Error::last_os_error());
    let lower = |resource, to| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: structs of the right type.
        unsafe {
            change("getrlimit", libc::getrlimit(resource, &raw mut limit));
            limit.rlim_cur = limit.rlim_max.min(to);
            change("setrlimit", libc::setrlimit(resource, &raw const limit));
        }
    };
    // SAFETY: calls about this process, which is here to be changed, and runs nothing else.
    unsafe {
        libc::umask(0o027);
        compare("umask");
        lower(libc::RLIMIT_NOFILE, 200);
        lower(libc::RLIMIT_CORE, 1 << 20);
        compare("limits");
        libc::signal(libc::SIGUSR1, libc::SIG_IGN);
        compare("ignored signal");
        change(
            "nice",
            libc::setpriority(libc::PRIO_PROCESS, 0, libc::getpriority(libc::PRIO_PROCESS, 0) + 1),
        );
        compare("nice");
        let mut blocked = std::mem::zeroed();
        libc::sigemptyset(&raw mut blocked);
        libc::sigaddset(&raw mut blocked, libc::SIGUSR2);
        change("mask", libc::sigprocmask(libc::SIG_BLOCK, &raw const blocked, std::ptr::null_mut()));
        compare("blocked signal");
    }
    std::fs::write("/proc/self/oom_score_adj", "500").unwrap();
    compare("score");
    let own = processors();
    pin(own[0]);
    compare("affinity");
    // SAFETY: not close-on-exec, as a C library's may be; leaked, for the children to find.
    unsafe { change("dup", libc::dup(0)) };
    compare("a stray descriptor");
    // SAFETY: as above. It fails for the leader of a group, which a child is not.
    unsafe { change("setsid", libc::setsid()) };
    compare("session");
    differences
}

fn processors() -> Vec<usize> {
    // SAFETY: zero is a value of the set, and it is as long as said.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of_val(&set), &raw mut set), 0);
        (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect()
    }
}

fn pin(cpu: usize) {
    // SAFETY: as above; the number is that of a processor of ours.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &raw const set), 0);
    }
}

#[test]
fn a_child_is_the_same_by_each_method_whatever_its_parent_has_become() {
    if !StartMethod::available().contains(&StartMethod::ForkServer) {
        return;
    }
    // In a process of its own: it does not change back.
    let differences = Process::spawn(changing, ()).unwrap().join().unwrap();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// What a child may have open: its streams, the session's memory, its liveness file.
#[test]
fn a_child_has_no_descriptor_but_those_it_needs() {
    for method in StartMethod::available() {
        let open = by(*method).spawn(open_descriptors, ()).unwrap().join().unwrap();
        let others = open.iter().filter(|fd| **fd > 2).count();
        assert!(open.starts_with(&[0, 1, 2]) && others <= 2, "{open:?}");
    }
}
