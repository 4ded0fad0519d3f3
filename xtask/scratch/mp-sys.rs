//! mp-sys alone: two mappings of one memory object show the same bytes, and the system knows this process.

fn main() -> std::io::Result<()> {
    let len = mp_sys::page_size();
    let memory = mp_sys::MemoryObject::create(len as u64)?;
    let (here, there) = (memory.map(len)?, memory.map(len)?);
    here.commit(0, len)?;
    // SAFETY: both mappings are `len` bytes long, the first byte of each is committed, and no other thread uses them.
    unsafe {
        here.as_ptr().write_volatile(42);
        assert_eq!(there.as_ptr().read_volatile(), 42);
    }
    let me = mp_sys::current_pid();
    let state = mp_sys::process_state(me, mp_sys::start_time(me)?)?;
    assert_eq!(state, mp_sys::ProcessState::Running);
    assert!(mp_sys::cpu_count() >= 1);
    Ok(())
}
