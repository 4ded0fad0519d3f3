//! Every CPython that is here, as a client.

use std::path::{Path, PathBuf};
use std::process::Command;

#[cfg(unix)]
use mp_manager::gateway::Address;
use mp_manager::{Any, Dict, Gateway, Handle};

#[cfg(unix)]
use crate::common::soon;
use crate::common::{KEY, anywhere};

/// The interpreters that are here: those of pyenv, and whatever `python3` means.
fn interpreters() -> Vec<PathBuf> {
    let home = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".pyenv")));
    let versions = home.and_then(|home| std::fs::read_dir(home.join("versions")).ok());
    let mut all: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/python")))
        .filter(|python| python.exists())
        .collect();
    all.push("python3".into());
    all.retain(|python| is_new_enough(python));
    all.sort();
    all
}

fn is_new_enough(python: &Path) -> bool {
    let asked = Command::new(python).args(["-c", "import sys; sys.exit(sys.version_info < (3, 6))"]).output();
    asked.is_ok_and(|output| output.status.success())
}

fn conforms(gateway: &Gateway) {
    let shared = Dict::<Any, Any>::new().unwrap();
    shared.insert("from rust", Any::list([1, 2, 3])).unwrap();
    let queue = mp_queue::Queue::<Any>::new().unwrap();
    gateway.offer("get_shared", &Handle::Dict(shared.clone())).unwrap();
    gateway.offer("get_queue", &Handle::Queue(queue.clone())).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/conformance.py");
    let all = interpreters();
    if all.is_empty() {
        println!("skipped: there is no CPython here");
    }
    for python in all {
        let output =
            Command::new(&python).arg(&script).arg(gateway.address().to_string()).arg(KEY).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success() && out.trim_end().ends_with("ok"),
            "{}:\n{out}{err}",
            python.display()
        );
        assert_eq!(shared.pop("from python").unwrap(), Some(Any::from("hello")));
        assert_eq!(queue.try_get().unwrap(), Any::from("hello from python"));
    }
}

#[test]
fn every_cpython_that_is_here_is_a_client_over_tcp() {
    let gateway = Gateway::bind(anywhere(), KEY).unwrap();
    conforms(&gateway);
}

#[cfg(unix)]
#[test]
fn every_cpython_that_is_here_is_a_client_over_a_local_socket() {
    let gateway = Gateway::bind(Address::unused().unwrap(), KEY).unwrap();
    conforms(&gateway);
}

#[cfg(unix)]
/// Holds a lock and two references, says so, and is killed.
const HOLDER: &str = r#"
import os, signal, sys
from multiprocessing.managers import SyncManager
SyncManager.register("the_dict", proxytype=__import__("multiprocessing.managers").managers.DictProxy)
m = SyncManager(sys.argv[1], authkey=sys.argv[2].encode())
m.connect()
d, lock, other = m.the_dict(), m.Lock(), m.list()
d["lock"] = lock
lock.acquire()
os.kill(os.getpid(), signal.SIGKILL)
"#;

#[cfg(unix)]
#[test]
fn a_killed_cpython_client_leaves_no_lock_and_no_reference() {
    let gateway = Gateway::bind(Address::unused().unwrap(), KEY).unwrap();
    let dict = Dict::<Any, Any>::new().unwrap();
    gateway.offer("the_dict", &Handle::Dict(dict.clone())).unwrap();
    let Some(python) = interpreters().pop() else {
        println!("skipped: there is no CPython here");
        return;
    };
    let status =
        Command::new(python).args(["-c", HOLDER, &gateway.address().to_string(), KEY]).status().unwrap();
    assert!(!status.success() && status.code().is_none(), "{status}");
    let Some(Any::Handle(Handle::Lock(lock))) = dict.get("lock").unwrap() else { panic!("{dict:?}") };
    soon("the lock is free", || !lock.locked());
    soon("nobody refers to anything", || gateway.number_of_objects() == 0);
}
