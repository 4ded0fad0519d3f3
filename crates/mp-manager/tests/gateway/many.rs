//! A thousand clients at once.

use mp_manager::Manager;

use crate::common::{KEY, both, rounds};

#[test]
fn a_thousand_clients_are_served_at_once() {
    let wanted = (1000 * rounds(1)) as usize;
    // Each has two ends in this process.
    let many = match mp_sys::set_rlimit(mp_sys::Limit::OpenFiles, 2 * wanted as u64 + 500, 1 << 20) {
        Ok(()) => wanted,
        Err(error) => {
            println!("skipped in part: 200 clients, as the limit of open files stays: {error}");
            200
        }
    };
    let (gateway, manager) = both();
    let dict = manager.dict::<i64, i64>().unwrap();
    let before = mp_sys::thread_count();
    let clients: Vec<_> =
        (0..many).map(|_| Manager::connect(gateway.address().clone(), KEY).unwrap()).collect();
    let value = mp_manager::Any::from(&dict);
    let mine: Vec<_> = clients
        .iter()
        .map(|client| client.open_from::<mp_manager::gateway::remote::RemoteDict<i64, i64>>(&value).unwrap())
        .collect();
    for (i, dict) in mine.iter().enumerate() {
        dict.insert(i as i64, 1).unwrap();
    }
    for (i, dict) in mine.iter().enumerate().rev() {
        assert_eq!(dict.get(i as i64).unwrap(), Some(1));
    }
    assert_eq!(dict.len().unwrap(), many);
    // Other tests of this program have threads, too; a thread for each client would be many more.
    if let (Some(before), Some(now)) = (before, mp_sys::thread_count()) {
        assert!(now < before + many as u64 / 4, "{before} threads before, {now} now");
    }
}
