//! Processes that start as nothing but a `main`: starting, ending, forking.
//!
//! Run as `bare` it is a test binary (with a name to choose one test, and `--list`); run as `bare role NAME ...` it plays a part.

mod bare_linux;
mod bare_spawn;
mod common;

type Named = (&'static str, fn());

fn main() {
    // Whoever started us in the background may have had interrupts ignored, and that is inherited.
    #[cfg(unix)]
    // SAFETY: a plain call, before there are other threads.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL)
    };
    let args: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    if args.first().is_some_and(|first| first == "role") {
        return bare_spawn::ROLES
            .iter()
            .chain(bare_linux::ROLES)
            .find(|(name, _)| *name == args[1])
            .expect("a role of that name")
            .1();
    }
    let tests = bare_spawn::TESTS.iter().chain(bare_linux::TESTS);
    if args.iter().any(|arg| arg == "--list") {
        let ignored = args.iter().any(|arg| arg == "--ignored");
        tests.filter(|_| !ignored).for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let wanted = args.iter().find(|arg| !arg.starts_with('-'));
    for (name, test) in tests.filter(|(name, _)| wanted.is_none_or(|wanted| name.contains(wanted.as_str()))) {
        test();
        println!("test {name} ... ok");
    }
}
